"""A memory limit that is lowered from outside while darkfuse runs: a message, and never another answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from darkfuse.errors import DarkfuseError
from tools.cgroup import Group

JOIN = """
import os, sys
with open(sys.argv[1] + "/cgroup.procs", "w") as file:
    file.write(str(os.getpid()))
os.execv(sys.executable, [sys.executable, "-m", "darkfuse", *sys.argv[2:]])
"""
BUDGET, PICTURES = 36 << 20, 40


@pytest.fixture
def group() -> Iterator[Group]:
    try:
        made = Group()
        made.limit(2 * BUDGET, swap=False)
    except DarkfuseError as error:
        pytest.skip(str(error))
    yield made
    made.close()


def started(group: Group, root: Path, folder: Path) -> subprocess.Popen[str]:
    """`detect`, which asks for pictures; what it writes is the JSON of all of them."""
    words = [sys.executable, "-c", JOIN, str(group.path), "detect", "-", "--mem", str(BUDGET), "--no-draw",
             "--json", "found.json"]
    return subprocess.Popen(words, cwd=folder, text=True, env={**os.environ, "PYTHONPATH": str(root)},
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def look(process: subprocess.Popen[str], photo: Path) -> list[str]:
    """What it says of one more picture; nothing when it has ended."""
    assert process.stdin and process.stdout
    try:
        process.stdin.write(f"{photo}\n")
        process.stdin.flush()
    except BrokenPipeError:
        return []
    lines = []
    for line in process.stdout:
        if line.startswith("cat: "):
            return [line]
        lines.append(line)
    return []


def test_lowered_between_two_pictures(group: Group, root: Path, tmp_path: Path) -> None:
    process, photo = started(group, root, tmp_path), root / "docs" / "images" / "cat.jpg"
    assert look(process, photo) == ["cat: 78%\n"]
    group.limit(BUDGET + (8 << 20), swap=False)  # what it takes still fits
    assert look(process, photo) == ["cat: 78%\n"]
    group.limit(BUDGET - (1 << 20), swap=False)
    assert look(process, photo) == []
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2 and said.count("\n") == 1
    assert "the memory limit of this process was lowered to 35M while it ran, below the 36M" in said
    assert os.listdir(tmp_path) == []


def test_lowered_as_it_runs(group: Group, root: Path, tmp_path: Path) -> None:
    """By a quarter of a megabyte a picture, without a look at what it is doing."""
    process, photo = started(group, root, tmp_path), root / "docs" / "images" / "cat.jpg"
    assert process.stdin
    assert look(process, photo) == ["cat: 78%\n"]
    process.stdin.write(f"{photo}\n" * PICTURES)
    process.stdin.flush()
    limit = BUDGET
    while process.poll() is None and limit > 4 << 20:
        limit -= 256 << 10
        try:
            group.limit(limit, swap=False)
        except DarkfuseError:  # it is using what should be taken away
            break
        process.stdout.readline()  # type: ignore[union-attr]
    process.stdin.close()
    found, said = process.stdout.read(), process.stderr.read()  # type: ignore[union-attr]
    status = process.wait(60)
    assert {line for line in found.splitlines() if ":" in line and "%" in line} <= {"cat: 78%"}
    if status == -signal.SIGKILL:  # the kernel was faster
        assert group.oom_kills() == 1 and not (tmp_path / "found.json").exists()
    else:
        assert status == 2 and "was lowered to" in said and os.listdir(tmp_path) == []
