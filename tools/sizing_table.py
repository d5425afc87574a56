#!/usr/bin/env python3
"""Predict each model on each board at each budget, into docs/results/sizing.json and docs/boards.md.

    python tools/sizing_table.py --predict  # plan everything anew (some ten minutes), then write the tables
    python tools/sizing_table.py            # rewrite the tables from the JSON
    python tools/sizing_table.py --check    # exit with 1 if they are out of date
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a plain checkout is enough to run this

from darkfuse.errors import BudgetError
from darkfuse.graph import load_graph
from darkfuse.plan.price.device import BUILTIN, Device
from darkfuse.session.whatif import Planner
from tools.marked import rewrite

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT, RESULTS = ROOT / "docs" / "boards.md", ROOT / "docs" / "results" / "sizing.json"
BEGIN, END = "<!-- boards: tools/sizing_table.py -->\n", "<!-- end of boards -->\n"

# cfg, and the input size where it is not the cfg's own
MODELS = (("darkfuse-voc7", None), ("yolo-fastest-1.1-xl", None), ("yolov2-tiny", None),
          ("yolov3-tiny", None), ("yolov4-tiny", None), ("yolov7-tiny", None), ("enet-coco", None),
          ("yolov2", 416), ("yolov2", None), ("yolov3", None), ("yolov4", 416), ("yolov4-csp", None))
BUDGETS = ("24M", "32M", "48M", "64M", "128M", "256M", "resident")


def predicted(device: Device, name: str, size: int | None) -> dict[str, Any]:
    """One model on one board: the least process, and by budget milliseconds a frame (None: does not fit) and
    the process's peak."""
    graph = load_graph(str(ROOT / "cfg" / f"{name}.cfg"), *((size, size) if size else ()))
    planner = Planner(graph, device, max(device.rates))
    found: dict[str, Any] = {"model": name, "size": graph.input.w, "least_bytes": planner.least_budget(),
                             "ms": {}}
    for budget in BUDGETS:
        try:
            answer = planner.fastest(budget)
        except BudgetError:
            found["ms"][budget] = None
            continue
        found["ms"][budget] = round(answer.prediction.ms, 1)
        if budget == "resident":
            found["resident_bytes"] = answer.prediction.peak_bytes
    return found


def predict_all() -> None:
    """Plan everything and write the results."""
    boards = []
    for device in BUILTIN.values():
        rows = []
        for name, size in MODELS:
            print(device.name, name, size or "", file=sys.stderr)
            rows.append(predicted(device, name, size))
        boards.append({"name": device.name, "cores": max(device.rates), "storage": device.read * 1e9,
                       "models": rows})
    RESULTS.parent.mkdir(exist_ok=True)
    whole = {"script": "tools/sizing_table.py --predict", "boards": boards}
    RESULTS.write_text(json.dumps(whole, indent=1) + "\n")


def seconds(ms: float | None) -> str:
    """Two digits of seconds; a dash for what does not fit."""
    if ms is None:
        return "–"
    return f"{ms / 1000:.2f}" if ms < 1000 else f"{ms / 1000:.1f}" if ms < 10000 else f"{ms / 1000:.0f}"


def tables() -> str:
    """The tables, a board each."""
    text = []
    for board in json.loads(RESULTS.read_text())["boards"]:
        text.append(f"\n## `{board['name']}`\n\n{board['cores']} threads, weights read at "
                    f"{board['storage'] / 1e6:.0f} MB/s.\n\n"
                    "| model | least | " + " | ".join(b if b != "resident" else "all of it" for b in BUDGETS)
                    + " |\n|---|--:|" + "--:|" * len(BUDGETS) + "\n")
        for row in board["models"]:
            whole = f"{seconds(row['ms']['resident'])} ({row['resident_bytes'] / 2 ** 20:.0f} MB)"
            cells = [seconds(row["ms"][budget]) for budget in BUDGETS[:-1]]
            text.append(f"| {row['model']} {row['size']} | {row['least_bytes'] / 2 ** 20:.0f} MB | "
                        + " | ".join([*cells, whole]) + " |\n")
    return "".join(text)


def main(argv: Sequence[str] | None = None) -> int:
    """Write, or compare."""
    words = list(sys.argv[1:] if argv is None else argv)
    if "--predict" in words:
        words.remove("--predict")
        predict_all()
    return rewrite(words, __doc__ or "", DOCUMENT, BEGIN, END, tables)


if __name__ == "__main__":
    sys.exit(main())
