"""The server of the live page: one thread for everybody, and a viewer can cost no more than his share.

A viewer who reads slowly gets fewer pictures: what he is sent next is the newest there is. One who does not
read at all is dropped, and so is, oldest first, whoever still holds an old picture when those held together
pass a limit. Pictures are compressed once for everybody, only while somebody is ready for one, and not more
often than leaves detection nearly all of the time.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
import time
from pathlib import Path
from typing import Any, Callable

from darkfuse.errors import DarkfuseError
from darkfuse.live.web.http import Refused, Request, answer, is_ours, parse
from darkfuse.live.web.state import State

VIEWERS = 128  # connections; a page that is open has two
HELD_BYTES = 2 << 20  # of old pictures not yet sent
SEND_BYTES = 128 << 10  # the kernel keeps for one viewer
REQUEST_S, STALL_S, LINGER_S = 5.0, 10.0, 1.0
DEAF_S = 0.25  # nobody is let in for so long when there are no descriptors
REPEAT_S = 5.0  # a still picture, or silence, is sent again: so a viewer who has gone is noticed
FASTEST = 1 / 20  # seconds from picture to picture
EVENTS_S = 1 / 10  # seconds from event to event
SHARE = 1 / 30  # of the time compressing and sending may take
_BOUNDARY = b"darkfuse-frame"
_STREAM = "multipart/x-mixed-replace; boundary=" + _BOUNDARY.decode()
_JSON = "application/json"


class Viewer:
    """One connection."""

    __slots__ = ("sock", "address", "began", "kind", "got", "out", "deadline", "sent", "picture", "since")

    def __init__(self, sock: socket.socket, address: str, now: float) -> None:
        self.address, self.began = address, now
        self.sock, self.kind = sock, "request"  # then "stream", "events" or "leaving"
        self.got = bytearray()
        self.out: list[memoryview] = []
        self.deadline = now + REQUEST_S
        self.sent: Any = None  # number of the picture, or stamp of the state, sent last
        self.picture: Any = None  # bytes being sent, shared with other viewers
        self.since = now  # when something was sent last


class Server:
    """The live page on `host`:`port` (0: any free port), from construction until `close`.

    Raises
    ------
    DarkfuseError
        The address cannot be used.
    """

    def __init__(self, host: str, port: int, state: State) -> None:
        self.state, self._host = state, host
        self._page = (Path(__file__).parent / "page.html").read_bytes()
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
            self._listener = socket.create_server((host, port), family=family, backlog=64)
        except (OSError, OverflowError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or error
            raise DarkfuseError(f"--http {host}:{port}: cannot listen there: {why}") from None
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self.port}/"
        self._viewers: dict[int, Viewer] = {}
        self._picture: tuple[int, Any] = (0, None)
        self._next, self._cost = 0.0, 0.0
        self._hungry = False
        self._wake_in, self._wake_out = os.pipe()
        for end in (self._wake_in, self._wake_out):
            os.set_blocking(end, False)
        self._select = selectors.DefaultSelector()
        self._select.register(self._listener, selectors.EVENT_READ)
        self._select.register(self._wake_in, selectors.EVENT_READ)
        self._deaf_until = 0.0  # 0: new connections are heard
        self._stop = False
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Say goodbye to everybody and free the port."""
        self._stop = True
        self._wake()
        self._thread.join()
        for viewer in list(self._viewers.values()):
            self._drop(viewer)
        self._select.close()
        self._listener.close()
        os.close(self._wake_in)
        os.close(self._wake_out)

    @property
    def viewers(self) -> int:
        """Connections now."""
        return len(self._viewers)

    @property
    def shown(self) -> int:
        """Number of the latest picture handed over."""
        return self._picture[0]

    def wants_picture(self) -> bool:
        """Whether somebody is ready for a picture, and the time to make one is there."""
        return self._hungry and time.monotonic() >= self._next

    def show(self, number: int, compress: Callable[[], Any]) -> None:
        """Hand over picture `number`; `compress` gives its JPEG as a buffer. Call when `wants_picture`."""
        began = time.monotonic()
        self._picture = (number, compress())
        self._hungry = False
        now = time.monotonic()
        spent = now - began + self._cost  # sending the pictures before cost the server's thread
        self._cost = 0.0
        self._next = now + max(FASTEST, spent / SHARE)
        self._wake()

    def update(self, record: Any) -> None:
        """Hand over a frame's figures; see `State.update`."""
        self.state.update(record)
        if self._viewers:
            self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # so many are there that it will wake anyway
            os.write(self._wake_out, b"x")

    def _run(self) -> None:
        began = time.thread_time()
        while not self._stop:
            if self._deaf_until and time.monotonic() >= self._deaf_until:
                self._deaf_until = 0.0
                self._select.register(self._listener, selectors.EVENT_READ)
            for key, mask in self._select.select(DEAF_S if self._deaf_until else 1.0):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.data is None:
                    os.read(self._wake_in, 4096)
                else:
                    viewer: Viewer = key.data
                    if mask & selectors.EVENT_READ and viewer.sock.fileno() >= 0:
                        self._read(viewer)
                    if mask & selectors.EVENT_WRITE and viewer.sock.fileno() >= 0:
                        self._send(viewer)
            now = time.monotonic()
            hungry = False
            for viewer in list(self._viewers.values()):
                if not viewer.out and viewer.kind in ("stream", "events"):
                    self._refill(viewer, now)
                    hungry |= viewer.kind == "stream" and not viewer.out
                elif now > viewer.deadline:
                    self._expire(viewer)
            self._hungry = hungry
            self._bound()
            ended = time.thread_time()
            self._cost, began = self._cost + ended - began, ended

    def _accept(self) -> None:
        try:
            sock, address = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionError):
            return  # gone again
        except OSError:  # no descriptor or memory left: who waits would wake this thread again and again
            self._select.unregister(self._listener)
            self._deaf_until = time.monotonic() + DEAF_S
            return
        try:
            sock.setblocking(False)
            if len(self._viewers) >= VIEWERS:
                self._make_room(address[0])
            if len(self._viewers) >= VIEWERS:
                sock.send(answer(503, more="Retry-After: 5\r\n"))
                sock.close()
                return
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            sock.close()
            return
        viewer = Viewer(sock, address[0], time.monotonic())
        self._viewers[sock.fileno()] = viewer
        self._select.register(sock, selectors.EVENT_READ, viewer)

    def _make_room(self, address: str) -> None:
        """Who has asked for nothing yet, or has his answer, goes first; then, for one from elsewhere, the
        oldest of an address that holds more than half of the places."""
        waiting = [v for v in self._viewers.values() if v.kind in ("request", "leaving")]
        if not waiting:
            held: dict[str, list[Viewer]] = {}
            for viewer in self._viewers.values():
                held.setdefault(viewer.address, []).append(viewer)
            most = max(held, key=lambda one: len(held[one]))
            waiting = held[most] if most != address and len(held[most]) > VIEWERS // 2 else []
        if waiting:
            self._drop(min(waiting, key=lambda v: v.began))

    def _read(self, viewer: Viewer) -> None:
        try:
            data = viewer.sock.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(viewer)
        elif viewer.kind == "request":
            viewer.got += data
            try:
                request = parse(viewer.got)
                if request is not None:
                    self._serve(viewer, request)
            except Refused as refused:
                self._say(viewer, answer(refused.status, more=refused.header))
        elif viewer.kind != "leaving":
            self._drop(viewer)  # a stream's viewer has nothing to say

    def _serve(self, viewer: Viewer, request: Request) -> None:
        if not is_ours(request.headers.get("host", ""), self._host):
            raise Refused(403)
        path, state = request.path, self.state
        wanted = "POST" if path == "/control" else "GET"
        if path not in ("/", "/stream.mjpg", "/events", "/detections.json", "/history.json", "/control"):
            raise Refused(404)
        if request.method != wanted:
            raise Refused(405, f"Allow: {wanted}\r\n")
        if path == "/":
            self._say(viewer, answer(200, "text/html; charset=utf-8", self._page))
        elif path == "/detections.json":
            self._say(viewer, answer(200, _JSON, state.json()))
        elif path == "/history.json":
            self._say(viewer, answer(200, _JSON, state.history()))
        elif path == "/control":
            # a form on another page cannot send this type without asking first, and is never allowed to
            if request.headers.get("content-type", "").partition(";")[0].strip() != _JSON:
                raise Refused(415)
            if not state.control(request.body):
                raise Refused(400)
            self._say(viewer, answer(200, _JSON, state.json()))
        else:
            viewer.kind = "stream" if path == "/stream.mjpg" else "events"
            kind = _STREAM if viewer.kind == "stream" else "text/event-stream"
            head = answer(200, kind, with_length=False)
            if viewer.kind == "stream":
                head += b"--" + _BOUNDARY
            self._queue(viewer, head)

    def _say(self, viewer: Viewer, data: bytes) -> None:
        """Send a whole answer; the connection ends after it."""
        viewer.kind = "leaving"
        self._queue(viewer, data)

    def _queue(self, viewer: Viewer, *pieces: Any) -> None:
        viewer.got = bytearray()
        viewer.since = time.monotonic()
        viewer.deadline = viewer.since + STALL_S
        viewer.out = [memoryview(piece).cast("B") for piece in pieces]
        self._send(viewer)

    def _refill(self, viewer: Viewer, now: float) -> None:
        """Give a viewer who has read everything the newest there is, if that is new to him."""
        still = now - viewer.since > REPEAT_S
        if viewer.kind == "stream":
            number, picture = self._picture
            if picture is not None and (still or number != viewer.sent):
                viewer.sent, viewer.picture = number, picture
                size = memoryview(picture).nbytes
                head = f"\r\nContent-Type: image/jpeg\r\nContent-Length: {size}\r\n\r\n".encode()
                self._queue(viewer, head, picture, b"\r\n--" + _BOUNDARY)
        elif viewer.kind == "events":
            stamp = self.state.stamp()
            soon = viewer.sent is None or stamp[1] != viewer.sent[1] or now - viewer.since >= EVENTS_S
            if stamp != viewer.sent and soon:
                viewer.sent = stamp
                self._queue(viewer, b"data: " + self.state.json() + b"\n\n")
            elif still:
                self._queue(viewer, b": still here\n\n")

    def _send(self, viewer: Viewer) -> None:
        while viewer.out:
            try:
                count = viewer.sock.sendmsg(viewer.out)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                self._drop(viewer)
                return
            viewer.deadline = time.monotonic() + STALL_S
            while count:
                piece = viewer.out[0]
                if count < len(piece):
                    viewer.out[0] = piece[count:]
                    break
                count -= len(piece)
                del viewer.out[0]
        if not viewer.out:
            viewer.picture = None
            if viewer.kind == "leaving":
                self._part(viewer)
        mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if viewer.out else 0)
        if self._select.get_key(viewer.sock).events != mask:
            self._select.modify(viewer.sock, mask, viewer)

    def _part(self, viewer: Viewer) -> None:
        """All is sent. Closing now, with something unread, would take it back: wait for the other side."""
        viewer.deadline = time.monotonic() + LINGER_S
        try:
            viewer.sock.shutdown(socket.SHUT_WR)
        except OSError:
            viewer.deadline = 0.0

    def _expire(self, viewer: Viewer) -> None:
        if viewer.kind == "request":
            self._say(viewer, answer(408))
        else:
            self._drop(viewer)

    def _bound(self) -> None:
        """Keep what is held of old pictures within its limit."""
        holding = [v for v in self._viewers.values() if v.picture is not None]
        held = {id(v.picture): memoryview(v.picture).nbytes for v in holding}
        while sum(held.values()) > HELD_BYTES:
            oldest = min(holding, key=lambda v: v.sent)
            held.pop(id(oldest.picture), None)
            self._drop(oldest)
            holding.remove(oldest)

    def _drop(self, viewer: Viewer) -> None:
        number = viewer.sock.fileno()
        if number < 0:
            return
        self._select.unregister(viewer.sock)
        del self._viewers[number]
        viewer.out, viewer.picture = [], None
        viewer.sock.close()
