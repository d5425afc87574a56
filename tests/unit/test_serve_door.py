"""The service's door: forms, limits, tokens, deadlines, and who is answered what."""

from __future__ import annotations

import http.server
import json
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from serving import PICTURE, Answer, ask, form, opened, received, send, turning, wait_for

from darkfuse.detect.report import objects
from darkfuse.live.serve import door as doors
from darkfuse.live.serve.run import Serving
from darkfuse.session.network import load

WIDTH = int.from_bytes(PICTURE[16:20], "big")
THRESH = 0.34  # some forty objects


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What `darkfuse detect` finds in the picture."""
    golden = Path(__file__).resolve().parent.parent / "golden"
    with load(golden / "mini-alexeyab.cfg", golden / "mini-alexeyab.weights", threads=1, mem="1G") as net:
        return objects(net.detect(golden / "cat.png", thresh=THRESH))


def without_pixels(answer: Answer) -> list[dict[str, Any]]:
    return [{name: value for name, value in one.items() if name != "pixels"}
            for one in answer.json["objects"]]


def test_our_own_form(serving: Serving, found: list[dict[str, Any]]) -> None:
    raw = ask(serving, "POST", f"/detect?thresh={THRESH}", PICTURE)
    body, kind = form(thresh=str(THRESH))
    posted = ask(serving, "POST", "/detect", body, kind)
    assert raw.status == posted.status == 200 and raw.headers["content-type"] == "application/json"
    assert found and without_pixels(raw) == without_pixels(posted) == found
    one = raw.json["objects"][0]
    width, box = raw.json["width"], one["relative_coordinates"]
    left = max(0, (box["center_x"] - box["width"] / 2) * width)
    assert one["pixels"]["left"] == pytest.approx(left, abs=0.05)


def test_the_picture_with_its_boxes(serving: Serving) -> None:
    answer = ask(serving, "POST", "/detect?annotate=1&thresh=0.36", PICTURE)
    assert answer.headers["content-type"] == "image/jpeg" and answer.body.startswith(b"\xff\xd8\xff")


def test_deepstack_and_codeproject(serving: Serving, found: list[dict[str, Any]]) -> None:
    body, kind = form(min_confidence=str(THRESH))
    for path in ("/v1/vision/detection", "/v1/vision/custom/mini-alexeyab", "/v1/vision/custom"):
        answer = ask(serving, "POST", path, body, kind).json
        assert answer["success"] and len(answer["predictions"]) == min(20, len(found))
        scores = [one["confidence"] for one in answer["predictions"]]
        assert scores == sorted(scores, reverse=True)
        assert {"inferenceMs", "processMs", "duration"} <= answer.keys()
    assert ask(serving, "POST", "/v1/vision/custom/list", b"").json["models"] == ["mini-alexeyab"]
    assert ask(serving, "GET", "/v1/status/ping").json == {"success": True}
    other = ask(serving, "POST", "/v1/vision/custom/other", body, kind)
    assert other.status == 404 and other.json["success"] is False
    empty = ask(serving, "POST", "/v1/vision/detection", *form(None))
    assert empty.status == 400 and "no picture" in empty.json["error"]


class Camera(http.server.BaseHTTPRequestHandler):
    """Gives the picture at /cat.png."""

    def do_GET(self) -> None:
        if self.path != "/cat.png":
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(PICTURE)

    def log_message(self, *_: Any) -> None:
        pass


def test_obico(found: list[dict[str, Any]]) -> None:
    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    port = site.server_address[1]
    with opened(allow=("127.0.0.1",), answers={"thresh": THRESH}) as serving, turning(serving):
        answer = ask(serving, "GET", f"/p/?img=http%3A%2F%2F127.0.0.1%3A{port}%2Fcat.png")
        detections = answer.json["detections"]
        assert answer.status == 200 and [d[0] for d in detections] == [d["name"] for d in found]
        for (_, score, box), one in zip(detections, found):
            assert score == pytest.approx(one["confidence"], abs=1e-6)
            width = one["relative_coordinates"]["width"]
            assert len(box) == 4 and box[2] == pytest.approx(width * WIDTH, abs=0.01)
        missing = ask(serving, "GET", "/p/")
        assert (missing.status, missing.json["detections"]) == (422, [])
        elsewhere = ask(serving, "GET", "/p/?img=http://10.0.0.1/a.jpg")
        assert elsewhere.status == 400 and "public internet" in elsewhere.json["message"]
        none = ask(serving, "GET", f"/p/?img=http://127.0.0.1:{port}/nothing")
        assert none.status == 400 and "answers 404" in none.json["message"]
        assert ask(serving, "GET", "/hc/").body == b"ok"
    site.shutdown()
    site.server_close()


def test_more_than_may_wait_is_told_when_to_come_again() -> None:
    with opened(queue=2) as serving:
        waiting = [send(serving, "POST", "/detect", PICTURE) for _ in range(2)]
        wait_for(lambda: len(serving.jobs) == 2)
        full = ask(serving, "POST", "/detect", PICTURE)
        assert full.status == 429 and int(full.headers["retry-after"]) >= 1
        other = send(serving, "POST", "/detect", PICTURE, address="127.0.0.2")  # and takes a place
        wait_for(lambda: serving.metrics._requests.get(("/detect", 429)) == 2)
        with turning(serving):
            statuses = sorted(received(sock).status for sock in (*waiting, other))
        assert statuses == [200, 200, 429]


def test_only_the_newest() -> None:
    with opened() as serving:
        old = send(serving, "POST", "/detect?camera=door&newest=1", PICTURE)
        wait_for(lambda: len(serving.jobs) == 1)
        new = send(serving, "POST", "/detect?camera=door&newest=1", PICTURE)
        answer = received(old)
        assert answer.status == 409 and "newer" in answer.json["error"]
        with turning(serving):
            assert received(new).status == 200


def test_a_picture_nobody_waits_for_is_not_looked_at() -> None:
    with opened() as serving:
        before = len(os.listdir("/proc/self/fd"))
        gone = send(serving, "POST", "/detect", PICTURE)
        wait_for(lambda: len(serving.jobs) == 1)
        gone.close()
        wait_for(lambda: len(serving.jobs) == 0)
        wait_for(lambda: serving.door.viewers == 0)
        assert len(os.listdir("/proc/self/fd")) == before
        frames = serving.metrics.frames
        serving.turn(0)
        assert serving.metrics.frames == frames


def test_a_deadline_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "GRACE_S", 60.0)
    with opened() as serving:
        late = send(serving, "POST", "/detect?deadline_ms=1", PICTURE)
        wait_for(lambda: len(serving.jobs) == 1)
        wait_for(lambda: serving.door.expired(next(iter(serving.jobs._cameras.values()))[0].call))
        serving.turn(0)
        assert received(late).status == 504 and serving.metrics.frames == 0
    monkeypatch.setattr(doors, "GRACE_S", 0.0)
    with opened() as serving:  # and where no turn comes at all
        assert ask(serving, "POST", "/detect?deadline_ms=1", PICTURE).status == 504
        assert len(serving.jobs) == 0


def test_tokens(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("correct-horse\n")
    with opened(token_file=str(path)) as serving, turning(serving):
        for method, target in (("POST", "/detect"), ("GET", "/metrics"), ("GET", "/p/?img=http://10.0.0.1/")):
            body = PICTURE if method == "POST" else b""
            assert ask(serving, method, target, body).status == 401
            assert ask(serving, method, target, body, more="Authorization: Bearer wrong\r\n").status == 401
            given = ask(serving, method, target, body, more="Authorization: Bearer correct-horse\r\n")
            assert given.status in (200, 400)
        assert ask(serving, "POST", "/v1/vision/detection", *form()).status == 401
        assert ask(serving, "POST", "/v1/vision/detection", *form(api_key="wrong")).status == 401
        assert ask(serving, "POST", "/v1/vision/detection", *form(api_key="correct-horse")).status == 200
        for open_to_all in ("/healthz", "/readyz", "/hc/", "/"):
            assert ask(serving, "GET", open_to_all).status == 200


def test_other_sites_and_names_are_kept_out(serving: Serving) -> None:
    there = f"127.0.0.1:{serving.door.port}"
    assert ask(serving, "POST", "/detect", PICTURE, more="Origin: http://evil.example\r\n").status == 403
    assert ask(serving, "POST", "/detect", PICTURE, more=f"Origin: http://{there}\r\n").status == 200
    with socket.create_connection(("127.0.0.1", serving.door.port)) as sock:
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: rebound.example\r\n\r\n")
        assert received(sock).status == 403
    with opened(host_names=("cam.example",)) as named, \
            socket.create_connection(("127.0.0.1", named.door.port)) as sock:
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: cam.example:80\r\n\r\n")
        assert received(sock).status == 200


@pytest.mark.parametrize(("method", "target", "body", "status"), [
    ("GET", "/nothing", b"", 404), ("GET", "/detect", b"", 405), ("DELETE", "/metrics", b"", 405),
    ("POST", "/detect", b"", 400), ("POST", "/detect", b"no picture", 400),
    ("POST", "/detect?thresh=2", PICTURE, 400), ("POST", "/detect?thresh=nan", PICTURE, 400),
    ("POST", "/detect?annotate=x", PICTURE, 400), ("POST", "/detect?deadline_ms=0", PICTURE, 400),
    ("POST", "/detect?camera=" + "x" * 65, PICTURE, 400), ("POST", "/detect?camera=%00", PICTURE, 400),
    ("POST", "/detect?" + "a=1&" * 40, PICTURE, 400), ("POST", "/detect?%ff=%ff", PICTURE, 400)])
def test_requests_that_are_none(serving: Serving, method: str, target: str, body: bytes, status: int) -> None:
    answer = ask(serving, method, target, body)
    assert answer.status == status
    assert b"/proc/" not in answer.body


def test_too_large_is_refused_before_it_is_sent() -> None:
    with opened(most=1000) as serving, \
            socket.create_connection(("127.0.0.1", serving.door.port), 60) as sock:
        sock.sendall(b"POST /detect HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1001\r\n\r\n")
        assert received(sock).status == 413


def test_curl_asks_before_it_sends(serving: Serving) -> None:
    with socket.create_connection(("127.0.0.1", serving.door.port), 60) as sock:
        head = f"POST /detect HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(PICTURE)}\r\n"
        sock.sendall(head.encode() + b"Expect: 100-continue\r\n\r\n")
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(PICTURE)
        assert received(sock).status == 200


def test_uploads_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "HELD_BYTES", 300_000)
    with opened() as serving:
        socks = []
        for _ in range(3):
            sock = socket.create_connection(("127.0.0.1", serving.door.port), 60)
            sock.sendall(b"POST /detect HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n"
                         + bytes(150_000))
            socks.append(sock)
        ended = []
        wait_for(lambda: ended or ended.extend(s for s in socks if _readable(s)))
        assert received(ended[0]).status == 503
        for sock in socks:
            sock.close()


def _readable(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    finally:
        sock.settimeout(60)
    return True


def test_health_readiness_and_a_page(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("darkfuse.host.process.memory_cgroup_is_off", lambda: False)
    assert ask(serving, "GET", "/healthz").body == b"ok\n"
    assert ask(serving, "GET", "/readyz").body == b"ready\n"
    assert b"darkfuse serve" in ask(serving, "GET", "/").body
    assert b"cgroup_enable" not in ask(serving, "GET", "/").body
    monkeypatch.setattr("darkfuse.host.process.memory_cgroup_is_off", lambda: True)
    assert b"cgroup_enable=memory" in ask(serving, "GET", "/").body
    serving.door.ready = False
    assert ask(serving, "GET", "/readyz").status == 503
    refused = ask(serving, "POST", "/detect", PICTURE)
    assert refused.status == 503 and refused.headers["retry-after"]


def test_a_line_a_request(capfd: pytest.CaptureFixture[str]) -> None:
    with opened(log="json") as serving, turning(serving):
        ask(serving, "POST", "/detect?camera=door", PICTURE)
        with socket.create_connection(("127.0.0.1", serving.door.port), 60) as sock:
            sock.sendall(b"\x16\x03\x01\r\n\r\n")
            received(sock)
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    assert [line["status"] for line in lines] == [200, 400]
    assert lines[0]["camera"] == "door" and lines[0]["bytes"] == len(PICTURE)
    assert lines[0]["network_ms"] > 0 and lines[0]["memory"] > 0
