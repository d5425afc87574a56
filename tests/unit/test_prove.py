"""What `tools/prove.py` keeps and draws."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from darkfuse.plan.show.shapes import to_svg
from tools.prove_plot import picture


def cell(what: str, limit: int, ms: float, fate: str = "ran") -> dict[str, Any]:
    return {"what": what, "limit": limit << 20, "frame_ms": ms, "fate": fate}


def test_a_picture_names_each_program_and_where_it_begins_to_run() -> None:
    rows = [cell("darkfuse", 24, 200.0), cell("darkfuse", 1024, 100.0), cell("ncnn", 24, 0.0, "killed"),
            cell("ncnn", 1024, 120.0), cell("opencv", 24, 0.0, "killed")]
    svg = to_svg(picture("a network", rows), 860, 480)
    assert "darkfuse: from 24 MB" in svg and "ncnn: from 1024 MB" in svg and "OpenCV 4: nowhere" in svg


def test_results_say_where_and_with_what(root: Path) -> None:
    path = root / "docs" / "results" / "prove.json"
    if not path.exists():
        pytest.skip("docs/results/prove.json is not there: tools/prove.py was not run")
    results = json.loads(path.read_text())
    assert results["machine"]["processor"]
    for cell in results["cells"].values():
        assert cell["commit"] and (cell["fate"] != "ran") == (cell["frame_ms"] == 0)
