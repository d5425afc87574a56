"""The least process that runs a network, in a memory cgroup without swap (tools/least_process.py)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from darkfuse.errors import DarkfuseError
from tools.cgroup import Group
from tools.least_process import checked

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def cgroups() -> None:
    """Nothing here can be said without memory cgroups."""
    try:
        Group().close()
    except DarkfuseError as error:
        pytest.skip(str(error))


def test_yolov4_tiny_in_20_mb(shared: Path, tmp_path: Path) -> None:
    shutil.copy(shared / "models" / "yolov4-tiny.weights", tmp_path)
    line, good = checked("yolov4-tiny", tmp_path, str(shared / "images" / "dog.jpg"))
    assert good, line


def test_resnet50_in_25_mb(root: Path, tmp_path: Path) -> None:
    line, good = checked("resnet50", tmp_path, str(root / "tests" / "golden" / "cat.png"))
    assert good, line
