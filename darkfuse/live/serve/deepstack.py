"""DeepStack's form, and what CodeProject.AI adds to it: `POST /v1/vision/detection` and its kin.

At most 20 objects, best first: clients keep so many, and stop at the first one that does not pass.
"""

from __future__ import annotations

from typing import Any

from darkfuse.detect.types import Result
from darkfuse.live.serve.form import Ask, Route, Told, camera, number, told
from darkfuse.live.web.http import Refused, Request

CONFIDENCE = 0.4
MOST = 20
EDGES = ("x_min", "y_min", "x_max", "y_max")


class DeepStack:
    """The form for a model called `name`.

    Attributes
    ----------
    more : bool
        Whether CodeProject.AI's fields are told too.
    """

    def __init__(self, name: str, more: bool) -> None:
        self.name, self.more = name, more

    def routes(self) -> list[Route]:
        """The form's addresses."""
        fields = {"min_confidence": {"type": "number", "minimum": 0, "maximum": 1},
                  "camera": {"type": "string", "maxLength": 64}}
        picture: dict[str, Any] = {"ask": self.ask, "refuse": self.refuse, "key": "api_key",
                                   "parameters": fields, "defaults": {"thresh": CONFIDENCE}}
        found = [
            Route("POST", "/v1/vision/detection", "Objects in a picture (DeepStack's form).", self.tell,
                  **picture),
            Route("POST", "/v1/vision/custom/list", "Models there are (DeepStack's form).", self.models,
                  refuse=self.refuse),
            Route("POST", "/v1/vision/custom/{model}", "Objects in a picture, by a named model.", self.tell,
                  **picture),
        ]
        if self.more:
            found += [Route("GET", "/v1/status/ping", "Whether the service is there (CodeProject.AI's form).",
                            self.ping, refuse=self.refuse, open=True),
                      Route("POST", "/v1/vision/custom", "Objects in a picture.", self.tell, **picture)]
        return found

    def ask(self, request: Request, fields: dict[str, str]) -> Ask:
        """What a request asks for. Raises `Refused`."""
        head, _, model = request.path.rpartition("/custom/")
        if head and model != self.name:
            raise Refused(404, message=f"there is no model {model}; there is {self.name}")
        return Ask({"thresh": number(fields, "min_confidence", 0, 1)}, camera(fields))

    def tell(self, result: Result, milliseconds: dict[str, float]) -> dict[str, Any]:
        """What was found."""
        best = sorted(zip(result.detections, result.xyxy), key=lambda pair: -pair[0].confidence)[:MOST]
        found = [{"confidence": d.confidence, "label": d.name,
                  **{edge: round(value) for edge, value in zip(EDGES, corners)}}
                 for d, corners in best]
        answer = {"success": True, "predictions": found,
                  "duration": round(milliseconds.get("total", 0) / 1000, 4)}
        if self.more:
            answer.update({"inferenceMs": round(milliseconds.get("network", 0)), "code": 200,
                           "processMs": round(milliseconds.get("detect", 0)), "command": "detect",
                           "message": f"{len(found)} objects", "count": len(found)})
        return answer

    def refuse(self, status: int, message: str) -> dict[str, Any]:
        """An error."""
        return {"success": False, "error": message, "code": status}

    def models(self, _request: Request) -> Told:
        """The one model."""
        return told({"success": True, "models": [self.name]})

    def ping(self, _request: Request) -> Told:
        """It is there."""
        return told({"success": True})
