"""A live page's server to test, and those who talk to it; `server` and `film` are fixtures."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from darkfuse.live.web.server import Server
from darkfuse.live.web.state import State

RECORD = {"frame_id": 1, "objects": [], "latency_ms": 12.5, "fps": 8.0,
          "memory": {"now": 50 << 20, "peak": 60 << 20, "budget": 96 << 20}}
HOST = b"Host: 127.0.0.1\r\n"


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server("127.0.0.1", 0, State(0.5))
    running.update(RECORD)
    yield running
    running.close()


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def everything(sock: socket.socket) -> bytes:
    got = b""
    while piece := sock.recv(65536):
        got += piece
    return got


def ask(server: Server, data: bytes) -> bytes:
    with connect(server) as sock:
        sock.sendall(data)
        return everything(sock)


def status(answer: bytes) -> int:
    return int(answer.split(b" ")[1])


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def settle(server: Server, viewers: int = 0) -> None:
    until = time.monotonic() + 20
    while server.viewers != viewers and time.monotonic() < until:
        time.sleep(0.02)
    assert server.viewers == viewers


class Film(threading.Thread):
    """Hands the server a picture whenever it wants one, as the loop does."""

    def __init__(self, server: Server, size: int = 40_000) -> None:
        super().__init__(daemon=True)
        self.server, self.size, self.made, self.stop = server, size, 0, False
        self.start()

    def run(self) -> None:
        number = 0
        while not self.stop:
            number += 1
            if self.server.wants_picture():
                self.made += 1
                self.server.show(number, lambda number=number: number.to_bytes(4, "big") * (self.size // 4))
            time.sleep(0.005)


@pytest.fixture
def film(server: Server) -> Iterator[Film]:
    running = Film(server)
    yield running
    running.stop = True
    running.join()


def frames(sock: socket.socket, count: int) -> list[int]:
    """Numbers of the first `count` pictures of a stream, each checked to be whole."""
    reader = sock.makefile("rb")
    assert b"multipart/x-mixed-replace; boundary=darkfuse-frame" in reader.readline() + reader.read(400)
    reader.close()
    got, numbers = b"", []
    while len(numbers) < count:
        piece = sock.recv(65536)
        assert piece, "the stream ended"
        got += piece
        while (start := got.find(b"Content-Length: ")) >= 0 and (end := got.find(b"\r\n\r\n", start)) >= 0:
            size = int(got[start + 16: end].split(b"\r\n")[0])
            if len(got) < end + 4 + size + 4:
                break
            picture, got = got[end + 4: end + 4 + size], got[end + 4 + size:]
            assert picture == picture[:4] * (size // 4) and got.startswith(b"\r\n--")
            numbers.append(int.from_bytes(picture[:4], "big"))
    return numbers


def stream(server: Server, buffer: int | None = None) -> socket.socket:
    sock = socket.socket()
    if buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    sock.settimeout(20)
    sock.connect(("127.0.0.1", server.port))
    sock.sendall(b"GET /stream.mjpg HTTP/1.1\r\n" + HOST + b"\r\n")
    return sock
