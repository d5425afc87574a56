"""A process that forks: OpenMP's team stays behind in the parent, and the child detects all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FORKING = """
import faulthandler, os, signal, sys
import darkfuse
net = darkfuse.load(threads=2, mem={mem!r})
photo = {photo!r}
before = {before}
first = net.detect(photo) if before else None
child = os.fork()
if not child:
    signal.alarm(60)  # a child that hangs ends with SIGALRM
    again = [net.detect(photo) for _ in range(3)]
    mine = darkfuse.load(threads=2, mem={mem!r}).detect(photo)
    os._exit(0 if len(again[0]) and all(one == mine for one in again) and first in (None, mine) else 1)
status = os.waitpid(child, 0)[1]
assert first in (None, net.detect(photo))
print(status)
"""


def run(code: str, root: Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200,
                          env={**os.environ, "PYTHONPATH": str(root)}, **options)  # type: ignore[call-overload]


@pytest.mark.parametrize("before", [True, False], ids=["a frame before", "none before"])
@pytest.mark.parametrize("mem", [None, "64M"])
def test_a_child_detects_what_its_parent_does(before: bool, mem: str | None, root: Path) -> None:
    photo = str(root / "docs" / "images" / "cat.jpg")
    done = run(FORKING.format(mem=mem, photo=photo, before=before), root)
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_multiprocessing_as_people_use_it(root: Path) -> None:
    photo = str(root / "docs" / "images" / "cat.jpg")
    code = f"""
import multiprocessing, darkfuse
net = darkfuse.load(threads=2)
def detect(path): return [d.name for d in net.detect(path).detections]
here = detect({photo!r})
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map_async(detect, [{photo!r}] * 4).get(90) == [here] * 4 and here
"""
    done = run(code, root)
    assert done.returncode == 0, done.stderr


def test_interrupt_in_a_forked_child(root: Path, tmp_path: Path) -> None:
    """The team is in another thread there; the one that called still looks for signals."""
    code = f"""
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{str(root / "tests" / "native")!r}, {str(root / "tests")!r}]
from small import HEAVY, made, noise, program_of
from darkfuse.engine._engine import Engine
graph, weights = made(HEAVY, Path({str(tmp_path)!r}))
engine, frame = Engine(program_of(graph, weights, 2, "streamed"), weights, 2), noise(graph)
engine.run_chw(frame)
read = engine.stats()["bytes_read"]
child = os.fork()
if not child:
    signal.alarm(60)
    signal.signal(signal.SIGPROF, signal.default_int_handler)
    for attempt in range(100):
        try:
            signal.setitimer(signal.ITIMER_PROF, 0.004)  # of processor time: a frame takes more
            engine.run_chw(frame)
            signal.setitimer(signal.ITIMER_PROF, 0)
        except KeyboardInterrupt:
            if engine.stats()["bytes_read"] < read:  # in the middle of a frame
                os._exit(7)
    os._exit(9)
print(os.waitpid(child, 0)[1] >> 8)
"""
    done = run(code, root)
    assert (done.stdout, done.stderr) == ("7\n", "")


def test_threads_refused(root: Path) -> None:
    """OpenMP would end the process with a message of its own."""
    code = f"""
import os, resource, darkfuse
photo = {str(root / "docs" / "images" / "cat.jpg")!r}
alone = darkfuse.load(threads=1).detect(photo)  # everything there is to import is imported
net = darkfuse.load(threads=2)
hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
resource.setrlimit(resource.RLIMIT_NPROC, (1, hard))
if not os.getuid():
    os.seteuid(65534)  # root may start any number
    os.setresuid(65534, 65534, 0)
for again in range(2):
    try:
        net.detect(photo)
    except darkfuse.DarkfuseError as error:
        print(error)
"""
    done = run(code, root)
    told = "the system refuses the threads to run a frame with; end other programs or give fewer --threads"
    assert (done.stdout.splitlines(), done.stderr) == ([told] * 2, "")
