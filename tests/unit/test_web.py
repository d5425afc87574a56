"""The live page's server: what it refuses, and that no viewer costs more than his share."""

from __future__ import annotations

import json
import socket
import time

import pytest
from livepage import HOST, RECORD, ask, connect, descriptors, everything, settle, status, stream

from darkfuse.errors import DarkfuseError
from darkfuse.live.web import hub
from darkfuse.live.web import server as web
from darkfuse.live.web.http import Refused, is_ours, parse
from darkfuse.live.web.server import Server
from darkfuse.live.web.state import POINTS, State


@pytest.mark.parametrize(("request_bytes", "expected"), [
    (b"GET / HTTP/1.1\r\n" + HOST + b"\r\n", 200),
    (b"GET /?x=1 HTTP/1.0\r\n" + HOST + b"\r\n", 200),
    (b"GET /detections.json HTTP/1.1\r\n" + HOST + b"\r\n", 200),
    (b"GET /history.json HTTP/1.1\r\n" + HOST + b"\r\n", 200),
    (b"GET /page.html HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    (b"GET /server.py HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    (b"GET /../server.py HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    (b"GET /%2e%2e/server.py HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    (b"GET //etc/passwd HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    (b"GET /stream.mjpg/../../etc/passwd HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    (b"GET /\0 HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    (b"GET /etc/passwd HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    (b"GET http://127.0.0.1/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET / HTTP/1.1 \r\n" + HOST + b"\r\n", 400),
    (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    (b"GET / SPDY\r\n" + HOST + b"\r\n", 400),
    (b"\r\n\r\n", 400),
    (b"\xff\xfe\r\n\r\n", 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),  # somebody tries TLS
    (b"GET / HTTP/1.1\r\nHost : 127.0.0.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
    (b"GET / HTTP/1.1\r\n\r\n", 403),
    (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
    (b"GET /stream.mjpg HTTP/1.1\r\nHost: 127.0.0.1.evil.example:80\r\n\r\n", 403),
    (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n", 405),
    (b"HEAD / HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    (b"DELETE /control HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    (b"GET /control HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    (b"POST /control HTTP/1.1\r\n" + HOST + b"\r\n", 411),
    (b"POST /control HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n", 411),
    (b"POST /control HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n", 400),
    (b"POST /control HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999999\r\n\r\n", 413),
    (b"POST /control HTTP/1.1\r\n" + HOST + b"Content-Length: 257\r\n\r\n", 413),
    (b"POST /control HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\n{}", 415),
    (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 431),
    (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"y" * 9000 + b"\r\n\r\n", 431),
    (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"y" * 300_000, 431),  # and no end of it
])
def test_requests(server: Server, request_bytes: bytes, expected: int) -> None:
    answer = ask(server, request_bytes)
    assert status(answer) == expected
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head and b"Content-Security-Policy" in head
    if expected != 200:
        assert len(body) < 60
    settle(server)


def test_a_request_in_single_bytes_is_understood(server: Server) -> None:
    with connect(server) as sock:
        for byte in b"GET /detections.json HTTP/1.1\r\n" + HOST + b"\r\n":
            sock.sendall(bytes([byte]))
        assert json.loads(everything(sock).partition(b"\r\n\r\n")[2])["latency_ms"] == 12.5


@pytest.mark.parametrize("part", [b"", b"GET / HT", b"POST /control HTTP/1.1\r\n" + HOST
                                  + b"Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{"])
def test_slow_requests_are_ended(server: Server, monkeypatch: pytest.MonkeyPatch, part: bytes) -> None:
    monkeypatch.setattr(hub, "REQUEST_S", 0.5)
    with connect(server) as sock:
        sock.sendall(part)
        assert status(everything(sock)) == 408
    settle(server)


def test_dribbling_does_not_buy_time(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "REQUEST_S", 1.0)
    with connect(server) as sock:
        sock.settimeout(0.1)
        got, until = b"", time.monotonic() + 15
        sock.sendall(b"GET / HTTP/1.1\r\nX: ")
        while not got and time.monotonic() < until:
            try:
                sock.sendall(b"y")
                got = sock.recv(4096)
            except socket.timeout:
                continue
        assert status(got) == 408


def post(server: Server, body: bytes, kind: bytes = b"application/json") -> bytes:
    return ask(server, b"POST /control HTTP/1.1\r\n" + HOST + b"Content-Type: " + kind
               + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def test_controls(server: Server) -> None:
    told = json.loads(post(server, b'{"thresh": 0.25, "paused": true}').partition(b"\r\n\r\n")[2])
    assert (told["thresh"], told["paused"]) == (0.25, True)
    assert (server.state.thresh, server.state.paused) == (0.25, True)


@pytest.mark.parametrize("body", [
    b"", b"{}", b"[]", b"{", b"1", b'{"thresh": 2}', b'{"thresh": -0.1}', b'{"thresh": "0.5"}',
    b'{"thresh": true}', b'{"thresh": NaN}', b'{"thresh": 1e999}', b'{"paused": 1}',
    b'{"out": "/etc/passwd"}',
    b'{"thresh": 0.5, "x": 1}', b"[" * 256, b"\xff\xfe", b'{"thresh": null}'])
def test_nonsense_controls_change_nothing(server: Server, body: bytes) -> None:
    assert status(post(server, body)) == 400
    assert (server.state.thresh, server.state.paused) == (0.5, False)


def test_a_form_on_another_page_controls_nothing(server: Server) -> None:
    for kind in (b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data"):
        assert status(post(server, b'{"paused": true}', kind)) == 415
    assert not server.state.paused


@pytest.mark.parametrize(("host", "ours"), [
    ("localhost", True), ("LOCALHOST:8080", True), ("127.0.0.1", True), ("192.168.1.5:80", True),
    ("[::1]:8080", True), ("[fe80::1]", True), ("", False), ("evil.example", False),
    ("localhost.evil", False),
    ("127.0.0.1.evil", False), ("[]", False), (":80", False), ("camera.lan", True), ("ml_api:3333", True)])
def test_names_of_this_machine(host: str, ours: bool) -> None:
    assert is_ours(host, "camera.lan") == ours


def test_parse_takes_what_a_browser_sends() -> None:
    data = b"POST /control?x HTTP/1.1\r\nHost: a\r\nCookie: b=c: d\r\nContent-Length: 3\r\n\r\nabcd"
    got = parse(data)
    assert got is not None and data[got[1]:] == b"abcd"
    request = got[0]
    assert (request.path, request.query, request.length) == ("/control", "x", 3)
    assert request.headers["cookie"] == "b=c: d"
    assert parse(b"GET / HTTP/1.1\r\nHost: a\r\n") is None
    with pytest.raises(Refused):
        parse(b"GET / HTTP/1.1\r\nno colon\r\n\r\n")


def test_events(server: Server) -> None:
    with connect(server) as sock:
        sock.sendall(b"GET /events HTTP/1.1\r\n" + HOST + b"\r\n")
        reader = sock.makefile("rb")
        while reader.readline() != b"\r\n":
            pass
        line = reader.readline()
        assert json.loads(line[len(b"data: "):])["thresh"] == 0.5
        for number in range(2, 5):
            server.update({**RECORD, "frame_id": number})
            assert reader.readline() == b"\n"
            assert json.loads(reader.readline()[len(b"data: "):])["frame_id"] == number
            time.sleep(web.EVENTS_S)


def test_a_port_in_use_is_one_clear_line(server: Server) -> None:
    with pytest.raises(DarkfuseError, match=f"--http 127.0.0.1:{server.port}: cannot listen there"):
        Server("127.0.0.1", server.port, State(0.5))
    with pytest.raises(DarkfuseError, match="cannot listen there"):
        Server("no.such.host.invalid", 0, State(0.5))


def test_close_ends_every_viewer_and_frees_the_port() -> None:
    before = descriptors()
    running = Server("127.0.0.1", 0, State(0.5))
    with stream(running) as sock:
        settle(running, 1)
        running.close()
        everything(sock)
    assert descriptors() == before
    Server("127.0.0.1", running.port, State(0.5)).close()


def test_history_keeps_the_last_minutes_only(monkeypatch: pytest.MonkeyPatch) -> None:
    state, clock = State(0.5), [1000.0]
    monkeypatch.setattr("darkfuse.live.web.state.time.time", lambda: clock[0])
    for _ in range(POINTS + 50):
        clock[0] += 1
        for _ in range(3):  # several frames a second make one point
            state.update(RECORD)
    rows = json.loads(state.history())
    assert len(rows) == POINTS and rows[-1] == [clock[0], 12.5, 50 << 20]
