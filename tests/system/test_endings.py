"""Signals that end a program clean up as Ctrl-C does; after a kill the next run sweeps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from video import make_video

CODE = """
import sys, time
from darkfuse.host.interrupt import end_at_once, end_cleanly, status
from darkfuse.host.files import WholeFile
end_cleanly()
try:
    with WholeFile(sys.argv[1]) as out:
        out.write("half")
        print("begun", flush=True)
        time.sleep(60)
except KeyboardInterrupt:
    sys.exit(status())
"""


def ended(root: Path, path: Path, number: int) -> int:
    # Where these tests run under nohup, hang-ups would be ignored, and stay so
    process = subprocess.Popen([sys.executable, "-c", CODE, str(path)], stdout=subprocess.PIPE,
                               env={**os.environ, "PYTHONPATH": str(root)},
                               preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL))
    assert process.stdout and process.stdout.readline() == b"begun\n"
    process.send_signal(number)
    process.communicate(timeout=60)
    return process.returncode


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_was_begun_goes(number: int, root: Path, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("earlier")
    assert ended(root, tmp_path / "a", number) == 128 + number
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").read_text() == "earlier"


def test_ignored_hangup_stays_ignored(root: Path) -> None:
    """As under nohup."""
    code = ("import signal; signal.signal(1, signal.SIG_IGN)\n"
            "from darkfuse.host.interrupt import end_at_once, end_cleanly\n"
            "end_at_once(); end_cleanly(); print(signal.getsignal(1) is signal.SIG_IGN)")
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_optimize_cfg_is_interrupted_while_it_imports(root: Path) -> None:
    """Before its first line is through, Ctrl-C is the system's to handle: no traceback."""
    tool = root / "tools" / "optimize_cfg.py"
    code = ("import os, signal, sys, runpy\n"
            "class Press:\n"
            "    def find_spec(self, name, path=None, target=None):\n"
            "        if name == 'darkfuse.cli':\n"
            "            os.kill(os.getpid(), signal.SIGINT)\n"
            "sys.meta_path.insert(0, Press())\n"
            f"runpy.run_path({str(tool)!r}, run_name='__main__')")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


BUSY = """
import os, sys
import cv2, numpy
import darkfuse.media.capture as capture
from darkfuse.__main__ import main

def run(self):  # as a source that is always in the middle of OpenCV's C++, where Python cannot end a thread
    wide = numpy.zeros((400, 400, 3), numpy.uint8)
    while not self._stop:
        cv2.GaussianBlur(wide, (31, 31), 5)

def begun(self, *words):
    made(self, *words)
    os.kill(os.getpid(), 2)  # comes before anybody has the object to close

capture.Capture._run = run
made, capture.Capture.__init__ = capture.Capture.__init__, begun
{}
sys.exit(main())
"""
HANGS = "capture.Capture.close = lambda self: None"  # as a driver that does not come back


@pytest.mark.parametrize("source", ["", HANGS], ids=["closes", "hangs"])
def test_interrupted_as_a_source_is_opened(source: str, root: Path, tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    film = make_video(tmp_path / "film.avi", 3)
    words = ["demo", "--video", str(film), "--no-window", "--out", "out.mp4", "--json-lines", "lines.jsonl"]
    for _ in range(4):
        done = subprocess.run([sys.executable, "-c", BUSY.format(source), *words], cwd=tmp_path, text=True,
                              capture_output=True, env={**os.environ, "PYTHONPATH": str(root)})
        assert (done.returncode, done.stderr) == (0, "")
        assert os.listdir(tmp_path) == ["film.avi"]
