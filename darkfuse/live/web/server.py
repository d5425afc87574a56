"""The server of the live page: a viewer who reads slowly gets fewer pictures, and everybody the newest.

One who does not read at all is dropped, and so is, oldest first, whoever still holds an old picture when
those held together pass a limit. Pictures are compressed once for everybody, only while somebody is ready for
one, and not more often than leaves detection nearly all of the time.
"""

from __future__ import annotations

import json
import struct
import time
from pathlib import Path
from typing import Any, Callable

from darkfuse.live.web.http import Body, Refused, Request, answer, is_ours
from darkfuse.live.web.hub import Connection, Hub
from darkfuse.live.web.state import State

HELD_BYTES = 2 << 20  # of old pictures not yet sent
BODY_BYTES = 256  # of what the page asks for
REPEAT_S = 5.0  # a still picture, or silence, is sent again: so a viewer who has gone is noticed
FASTEST = 1 / 20  # seconds from picture to picture
EVENTS_S = 1 / 10  # seconds from event to event
SHARE = 1 / 30  # of the time compressing and sending may take
_BOUNDARY = b"darkfuse-frame"
_STREAM = "multipart/x-mixed-replace; boundary=" + _BOUNDARY.decode()
_JSON = "application/json"
_ENDLESS = {"/stream.mjpg": ("stream", _STREAM), "/frames": ("frames", "application/octet-stream"),
            "/events": ("events", "text/event-stream")}
PICTURES = ("stream", "frames")  # kinds of viewers that get pictures
FAREWELL_S = 1.0  # how long the last news may take to be sent


class Server(Hub):
    """The live page on `host`:`port`; see `Hub`."""

    def __init__(self, host: str, port: int, state: State) -> None:
        self.state = state
        self._page = (Path(__file__).parent / "page.html").read_bytes()
        self._picture: tuple[int, Any, bytes] = (0, None, b"")
        self._next, self._cost = 0.0, 0.0
        self._hungry = False
        self._spent = 0.0  # of the server's thread, when pictures were paid for last
        super().__init__(host, port)

    @property
    def shown(self) -> int:
        """Number of the latest picture handed over."""
        return self._picture[0]

    def wants_picture(self) -> bool:
        """Whether somebody is ready for a picture, and the time to make one is there."""
        return self._hungry and time.monotonic() >= self._next

    def show(self, number: int, compress: Callable[[], Any], record: Any = None) -> None:
        """Hand over picture `number`; `compress` gives its JPEG as a buffer, `record` says what was found
        in it. Call when `wants_picture`."""
        began = time.monotonic()
        self._picture = (number, compress(), json.dumps(record or {}, separators=(",", ":")).encode())
        self._hungry = False
        now = time.monotonic()
        spent = now - began + self._cost  # sending the pictures before cost the server's thread
        self._cost = 0.0
        self._next = now + max(FASTEST, spent / SHARE)
        self.wake()

    def update(self, record: Any) -> None:
        """Hand over a frame's figures; see `State.update`."""
        self.state.update(record)
        if self._connections:
            self.wake()

    def finish(self) -> None:
        """Wait, not for long, until whoever watches has the last news."""
        until = time.monotonic() + FAREWELL_S
        self.wake()
        while time.monotonic() < until and not all(
                viewer.sent == self.state.stamp() and not viewer.out
                for viewer in list(self._connections.values()) if viewer.kind == "events"):
            time.sleep(0.01)

    def begin(self, viewer: Connection, request: Request) -> Body:
        """See `Hub.begin`: refuses what there is not, before a byte of a body is taken."""
        if not is_ours(request.headers.get("host", ""), self._host):
            raise Refused(403)
        path = request.path
        wanted = "POST" if path == "/control" else "GET"
        if path not in ("/", "/detections.json", "/history.json", "/control", *_ENDLESS):
            raise Refused(404)
        if request.method != wanted:
            raise Refused(405, f"Allow: {wanted}\r\n")
        return Body(BODY_BYTES)

    def serve(self, viewer: Connection, request: Request, body: Any) -> None:
        """See `Hub.serve`."""
        path, state = request.path, self.state
        if path == "/":
            self.say(viewer, answer(200, "text/html; charset=utf-8", self._page))
        elif path == "/detections.json":
            self.say(viewer, answer(200, _JSON, state.json()))
        elif path == "/history.json":
            self.say(viewer, answer(200, _JSON, state.history()))
        elif path == "/control":
            # a form on another page cannot send this type without asking first, and is never allowed to
            if request.headers.get("content-type", "").partition(";")[0].strip() != _JSON:
                raise Refused(415)
            if not state.control(bytes(body.data)):
                raise Refused(400)
            self.say(viewer, answer(200, _JSON, state.json()))
        else:
            viewer.kind, kind = _ENDLESS[path]
            head = answer(200, kind, with_length=False)
            if viewer.kind == "stream":
                head += b"--" + _BOUNDARY
            self.queue(viewer, head)

    def refill(self, viewer: Connection, now: float) -> None:
        """Give a viewer who has read everything the newest there is, if that is new to him."""
        still = now - viewer.since > REPEAT_S
        if viewer.kind in PICTURES:
            number, picture, told = self._picture
            if picture is None or (number == viewer.sent and not still):
                return
            viewer.sent, viewer.picture = number, picture
            size = memoryview(picture).nbytes
            if viewer.kind == "frames":  # how many bytes each has, then what was found and in what
                self.queue(viewer, struct.pack(">II", len(told), size) + told, picture)
            else:
                head = f"\r\nContent-Type: image/jpeg\r\nContent-Length: {size}\r\n\r\n".encode()
                self.queue(viewer, head, picture, b"\r\n--" + _BOUNDARY)
        elif viewer.kind == "events":
            stamp = self.state.stamp()
            soon = viewer.sent is None or stamp[1] != viewer.sent[1] or now - viewer.since >= EVENTS_S
            if stamp != viewer.sent and soon:
                viewer.sent = stamp
                self.queue(viewer, b"data: " + self.state.json() + b"\n\n")
            elif still:
                self.queue(viewer, b": still here\n\n")

    def bound(self) -> None:
        """Keep what is held of old pictures within its limit; note who is ready, and what the thread took."""
        self._hungry = any(v.kind in PICTURES and not v.out for v in self._connections.values())
        spent = time.thread_time()
        self._cost, self._spent = self._cost + spent - self._spent, spent
        holding = [v for v in self._connections.values() if v.picture is not None]
        held = {id(v.picture): memoryview(v.picture).nbytes for v in holding}
        while sum(held.values()) > HELD_BYTES:
            oldest = min(holding, key=lambda v: v.sent)
            held.pop(id(oldest.picture), None)
            self.drop(oldest)
            holding.remove(oldest)
