"""Ctrl-C at any moment: the command is gone at once, says nothing and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = "import sys; from darkfuse.__main__ import main; sys.exit(main())"  # as pip writes it
STARTS = {"module": ["-m", "darkfuse"], "script": ["-c", SCRIPT]}


def signals(pid: int, name: str) -> set[int]:
    """Numbers of the signals a process ignores (`SigIgn`) or catches (`SigCgt`)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            mask = int(line.split()[1], 16)
            return {bit + 1 for bit in range(64) if mask >> bit & 1}
    return set()


def begun(pid: int) -> bool:
    """Whether a command comes to our first line within 2 s; until then Ctrl-C is Python's own affair.

    Python ignores SIGPIPE as it starts, then catches SIGINT, which our first line gives up again.
    """
    steps = [("SigIgn", signal.SIGPIPE, True), ("SigCgt", signal.SIGINT, True),
             ("SigCgt", signal.SIGINT, False)]
    end = time.monotonic() + 2
    while steps and time.monotonic() < end:
        name, number, wanted = steps[0]
        if (number in signals(pid, name)) == wanted:
            del steps[0]
    return not steps


def started(words: list[str], root: Path, folder: Path) -> subprocess.Popen[str]:
    """A command that has just begun, in a group of its own."""
    for _ in range(20):
        process = subprocess.Popen([sys.executable, *words], cwd=folder, text=True, start_new_session=True,
                                   env={**os.environ, "PYTHONPATH": str(root)}, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if begun(process.pid):
            return process
        process.kill()  # on a busy machine it can get past that unseen
        process.communicate()
        for left in folder.glob("*.part"):  # a kill leaves what it had begun to write
            left.unlink()
    raise AssertionError("never seen to begin")


def all_gone(group: int) -> bool:
    for _ in range(1000):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("everybody", [False, True], ids=["process", "terminal"])
def test_at_many_moments(start: str, everybody: bool, root: Path, tmp_path: Path) -> None:
    """It plans in a process of its own, detects, and then waits for the name of a picture."""
    photo = root / "docs" / "images" / "cat.jpg"
    for moment in range(0, 500, 35):
        words = ["detect", "-", "--mem", "60M", "--json", "found.json"]
        process = started([*STARTS[start], *words], root, tmp_path)
        assert process.stdin
        process.stdin.write(f"{photo}\n")
        process.stdin.flush()
        time.sleep(moment / 1000)
        assert process.poll() is None
        (os.killpg if everybody else os.kill)(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert (process.returncode, said) in ((130, ""), (-signal.SIGINT, "")), f"after {moment} ms"
        assert all_gone(process.pid)
        # A photo that was done before stays, in its folder
        assert [name for name in os.listdir(tmp_path) if name != "predictions"] == []


def test_ignored_it_stays_ignored(root: Path) -> None:
    """As in a shell's background."""
    code = "import signal, darkfuse.__main__ as m; m.main(); print(signal.getsignal(2) is signal.SIG_IGN)"
    words = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-c", code, "--version"]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("darkfuse ") and done.stdout.endswith("\nTrue\n")


LOST = """
import os, signal
from darkfuse.host.interrupt import end_cleanly

class Deaf:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)

end_cleanly()
{}
print("went on")
"""


@pytest.mark.parametrize("where", ["Deaf()", "class A:\n    class D:\n        def __set_name__(self, *_):\n"
                                   "            os.kill(os.getpid(), 2)\n    d = D()"])
def test_lost_in_a_callback_or_in_another_error_it_ends_the_process(where: str, root: Path) -> None:
    words = [sys.executable, "-c", LOST.format(where)]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_tools_leave_quietly_too(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, root / "tools" / "optimize_cfg.py", root / "cfg" / "yolov3.cfg", "--pareto"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)}) as tool:
        while not (tmp_path / "darkfuse" / "baseline.json").exists():  # it is searching
            assert tool.poll() is None
            time.sleep(0.01)
        tool.send_signal(signal.SIGINT)
        out, said = tool.communicate(timeout=60)
    assert (tool.returncode, out, said) == (130, "", "")
