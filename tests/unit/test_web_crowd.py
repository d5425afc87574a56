"""The live page under attack: no descriptors left, every place taken. Honest viewers still get in."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from test_web import HOST, RECORD, ask, connect, settle, status

from darkfuse.live.web import hub
from darkfuse.live.web.server import Server
from darkfuse.live.web.state import State

PAGE = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server("127.0.0.1", 0, State(0.5))
    running.update(RECORD)
    yield running
    running.close()


def test_slow_connections_lock_nobody_out(server: Server) -> None:
    """Every place taken by someone who never finishes his request, and more keep coming."""
    with contextlib.ExitStack() as stack:
        for _ in range(hub.PLACES):
            sock = stack.enter_context(connect(server))
            sock.sendall(b"GET / HT")
        settle(server, hub.PLACES)
        for _ in range(5):
            assert status(ask(server, PAGE)) == 200
            stack.enter_context(connect(server)).sendall(b"GET")
    settle(server)


def test_streams_of_one_address_lock_nobody_else_out(server: Server) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(hub.PLACES):
            sock = socket.create_connection(("127.0.0.1", server.port), 20, ("127.0.0.2", 0))
            stack.enter_context(sock).sendall(b"GET /events HTTP/1.1\r\n" + HOST + b"\r\n")
            sock.recv(1)
        settle(server, hub.PLACES)
        more = socket.create_connection(("127.0.0.1", server.port), 20, ("127.0.0.2", 0))
        with more:
            assert status(more.recv(65536)) == 503  # his own are not closed for him
        assert status(ask(server, PAGE)) == 200
    settle(server)


def test_without_descriptors_the_thread_does_not_spin(server: Server, monkeypatch: Any) -> None:
    """EMFILE leaves the connection waiting: the loop must not come round for it at once."""
    accepts = []
    accept = Server._accept

    def counted(self: Server) -> None:
        accepts.append(time.monotonic())
        accept(self)

    monkeypatch.setattr(Server, "_accept", counted)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    waiting = socket.socket()
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        waiting.connect(("127.0.0.1", server.port))
        waiting.sendall(PAGE)
        until = time.monotonic() + 20
        while len(accepts) < 3 and time.monotonic() < until:
            time.sleep(0.01)
        assert accepts[2] - accepts[0] >= hub.DEAF_S  # and it has not come round hundreds of times
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    waiting.settimeout(20)
    assert status(waiting.recv(65536)) == 200
    waiting.close()
