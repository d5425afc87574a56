"""The programs in `examples/` do what they say."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from video import make_video


def start(root: Path, name: str, *words: object, **options: Any) -> subprocess.Popen[str]:
    """An example as people start it: from the checkout."""
    command = [sys.executable, str(root / "examples" / f"{name}.py"), *map(str, words)]
    return subprocess.Popen(command, cwd=root, env=options.pop("env", None), text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def output(root: Path, name: str, *words: object) -> str:
    said, complained = (process := start(root, name, *words)).communicate(timeout=300)
    assert process.returncode == 0, complained
    return said


def test_a_photo(root: Path, tmp_path: Path) -> None:
    said = output(root, "photo", "docs/images/cat.jpg", tmp_path / "found.jpg")
    assert said.startswith("cat ") and (tmp_path / "found.jpg").stat().st_size > 1000


def test_a_folder_to_csv(root: Path, tmp_path: Path) -> None:
    for photo in ("cat.jpg", "astronaut.jpg"):
        shutil.copy(root / "docs" / "images" / photo, tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    output(root, "folder_to_csv", tmp_path, tmp_path / "found.csv")
    with open(tmp_path / "found.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["photo"], row["what"]) for row in rows] == [("astronaut.jpg", "person"), ("cat.jpg", "cat")]
    assert all(float(row["left"]) < float(row["right"]) for row in rows)


def test_a_camera_loop(root: Path, tmp_path: Path) -> None:
    film = make_video(tmp_path / "film.avi", 5)
    lines = output(root, "camera_loop", film).splitlines()
    assert len(lines) == 5 and all(" people, " in line for line in lines)


def test_a_web_service(root: Path) -> None:
    service = start(root, "web_service", 0)
    try:
        address = service.stdout.readline().strip() if service.stdout else ""
        photo = (root / "docs" / "images" / "cat.jpg").read_bytes()
        with urllib.request.urlopen(urllib.request.Request(address, photo), timeout=120) as answer:
            found = json.load(answer)
        assert [one["name"] for one in found] == ["cat"] and len(found[0]["xyxy"]) == 4
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(urllib.request.Request(address, b"no picture"), timeout=60)
    finally:
        service.terminate()
        service.communicate()


def test_planning_for_another_board(root: Path, tmp_path: Path) -> None:
    said = output(root, "plan_for_another_board", tmp_path / "planned.cfg", "rpi3", "48M")
    assert "48M: " in said and "smallest: " in said
    assert "fuse_plan" in (tmp_path / "planned.cfg").read_text()
