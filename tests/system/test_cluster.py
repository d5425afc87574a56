"""`darkfuse label` on a Dask cluster: workers that die lose no picture and double none."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from darkfuse.host.units import parse_bytes

distributed: Any = pytest.importorskip("distributed")

GOLDEN = Path(__file__).parent.parent / "golden"
CFG, WEIGHTS = GOLDEN / "mini-alexeyab.cfg", GOLDEN / "mini-alexeyab.weights"
PICTURES = 64  # eight lots
SOON = 300.0  # seconds that anything may take on a busy machine


@pytest.fixture
def collection(tmp_path: Path) -> tuple[str, list[str]]:
    """A folder of pictures, one of which is none, and their names."""
    folder, names = tmp_path / "pictures", []
    folder.mkdir()
    for number in range(PICTURES):
        path = folder / f"{number:04d}.png"
        shutil.copy(GOLDEN / f"{('astronaut', 'cat', 'nothing')[number % 3]}.png", path)
        names.append(str(path))
    path.write_bytes(b"no picture")
    return str(folder), names


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """The address of a real scheduler, started as people start one, and of two workers, one thread each."""
    address, processes = f"tcp://127.0.0.1:{free_port()}", []
    environment = {**os.environ, "PYTHONPATH": str(GOLDEN.parent.parent),
                   "XDG_CACHE_HOME": str(tmp_path / "cache")}

    def start(kind: str, *words: str) -> None:
        command = [sys.executable, "-m", "distributed.cli." + kind, *words]
        processes.append(subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.DEVNULL))

    start("dask_scheduler", "--host", address, "--no-dashboard", "--no-show")
    for _ in range(2):
        start("dask_worker", address, "--nthreads", "1", "--no-dashboard", "--memory-limit", "0")
    try:
        yield address
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(SOON)


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def words(folder: str, out: Path, *more: str) -> list[str]:
    return ["label", str(CFG), str(WEIGHTS), folder, "--out", str(out), "--batch", "8", *more]


def told(out: Path) -> dict[str, dict]:
    """The lines by picture, none of which has two."""
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    found = {line["filename"]: line for line in lines}
    assert len(found) == len(lines)
    return found


def test_a_worker_killed_loses_and_doubles_nothing(scheduler: str, collection: tuple[str, list[str]],
                                                   tmp_path: Path, root: Path) -> None:
    folder, names = collection
    out = tmp_path / "boxes.jsonl"
    with distributed.Client(scheduler) as client:
        client.wait_for_workers(2, timeout=SOON)
        first = set(client.run(os.getpid).values())
        assert len(first) == 2
        run = subprocess.Popen([sys.executable, "-m", "darkfuse", *words(folder, out, "--dask", scheduler)],
                               stderr=subprocess.PIPE, text=True, cwd=root)
        deadline = time.monotonic() + SOON
        while not (out.exists() and out.stat().st_size) and run.poll() is None:  # both at work, or near it
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(min(first), signal.SIGKILL)
        said = run.communicate(timeout=2 * SOON)[1]
        assert run.returncode == 0, said
    found = told(out)
    assert sorted(found) == names
    assert [name for name in names if "error" in found[name]] == names[-1:]
    assert "1 of all cannot be read" in said


def test_processes_of_this_machine_keep_to_their_memory_and_show_a_page(
        collection: tuple[str, list[str]], tmp_path: Path, root: Path,
        command: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    pytest.importorskip("bokeh")
    folder, names = collection
    out, alone, mem = tmp_path / "boxes.jsonl", tmp_path / "alone.jsonl", "160M"
    run = subprocess.Popen([sys.executable, "-m", "darkfuse",
                            *words(folder, out, "--workers", "local:2", "--mem", mem, "--threads", "1")],
                           stderr=subprocess.PIPE, text=True, cwd=root)
    assert run.stderr is not None
    page = run.stderr.readline().split()[1]
    with urllib.request.urlopen(page, timeout=SOON) as answer:
        assert answer.status == 200 and b"Dask" in answer.read()
    said = run.communicate(timeout=2 * SOON)[1]
    assert run.returncode == 0, said
    most = said.split(", in ")[1].split(" a process")[0].replace(" ", "")
    assert 0 < parse_bytes(most) <= parse_bytes(mem)
    assert command("darkfuse", *words(folder, alone, "--threads", "1")).returncode == 0
    found, want = told(out), told(alone)
    assert sorted(found) == names
    assert {name: found[name].get("objects") for name in names} == {
        name: want[name].get("objects") for name in names}


def test_what_a_worker_cannot_load_is_one_line(scheduler: str, collection: tuple[str, list[str]],
                                               tmp_path: Path,
                                               command: Callable[..., subprocess.CompletedProcess[str]]
                                               ) -> None:
    out = tmp_path / "boxes.jsonl"
    done = command("darkfuse", *words(collection[0], out, "--dask", scheduler, "--mem", "8M"))
    assert done.returncode == 2
    assert "does not fit in 8" in done.stderr.splitlines()[-1]
