"""What all forms of the interface have in common: a route, what a request asks for, what is told back."""

from __future__ import annotations

import json
from typing import Any, Callable, NamedTuple
from urllib.parse import parse_qsl

from darkfuse.detect.types import Result
from darkfuse.live.web.http import Refused, Request

JSON = "application/json"


class Ask(NamedTuple):
    """What is asked of a picture.

    Attributes
    ----------
    answers : dict
        Keywords of `Network.detect`; None where the request leaves them open.
    camera : str
        Whose picture it is; empty: the client's address stands for it.
    newest : bool
        A newer picture of the camera takes the place of this one.
    annotate : bool
        The picture with its boxes is wanted rather than what they are.
    deadline : float or None
        Seconds after which nobody waits for it.
    url : str
        Where the picture is to be fetched from, for a form that fetches.
    """

    answers: dict[str, Any]
    camera: str = ""
    newest: bool = False
    annotate: bool = False
    deadline: float | None = None
    url: str = ""


class Told(NamedTuple):
    """An answer: status, type, body."""

    status: int
    kind: str
    body: bytes


class Route(NamedTuple):
    """One address of a form.

    Attributes
    ----------
    method : str
    path : str
        With `{name}` for a part that may vary.
    about : str
        One line for the description.
    open : bool
        Whether no token is asked for.
    ask : callable or None
        (request, fields of its query and form) to `Ask`, for a route that looks at a picture.
    tell : callable
        For a picture: (result, milliseconds by stage) to a JSON value; else (request) to `Told`.
    refuse : callable
        (status, message) to a JSON value.
    fetches : bool
        The picture is named by an address rather than sent.
    key : str
        A field of the form that may hold the token.
    parameters : dict of str to dict
        JSON schemas of the fields.
    defaults : dict
        Keywords of `Network.detect` where neither request nor command say something.
    gives : dict of str to dict
        JSON schemas of what is told, by media type.
    takes : bool
        `tell` is given the body too: (request, body).
    """

    method: str
    path: str
    about: str
    tell: Callable[..., Any]
    ask: Callable[[Request, dict[str, str]], Ask] | None = None
    refuse: Callable[[int, str], Any] = lambda status, message: {"error": message}
    open: bool = False
    fetches: bool = False
    key: str = ""
    parameters: dict[str, dict[str, Any]] = {}
    defaults: dict[str, Any] = {}
    gives: dict[str, dict[str, Any]] = {JSON: {"type": "object"}}
    takes: bool = False


Refusal = Callable[[int, str], Any]
Telling = Callable[[Result, dict[str, float]], Any]


def told(value: Any, status: int = 200) -> Told:
    """A JSON answer."""
    return Told(status, JSON, json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n")


def query(request: Request) -> dict[str, str]:
    """The fields of a request's query; the first of a name counts. Raises `Refused`."""
    try:
        pairs = parse_qsl(request.query, keep_blank_values=True, max_num_fields=32, errors="strict")
    except ValueError:  # too many, or no UTF-8
        raise Refused(400, message="the query cannot be read") from None
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields.setdefault(name, value)
    return fields


def number(fields: dict[str, str], name: str, least: float, most: float) -> float | None:
    """A field as a number, None where it is not there. Raises `Refused`."""
    text = fields.get(name)
    if text is None or text == "":
        return None
    try:
        value = float(text)
    except ValueError:
        value = least - 1
    if not (text.isascii() and least <= value <= most):
        raise Refused(400, message=f"{name} is a number from {least:g} to {most:g}")
    return value


def flag(fields: dict[str, str], name: str) -> bool:
    """A field that says yes or no. Raises `Refused`."""
    text = fields.get(name, "0").lower()
    if text not in ("", "0", "1", "true", "false", "yes", "no"):
        raise Refused(400, message=f"{name} is 1 or 0")
    return text in ("1", "true", "yes")


def camera(fields: dict[str, str]) -> str:
    """The name of a camera. Raises `Refused`."""
    name = fields.get("camera", "")
    if len(name) > 64 or not name.isprintable():
        raise Refused(400, message="camera is a name of at most 64 characters")
    return name
