"""Obico's form: `GET /p/?img=<address>`, boxes in pixels around their centres; `GET /hc/`.

Threshold and NMS are those its own service uses. Errors have its shape too: 422 where no address was given,
400 where it leads to no picture.
"""

from __future__ import annotations

from typing import Any

from darkfuse.detect.types import Result
from darkfuse.live.serve.form import Ask, Route, Told, query
from darkfuse.live.web.http import Refused, Request

THRESH, NMS = 0.08, 0.45
LONGEST = 2048  # characters of an address


def routes() -> list[Route]:
    """The form's addresses."""
    url = {"img": {"type": "string", "maxLength": LONGEST, "description": "Address of the picture."}}
    return [Route("GET", "/p/", "Objects in the picture at an address (Obico's form).", tell, ask, refuse,
                  fetches=True, parameters=url, defaults={"thresh": THRESH, "nms": NMS}),
            Route("GET", "/hc/", "Whether the service is there (Obico's form).", health, open=True,
                  gives={"text/plain": {"type": "string"}})]


def ask(request: Request, _fields: dict[str, str]) -> Ask:
    """What a request asks for. Raises `Refused`."""
    url = query(request).get("img", "")
    if not url or len(url) > LONGEST:
        raise Refused(422, message="Invalid request params: img is the address of a picture")
    return Ask({}, url=url)


def tell(result: Result, _milliseconds: dict[str, float]) -> dict[str, Any]:
    """What was found."""
    width, height = result.width, result.height
    return {"detections": [
        [d.name, d.confidence, [d.box.cx * width, d.box.cy * height, d.box.w * width, d.box.h * height]]
        for d in result.detections]}


def refuse(_status: int, message: str) -> dict[str, Any]:
    """An error."""
    return {"detections": [], "message": message}


def health(_request: Request) -> Told:
    """`ok`."""
    return Told(200, "text/plain; charset=utf-8", b"ok")
