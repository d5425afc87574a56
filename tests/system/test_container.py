"""The image of deploy/Containerfile, built and run as deploy/ says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tools.run_container import missing


@pytest.mark.slow
def test_the_image_finds_the_cat_without_privileges(root: Path, tmp_path: Path) -> None:
    """On a debootstrapped Debian; `tools/run_container.py` says what was wrong."""
    lack = missing()
    if lack:
        pytest.skip(lack)
    out = tmp_path / "report.json"
    done = subprocess.run([sys.executable, str(root / "tools" / "run_container.py"), "--json", str(out)],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(out.read_text())
    assert "cat" in report["found"] and not report["wrong"]
