"""HTTP over sockets: a real server, and requests that are sent to it in one piece or in several."""

from __future__ import annotations

import functools
import socket
import threading

from darkfuse.live.web.server import Server
from darkfuse.live.web.state import State

PATHS = (b"/", b"/stream.mjpg", b"/events", b"/detections.json", b"/history.json", b"/nothing")
WAIT_S = 30.0  # for an answer, on a machine that is busy
RECORD = {"objects": [], "latency_ms": 1.0, "memory": {"now": 1, "peak": 1, "budget": None}}


@functools.cache
def server() -> Server:
    """One for the process, on loopback, with a frame to show."""
    made = Server("127.0.0.1", 0, State(0.5))
    made.update(RECORD)
    made.show(1, lambda: b"\xff\xd8not really\xff\xd9")
    return made


def seeds(post: bytes) -> list[bytes]:
    return [post, *(b"GET " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" for path in PATHS)]


def ask(data: bytes) -> bytes:
    """Send it, say that there is no more, and read until the server has nothing more to say."""
    there = server()
    with socket.create_connection(("127.0.0.1", there.port), WAIT_S) as connection:
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
    if answer and not answer.startswith(b"HTTP/1.1 "):
        raise AssertionError(f"an answer that begins with {answer[:40]!r}")
    if not there._thread.is_alive():
        raise AssertionError(f"the server's thread is gone; {threading.active_count()} are left")
    return answer
