"""HTTP over sockets: real servers, and requests that are sent to them in one piece or in several."""

from __future__ import annotations

import contextlib
import functools
import socket
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from darkfuse.errors import DarkfuseError
from darkfuse.host.extras import need
from darkfuse.live.web.server import Server
from darkfuse.live.web.state import State

GET = b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
PAGE = (b"/", b"/stream.mjpg", b"/events", b"/detections.json", b"/history.json", b"/nothing")
SERVE = (b"/", b"/metrics", b"/openapi.json", b"/healthz", b"/v1/status/ping", b"/nothing")
PICTURE = Path(__file__).resolve().parent.parent / "golden" / "cat.png"
WAIT_S = 30.0  # for an answer, on a machine that is busy
RECORD = {"objects": [], "latency_ms": 1.0, "memory": {"now": 1, "peak": 1, "budget": None}}


@functools.cache
def page() -> Any:
    """The live page, on loopback, with a frame to show."""
    made = Server("127.0.0.1", 0, State(0.5))
    made.update(RECORD)
    made.show(1, lambda: b"\xff\xd8not really\xff\xd9")
    return made


@functools.cache
def serving() -> Any:
    """`serve` with a small network. It fetches no pictures: who knows where from."""
    sys.path.insert(0, str(PICTURE.parent.parent))
    from serving import Serving, opened

    stack = contextlib.ExitStack()
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="darkfuse-fuzz-"))
    made: Serving = stack.enter_context(opened(api=("deepstack", "codeproject"), zmq=f"ipc://{folder}/zmq"))

    def turn() -> None:
        while True:
            made.turn(1.0)

    threading.Thread(target=turn, daemon=True).start()
    _KEEP.append(stack)
    return made


_KEEP: list[Any] = []  # lives as long as the process


def can_serve() -> bool:
    """Whether `serve` has what it needs here, for all of its forms."""
    try:
        for module in ("multipart", "paho.mqtt.client", "zmq"):
            need(module, "serve")
    except DarkfuseError:
        return False
    return True


def page_seeds(post: bytes) -> list[bytes]:
    return [post, *(GET % path for path in PAGE)]


def service_seeds() -> list[bytes]:
    picture = PICTURE.read_bytes()
    bare = b"POST /detect?thresh=0.3 HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(picture)
    head = b'--X\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    body = head + picture + b"\r\n--X--\r\n"
    form = (b"POST /v1/vision/detection HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; "
            b"boundary=X\r\nContent-Length: %d\r\n\r\n" % len(body))
    return [bare + picture, form + body, *(GET % path for path in SERVE)]


def send(port: int, data: bytes) -> bytes:
    """Send it, say that there is no more, and read until the server has nothing more to say."""
    with socket.create_connection(("127.0.0.1", port), WAIT_S) as connection:
        cut = len(data) // 2 if len(data) % 3 == 0 else len(data)
        answer = b""
        try:
            for piece in (data[:cut], data[cut:]):
                connection.sendall(piece)
            connection.shutdown(socket.SHUT_WR)
            while more := connection.recv(1 << 16):
                answer += more
        except ConnectionError:  # refused before it was all sent, which a server may do
            pass
    return answer


def ask(there: Any, data: bytes) -> bytes:
    """The answer of a server in this process, which must still live."""
    answer = send(there.port, data)
    if answer and not answer.startswith(b"HTTP/1.1 "):
        raise AssertionError(f"an answer that begins with {answer[:40]!r}")
    if answer.startswith(b"HTTP/1.1 500"):
        raise AssertionError(f"an error of its own: {answer[-300:]!r}")
    if not there._thread.is_alive():
        raise AssertionError(f"the server's thread is gone; {threading.active_count()} are left")
    return answer
