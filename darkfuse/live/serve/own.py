"""darkfuse's own form: `POST /detect`, a picture as it is or in a form; boxes relative and in pixels."""

from __future__ import annotations

from typing import Any

from darkfuse.detect.report import objects
from darkfuse.detect.types import Result
from darkfuse.live.serve.form import JSON, Ask, Route, camera, flag, number
from darkfuse.live.web.http import Request

LONGEST_MS = 600_000
FRACTION = {"type": "number", "minimum": 0, "maximum": 1}
PARAMETERS: dict[str, dict[str, Any]] = {
    "thresh": {**FRACTION, "description": "Least score of a detection."},
    "nms": {**FRACTION, "description": "Most two boxes of one class may overlap; 0: any."},
    "camera": {"type": "string", "maxLength": 64, "description": "Whose picture it is; cameras take turns."},
    "newest": {"type": "integer", "enum": [0, 1],
               "description": "1: a newer picture of the camera takes this one's place."},
    "annotate": {"type": "integer", "enum": [0, 1], "description": "1: the picture with its boxes, a JPEG."},
    "deadline_ms": {"type": "number", "minimum": 1, "maximum": LONGEST_MS,
                    "description": "After so long nobody waits for the answer."},
}

_BOX = {"center_x": {"type": "number"}, "center_y": {"type": "number"}, "width": {"type": "number"},
        "height": {"type": "number"}}
_EDGES = {name: {"type": "number"} for name in ("left", "top", "right", "bottom")}
GIVES: dict[str, Any] = {
    "type": "object", "required": ["width", "height", "objects", "ms"],
    "properties": {
        "width": {"type": "integer"}, "height": {"type": "integer"}, "not_finite": {"type": "integer"},
        "ms": {"type": "object", "additionalProperties": {"type": "number"}},
        "objects": {"type": "array", "items": {
            "type": "object",
            "required": ["class_id", "name", "confidence", "relative_coordinates", "pixels"],
            "properties": {
                "class_id": {"type": "integer"}, "name": {"type": "string"}, "confidence": FRACTION,
                "relative_coordinates": {"type": "object", "required": list(_BOX), "properties": _BOX},
                "pixels": {"type": "object", "required": list(_EDGES), "properties": _EDGES}}}}},
}


def routes() -> list[Route]:
    """The form's addresses."""
    return [Route("POST", "/detect", "Objects in a picture.", tell, ask, parameters=PARAMETERS,
                  gives={JSON: GIVES, "image/jpeg": {"type": "string"}})]


def ask(_request: Request, fields: dict[str, str]) -> Ask:
    """What a request asks for. Raises `Refused`."""
    deadline = number(fields, "deadline_ms", 1, LONGEST_MS)
    return Ask({"thresh": number(fields, "thresh", 0, 1), "nms": number(fields, "nms", 0, 1)},
               camera(fields), flag(fields, "newest"), flag(fields, "annotate"),
               None if deadline is None else deadline / 1000)


def tell(result: Result, milliseconds: dict[str, float]) -> dict[str, Any]:
    """What was found; `objects` as `darkfuse detect --json` names them, with corners in pixels."""
    found = objects(result)
    for one, corners in zip(found, result.xyxy):
        one["pixels"] = {name: round(value, 2) for name, value in
                         zip(("left", "top", "right", "bottom"), corners)}
    broken = {"not_finite": result.not_finite} if result.not_finite else {}
    return {"width": result.width, "height": result.height, "objects": found, "ms": milliseconds, **broken}
