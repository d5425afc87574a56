"""`darkfuse serve` as people start it: in a cgroup, its budget changed under load, a crowd at its door."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from serving import GOLDEN, wait_for

from darkfuse.errors import DarkfuseError
from tools.cgroup import Group
from tools.check_crowd import Crowd, held, honest
from tools.check_serve import free_port, wait_ready

ROOT = Path(__file__).resolve().parents[2]
MB = 1 << 20
MINI = [str(GOLDEN / "mini-alexeyab.cfg"), str(GOLDEN / "mini-alexeyab.weights")]


class Service:
    """A process that serves."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process, self.base = process, f"http://127.0.0.1:{port}"
        self.port = port

    def ask(self, path: str, body: bytes | None = None, kind: str = "image/jpeg") -> Any:
        request = urllib.request.Request(self.base + path, body, {"Content-Type": kind})
        with urllib.request.urlopen(request, timeout=300) as answer:
            return json.loads(answer.read())

    def budget(self, mem: str) -> int:
        return int(self.ask("/budget", json.dumps({"mem": mem}).encode(), "application/json")["budget"])

    def rss(self) -> int:
        return held(self.process.pid)["rss"]


@contextmanager
def serving_process(words: list[str], group: Group | None = None) -> Iterator[Service]:
    port = free_port()
    entrance = os.open(group.path / "cgroup.procs", os.O_WRONLY) if group is not None else -1
    command = [sys.executable, "-m", "darkfuse", "serve", *words, "--http", str(port), "--log", "off"]
    process = subprocess.Popen(
        command, cwd=ROOT, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=(lambda: os.write(entrance, b"0")) if group is not None else None)
    try:
        if entrance >= 0:
            os.close(entrance)
        wait_ready(f"http://127.0.0.1:{port}", process)
        yield Service(process, port)
    finally:
        process.terminate()
        assert process.wait(60) in (0, 143, -signal.SIGTERM, -signal.SIGKILL)


@pytest.fixture
def group() -> Iterator[Group]:
    try:
        made = Group()
    except DarkfuseError as error:
        pytest.skip(str(error))
    yield made
    made.close()


@pytest.mark.slow
def test_the_budget_changes_under_load_and_no_answer_does(shared: Path) -> None:
    """128, 32, 128 MB while 200 requests run: memory below the new budget after two frames, all right."""
    photo = (shared / "images" / "dog.jpg").read_bytes()
    network = [str(shared / "models" / f"yolov3-tiny.{kind}") for kind in ("cfg", "weights")]
    words = [*network, "--size", "224", "--mem", "32M..128M", "--queue", "400", "--deadline", "900"]
    with serving_process(words) as service:
        first = service.ask("/detect", photo)["objects"]
        large = service.rss()
        wrong: list[Any] = []
        left = iter(range(200))
        lock = threading.Lock()

        def client() -> None:
            while True:
                with lock:
                    if next(left, None) is None:
                        return
                told = service.ask("/detect", photo)["objects"]
                if told != first:
                    wrong.append(told)

        threads = [threading.Thread(target=client) for _ in range(3)]
        for thread in threads:
            thread.start()

        def frames(count: int) -> None:
            for _ in range(count):
                service.ask("/detect", photo)

        frames(3)
        assert service.budget("32M") == 32 * MB
        frames(2)
        assert service.rss() <= 32 * MB
        frames(3)
        assert service.budget("128M") == 128 * MB
        frames(2)
        assert 32 * MB < service.rss() <= 128 * MB and large <= 128 * MB
        assert service.budget("40M") <= 40 * MB
        frames(2)
        assert service.rss() <= 40 * MB
        for thread in threads:
            thread.join()
        assert not wrong and first


def test_it_makes_room_for_others_in_its_cgroup(group: Group, shared: Path) -> None:
    """A neighbour takes most of the group's memory: the service shrinks before anybody is killed."""
    if group.version != 1:
        pytest.skip("the limit and usage of version 1 are what is tried here")
    network = [str(shared / "models" / f"yolov3-tiny.{kind}") for kind in ("cfg", "weights")]
    group.limit(160 * MB, swap=False)
    with serving_process([*network, "--mem", "32M..96M"], group) as service:
        photo = (shared / "images" / "dog.jpg").read_bytes()
        first = service.ask("/detect", photo)["objects"]
        entrance = os.open(group.path / "cgroup.procs", os.O_WRONLY)
        steps = "import sys\nheld = []\nfor _ in range(90):\n    held.append(bytearray(b'x') * (1 << 20))\n" \
                "    sys.stdin.readline()\n"
        neighbour = subprocess.Popen([sys.executable, "-u", "-c", steps], stdin=subprocess.PIPE, text=True,
                                     preexec_fn=lambda: os.write(entrance, b"0"))
        os.close(entrance)
        try:
            assert neighbour.stdin is not None
            for _ in range(17):  # five megabytes a frame, as fast as frames come
                neighbour.stdin.write("\n" * 5)
                neighbour.stdin.flush()
                assert service.ask("/detect", photo)["objects"] == first
            wait_for(lambda: service.ask("/budget")["budget"] < 96 * MB)
            assert service.ask("/detect", photo)["objects"] == first
            assert group.oom_kills() == 0
        finally:
            neighbour.kill()
            neighbour.wait()
        wait_for(lambda: service.ask("/budget")["budget"] == 96 * MB, 120)  # and grows again
        assert service.ask("/detect", photo)["objects"] == first


def test_honest_clients_are_served_beside_a_crowd() -> None:
    """Hundreds of slow and nonsensical connections, each again when it is dropped."""
    with serving_process([*MINI, "--threads", "1", "--mem", "48M", "--api", "none"]) as service:
        rate, failed = honest(service.port, 0.5)
        assert rate > 0 and failed == 0
        before = held(service.process.pid)
        with Crowd(service.port, 600) as crowd:
            rate, failed = honest(service.port, 2.0)
            during = held(service.process.pid)
        assert rate > 0 and failed == 0 and crowd.came >= 600
        assert during["threads"] == before["threads"]
        assert during["descriptors"] <= before["descriptors"] + 2 * 130  # a connection and its picture
        assert during["rss"] <= 48 * MB
        wait_for(lambda: held(service.process.pid)["descriptors"] <= before["descriptors"] + 2, 60)


@pytest.mark.slow
def test_a_failure_detector_in_48_megabytes(group: Group, shared: Path, tmp_path: Path) -> None:
    """YOLOv2-416 of one class behind Obico's form; `tools/check_serve.py` runs a thousand of these."""
    out = tmp_path / "report.json"
    tool = [sys.executable, str(ROOT / "tools" / "check_serve.py"),
            str(shared / "models" / "yolov2-1class-reorg3d-96.cfg"), "--requests", "8", "--paired", "2",
            "--pictures", "4", "--json", str(out)]
    done = subprocess.run(tool, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(out.read_text())
    assert report["wrong"] == report["oom_kills"] == 0
    assert report["group_peak"] <= 48 * MB
    least, most = report["boxes_a_picture"]
    assert 1 <= least <= most <= 60
