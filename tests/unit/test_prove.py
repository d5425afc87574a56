"""What `tools/prove.py` keeps and draws."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from darkfuse.plan.show.shapes import to_svg
from tools import memory_over_time, peers_table, readme_table
from tools.prove import add_turn
from tools.prove_plot import picture


def cell(what: str, limit: int, ms: float, fate: str = "ran") -> dict[str, Any]:
    return {"what": what, "limit": limit << 20, "frame_ms": ms, "fate": fate}


def test_a_picture_names_each_program_and_where_it_begins_to_run() -> None:
    rows = [cell("darkfuse", 24, 200.0), cell("darkfuse", 1024, 100.0), cell("ncnn", 24, 0.0, "killed"),
            cell("ncnn", 1024, 120.0), cell("opencv", 24, 0.0, "killed")]
    svg = to_svg(picture("a network", rows), 860, 480)
    assert "darkfuse: from 24 MB" in svg and "ncnn: from 1024 MB" in svg and "OpenCV 4: nowhere" in svg


def test_memory_over_time_names_what_each_program_took() -> None:
    points = [[0.0, 10 << 20, 0], [0.5, 64 << 20, 200 << 20], [1.0, 64 << 20, 0]]
    run = {"fate": "ran", "frames": 3, "frame_ms": 1234.0, "points": points}
    svg = memory_over_time.picture({"model": "yolov2", "limit": 64 << 20, "runs": {"ncnn": run}})
    assert "ncnn: 3 frames of 1,234 ms; at most 264 MB in memory and swap together" in svg
    assert "0.5 s: 64 MB in memory, 200 in swap" in svg


def test_a_watched_run_keeps_its_peaks(monkeypatch: pytest.MonkeyPatch) -> None:
    class Grown:
        def stat(self) -> dict[str, int]:
            return {"rss": moment, "cache": 1}

        def swap_now(self) -> int:
            return 0

    monkeypatch.setattr(memory_over_time, "POINTS", 4)
    watch = memory_over_time.Watch()
    for moment in range(10):
        watch(moment / 50, Grown())
    assert watch.points() == [(0.0, 3, 0), (0.06, 6, 0), (0.12, 9, 0), (0.18, 10, 0)]


def turn(ms: float, fate: str = "ran") -> dict[str, Any]:
    return {"fate": fate, "frame_ms": ms, "first_ms": ms + 5, "start_ms": 300.0, "process_peak": int(ms),
            "group_peak": 1, "swap_peak": 0}


def test_a_cell_has_the_median_of_its_turns_and_the_most_of_their_bytes() -> None:
    whole: dict[str, Any] = {}
    for ms in (100.0, 190.0, 110.0):
        whole = add_turn(whole, turn(ms))
    assert (whole["frame_ms"], whole["first_ms"], whole["process_peak"]) == (110.0, 115.0, 190)
    assert len(whole["turns"]) == 3


def test_a_cell_that_was_killed_once_did_not_run() -> None:
    whole = add_turn(add_turn({}, turn(0.0, "killed")), turn(100.0))
    assert (whole["fate"], whole["frame_ms"]) == ("killed", 0.0)


def test_results_say_where_and_with_what(root: Path) -> None:
    path = root / "docs" / "results" / "prove.json"
    if not path.exists():
        pytest.skip("docs/results/prove.json is not there: tools/prove.py was not run")
    results = json.loads(path.read_text())
    assert results["machine"]["processor"]
    for cell in results["cells"].values():
        assert cell["commit"] and (cell["fate"] != "ran") == (cell["frame_ms"] == 0)


def test_tables_of_the_readme_are_those_of_the_results() -> None:
    assert readme_table.main(["--check"]) == 0, "run tools/readme_table.py"


def test_table_of_peers_is_that_of_the_results() -> None:
    assert peers_table.main(["--check"]) == 0, "run tools/peers_table.py"
