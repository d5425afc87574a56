"""A part of the walk through faults and kills on every change; `walk.py` goes through all of it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


@pytest.mark.slow
@pytest.mark.parametrize("command", ["detect", "optimize"])
def test_every_tenth_call(command: str) -> None:
    words = [sys.executable, str(HERE / "walk.py"), command, "--every", "10"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=1800)
    cases = re.search(rf"^{command}: (\d+) cases, .*, 0 faults", done.stdout, re.MULTILINE)
    assert done.returncode == 0 and cases and int(cases[1]) >= 10, done.stdout + done.stderr
