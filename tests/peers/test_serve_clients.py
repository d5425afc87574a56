"""The service as clients see it that nobody here wrote, each with its own idea of the interface."""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from serving import GOLDEN, PICTURE, ask, opened, turning

from darkfuse.live.serve.run import Serving

ROOT = Path(__file__).resolve().parents[2]


def test_deepstack_sdk(serving: Serving) -> None:
    """Its detector posts a file and reads label, confidence and corners."""
    for needed in ("cv2", "requests", "validators"):  # it imports them and does not say so
        pytest.importorskip(needed)
    sdk = pytest.importorskip("deepstack_sdk")
    config = sdk.ServerConfig(f"http://127.0.0.1:{serving.door.port}")
    detection = sdk.Detection(config)
    answer = detection.detectObject(str(GOLDEN / "cat.png"), min_confidence=0.34)
    found = [(one.label, one.confidence, one.x_min, one.y_min, one.x_max, one.y_max) for one in answer]
    ours = ask(serving, "POST", "/detect?thresh=0.34", PICTURE).json["objects"]
    best = sorted(ours, key=lambda one: -one["confidence"])[:20]
    assert len(found) == min(20, len(ours)) > 5
    for (label, score, left, *_), one in zip(found, best):
        assert score == pytest.approx(one["confidence"], abs=1e-6) and label == one["name"]
        assert abs(left - one["pixels"]["left"]) <= 1 or one["confidence"] == pytest.approx(score)


def test_prometheus_reads_the_metrics(serving: Serving) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    ask(serving, "POST", "/detect?thresh=0.34", PICTURE)
    ask(serving, "GET", "/nothing")
    text = ask(serving, "GET", "/metrics").body.decode()
    families = {family.name: family for family in parser.text_string_to_metric_families(text)}
    samples = {(sample.name, *sorted(sample.labels.items())): sample.value
               for family in families.values() for sample in family.samples}
    assert samples[("darkfuse_requests_total", ("path", "/detect"), ("status", "200"))] == 1
    assert samples[("darkfuse_requests_total", ("path", "other"), ("status", "404"))] == 1
    assert samples[("darkfuse_frames_total",)] == 1
    assert samples[("darkfuse_memory_bytes", ("kind", "budget"))] == 1 << 30
    assert families["darkfuse_stage_seconds"].type == "histogram"
    assert samples[("darkfuse_stage_seconds_bucket", ("le", "+Inf"), ("stage", "total"))] == 1


def test_a_zmq_peer_as_frigate_is(tmp_path: Path) -> None:
    zmq = pytest.importorskip("zmq")
    image = pytest.importorskip("PIL.Image")
    with image.open(GOLDEN / "cat.png") as photo:
        small = photo.convert("RGB").resize((96, 96))
    endpoint = f"ipc://{tmp_path}/detector"
    with opened(zmq=endpoint) as serving, turning(serving):
        assert serving.net is not None
        context = zmq.Context()
        peer = context.socket(zmq.REQ)
        peer.setsockopt(zmq.RCVTIMEO, 60_000)
        peer.setsockopt(zmq.LINGER, 0)
        peer.connect(endpoint)
        peer.send_json({"model_request": True, "model_name": "yolo"})
        assert json.loads(peer.recv()) == {"model_available": True, "model_loaded": True}
        head = {"shape": [1, 96, 96, 3], "dtype": "uint8", "model_type": "yolo-generic"}
        peer.send_multipart([json.dumps(head).encode(), small.tobytes()])
        first = struct.unpack("<120f", peer.recv())
        scores = first[1::6]
        assert scores[0] > 0.01 and list(scores) == sorted(scores, reverse=True)
        for at in range(0, 120, 6):
            top, left, bottom, right = first[at + 2 : at + 6]
            assert 0 <= top <= bottom <= 1 and 0 <= left <= right <= 1
        planes = b"".join(small.getchannel(channel).tobytes() for channel in range(3))
        head = {"shape": [1, 3, 96, 96], "dtype": "uint8", "model_type": "yolo-generic"}
        peer.send_multipart([json.dumps(head).encode(), planes])
        assert struct.unpack("<120f", peer.recv()) == first
        short = [b'{"shape": [1, 9, 9, 3], "dtype": "uint8"}', b"x"]
        for parts in ([b"{}"], [b"nonsense"], [b"[]", b""], short):
            peer.send_multipart(parts)
            assert peer.recv() == bytes(480)
        peer.close()
        context.term()


@pytest.mark.slow
def test_schemathesis(tmp_path: Path) -> None:
    """Cases made of the service's own description: no answer but those it names.

    DARKFUSE_CASES is how many of them at most for each address; 800 make more than 5,000 in all.
    """
    pytest.importorskip("schemathesis")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "darkfuse", "serve", str(GOLDEN / "mini-alexeyab.cfg"),
               str(GOLDEN / "mini-alexeyab.weights"), "--http", str(port), "--threads", "1", "--log", "off",
               "--mem", "48M"]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        until_ready(port)
        cases = os.environ.get("DARKFUSE_CASES", "60")
        # a deadline of a millisecond is answered with 504, as described
        (tmp_path / "schemathesis.toml").write_text(
            '[checks.not_a_server_error]\nexpected-statuses = ["2xx", "3xx", "4xx", 504]\n')
        done = subprocess.run(
            [Path(sys.executable).parent / "schemathesis", "run", f"http://127.0.0.1:{port}/openapi.json",
             "--max-examples", cases, "--seed", "1", "--checks",
             "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
             "--phases", "examples,coverage,fuzzing", "--suppress-health-check", "all", "--no-color"],
            capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        count = re.search(r"(\d+) generated", done.stdout)
        assert count is not None and int(count[1]) >= 5 * int(cases)
        print(f"{count[1]} cases")  # pytest -s
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait()


def until_ready(port: int) -> None:
    from serving import wait_for

    def ready() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as sock:
                sock.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                return b" 200 " in sock.recv(100)
        except OSError:
            return False

    wait_for(ready, 60)
