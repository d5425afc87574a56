"""What `tools/prove.py` keeps and draws."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from darkfuse.plan.show.shapes import to_svg
from tools import peers_table, readme_table
from tools.prove import add_turn
from tools.prove_plot import picture


def cell(what: str, limit: int, ms: float, fate: str = "ran") -> dict[str, Any]:
    return {"what": what, "limit": limit << 20, "frame_ms": ms, "fate": fate}


def test_a_picture_names_each_program_and_where_it_begins_to_run() -> None:
    rows = [cell("darkfuse", 24, 200.0), cell("darkfuse", 1024, 100.0), cell("ncnn", 24, 0.0, "killed"),
            cell("ncnn", 1024, 120.0), cell("opencv", 24, 0.0, "killed")]
    svg = to_svg(picture("a network", rows), 860, 480)
    assert "darkfuse: from 24 MB" in svg and "ncnn: from 1024 MB" in svg and "OpenCV 4: nowhere" in svg


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
