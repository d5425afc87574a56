"""`--mem` is a promise about the whole process: kept in real memory cgroups, without swap."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from darkfuse.errors import DarkfuseError
from darkfuse.host.units import parse_bytes
from tools import memory_limit

pytestmark = pytest.mark.slow


def detect_in(limit: str, words: list[str], root: Path, folder: Path, cold: Path):
    command = [
        sys.executable,
        "-c",
        "import sys; from darkfuse.cli.main import main; sys.exit(main())",
        "detect",
        "--mem",
        limit,
        "--json",
        "found.json",
        "--out",
        "drawn",
        *words,
    ]
    try:
        return memory_limit.run(
            command,
            limit,
            cold=[str(cold)],
            capture=True,
            cwd=str(folder),
            env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"},
        )
    except DarkfuseError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("limit", ["48M", "32M"])
def test_yolov2_at_608_in(limit: str, shared: Path, root: Path, tmp_path: Path, reference_weights) -> None:
    weights = reference_weights("yolov2")
    photo = shared / "images" / "dog.jpg"
    words = [str(root / "cfg" / "yolov2.cfg"), str(weights), str(photo)]
    usage = detect_in(limit, [*words, "--thresh", "0.2"], root, tmp_path, weights)
    assert usage.status == 0, usage.stderr
    assert usage.oom_kills == 0 and usage.swap_peak_bytes == 0
    (frame,) = json.loads((tmp_path / "found.json").read_text())
    assert frame["stats"]["peak_rss_bytes"] <= parse_bytes(limit)
    assert (tmp_path / "drawn.jpg").exists()
    # the same boxes as the reference made from the same photo with all memory there is
    rows = (shared / "golden" / "yolov2-608-random-dog.dets.txt").read_text().splitlines()[1:]
    wanted = [[float(v) for v in row.split()] for row in rows]
    sure = [w for w in wanted if w[1] > 0.22]
    found = [[o["class_id"], o["confidence"], *o["relative_coordinates"].values()] for o in frame["objects"]]
    for one in sure:
        assert any(
            one[0] == f[0] and all(abs(a - b) <= 0.02 for a, b in zip(one[1:], f[1:])) for f in found
        ), one
    assert abs(len(found) - len(wanted)) <= len(wanted) - len(sure) + 2


def test_several_pictures_larger_than_there_is_room_for(
    shared: Path, root: Path, tmp_path: Path, reference_weights
) -> None:
    weights = reference_weights("yolov2")
    words = [str(root / "cfg" / "yolov2.cfg"), str(weights)]
    photos = [str(shared / "images" / name) for name in ("kite.jpg", "dog.jpg", "kite.jpg")]
    usage = detect_in("32M", [*words, *photos], root, tmp_path, weights)
    assert usage.status == 0, usage.stderr
    frames = json.loads((tmp_path / "found.json").read_text())
    assert [Path(f["filename"]).name for f in frames] == ["kite.jpg", "dog.jpg", "kite.jpg"]
    assert frames[0]["objects"] == frames[2]["objects"]
    assert frames[-1]["stats"]["peak_rss_bytes"] <= 32 << 20
    assert sorted(p.name for p in (tmp_path / "drawn").iterdir()) == ["dog.jpg", "kite-2.jpg", "kite.jpg"]


def test_too_little_names_what_is_enough_and_that_is(
    shared: Path, root: Path, tmp_path: Path, reference_weights
) -> None:
    weights = reference_weights("yolov2")
    words = [str(root / "cfg" / "yolov2.cfg"), str(weights), str(shared / "images" / "dog.jpg")]
    refused = detect_in("20M", words, root, tmp_path, weights)
    assert refused.status == 2 and len(refused.stderr.splitlines()) == 1
    least = refused.stderr.split("the least that works is ")[1].split(",")[0]
    assert not (tmp_path / "found.json").exists() and not (tmp_path / "drawn.jpg").exists()
    assert detect_in(least, words, root, tmp_path, weights).status == 0


def test_a_first_start_has_room_to_search_in(shared: Path, root: Path, tmp_path: Path) -> None:
    """A deep network's search and this program beside it take 2 MB more than this: the search goes first."""
    limit, cfg = "19.5M", root / "cfg" / "yolo-fastest-1.1-xl.cfg"
    weights = shared / "models" / "yolo-fastest-1.1-xl.weights"
    words = ["--mem", limit, "--threads", "2", "--stats", str(cfg), str(weights)]
    try:
        usage = memory_limit.run(
            [sys.executable, "-m", "darkfuse", "detect", *words, str(root / "tests" / "golden" / "cat.png")],
            limit,
            cold=[str(weights)],
            capture=True,
            cwd=str(tmp_path),
            env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": str(tmp_path / "cache")},
        )
    except DarkfuseError as error:
        pytest.skip(str(error))
    assert usage.status == 0, usage.stderr
    assert usage.oom_kills == 0
    assert "searched for" in usage.stdout + usage.stderr
    assert len(list((tmp_path / "cache").rglob("*.json"))) >= 1
