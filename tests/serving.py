"""A service to test, in this process and with the small model of tests/golden; `serving` is a fixture."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from darkfuse.live.serve.run import Serving, Wishes

GOLDEN = Path(__file__).resolve().parent / "golden"
PICTURE = (GOLDEN / "cat.png").read_bytes()
WISHES = Wishes(cfg=str(GOLDEN / "mini-alexeyab.cfg"), weights=str(GOLDEN / "mini-alexeyab.weights"),
                http=("127.0.0.1", 0), log="off", loading={"threads": 1}, mem="1G")


@contextlib.contextmanager
def opened(**wishes: Any) -> Iterator[Serving]:
    """A service that looks at a picture only when its `turn` is called."""
    pytest.importorskip("multipart")
    with contextlib.ExitStack() as stack:
        yield Serving(dataclasses.replace(WISHES, **wishes), stack)


@contextlib.contextmanager
def turning(serving: Serving) -> Iterator[None]:
    """Have it look at pictures as they come."""
    stop = threading.Event()

    def turn() -> None:
        while not stop.is_set():
            serving.turn(0.05)

    thread = threading.Thread(target=turn)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def serving() -> Iterator[Serving]:
    with opened() as running, turning(running):
        yield running


class Answer:
    """What came back."""

    def __init__(self, data: bytes) -> None:
        head, _, self.body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(first.split(" ")[1])
        pairs = (line.partition(":") for line in lines)
        self.headers = {name.lower(): value.strip() for name, _, value in pairs}

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def send(serving: Serving, method: str, target: str, body: bytes = b"", kind: str = "image/png",
         more: str = "", address: str = "127.0.0.1") -> socket.socket:
    """A connection on which a request was sent."""
    sock = socket.create_connection(("127.0.0.1", serving.door.port), 60, (address, 0))
    length = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n" if body or method == "POST" else ""
    head = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{serving.door.port}\r\n{length}{more}\r\n"
    sock.sendall(head.encode() + body)
    return sock


def received(sock: socket.socket) -> Answer:
    """The answer on a connection."""
    with sock:
        got = b""
        while piece := sock.recv(65536):
            got += piece
    return Answer(got)


def ask(serving: Serving, method: str, target: str, body: bytes = b"", kind: str = "image/png",
        more: str = "") -> Answer:
    """The answer to a request."""
    return received(send(serving, method, target, body, kind, more))


def form(picture: bytes | None = PICTURE, name: str = "image", **fields: str) -> tuple[bytes, str]:
    """A multipart form and its type."""
    parts = [f'--XyZ\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
             for key, value in fields.items()]
    if picture is not None:
        parts.append(f'--XyZ\r\nContent-Disposition: form-data; name="{name}"; filename="a.png"\r\n'
                     "Content-Type: image/png\r\n\r\n".encode() + picture + b"\r\n")
    return b"".join(parts) + b"--XyZ--\r\n", "multipart/form-data; boundary=XyZ"


def wait_for(condition: Any, seconds: float = 60) -> None:
    """Return when `condition()` holds; fail when it never does."""
    paused = threading.Event()
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        paused.wait(0.01)
    raise AssertionError("it never came to that")
