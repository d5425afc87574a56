"""The helper process: reported when it dies, gone with its caller, nothing left of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from darkfuse.errors import DarkfuseError, ImageError
from darkfuse.media.decode import Target, decode


@pytest.fixture
def bmp(tmp_path: Path) -> str:
    """A picture the helper has to decode."""
    path = tmp_path / "helped.bmp"
    Image.radial_gradient("L").convert("RGB").resize((67, 45)).save(path)
    return str(path)


def test_dead_helper_is_reported(bmp: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ImageError, match=r"cannot decode the picture: .* status 1"):
        decode(bmp)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(DarkfuseError, match="cannot start /nowhere/python"):
        decode(bmp)


def test_no_descriptor_or_child_is_left(shared: Path, bmp: str, tmp_path: Path) -> None:
    broken = tmp_path / "x.jpg"
    broken.write_bytes(b"no")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        decode(bmp)
        decode(bmp, Target(32, 32, 3, "letterbox", False), 2000)
        decode(str(shared / "images" / "dog.jpg"), Target(32, 32, 3, "letterbox", False), 100_000)
        with pytest.raises(ImageError):
            decode(str(broken))
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_helper_ends_with_its_caller(tmp_path: Path) -> None:
    code = """
import os, sys
from darkfuse.host.helper import _start
job_in, job_out = os.pipe()
back_in, back_out = os.pipe()
print(_start(sys.argv[1], job_in, back_out), flush=True)
os.write(job_out, b"{}\\n")
os.read(back_in, 1)
os.kill(os.getpid(), 9)
"""
    (tmp_path / "slow.py").write_text(
        "import os, time\ndef task():\n    os.write(1, b'.')\n    time.sleep(60)\n    return {}, ()\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    run = subprocess.run([sys.executable, "-c", code, "slow:task"], capture_output=True, text=True,
                         env=environment, timeout=30)
    helper = int(run.stdout)
    for _ in range(200):
        try:
            with open(f"/proc/{helper}/stat") as file:
                state = file.read().rpartition(")")[2].split()[0]
        except OSError:
            break
        if state == "Z":
            break
        time.sleep(0.05)
    else:
        os.kill(helper, 9)
        pytest.fail("the helper outlived its caller")
