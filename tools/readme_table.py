#!/usr/bin/env python3
"""Write the table of README.md and of docs/memory.md from docs/results/prove.json.

    python tools/readme_table.py            # rewrite README.md's, then docs/memory.md's
    python tools/readme_table.py --check    # exit with 1 if one is out of date
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a plain checkout is enough to run this

from tools.marked import rewrite
from tools.prove import RESULTS, ROOT
from tools.prove_plot import LOOKS, MB

BEGIN, END = "<!-- table: tools/readme_table.py -->\n", "<!-- end of table -->\n"
MODEL, PAPER = "yolov2", "yolov2-16"  # the paper's task is YOLOv2's first sixteen layers


@functools.cache
def cells_of() -> list[dict[str, Any]]:
    """Everything measured."""
    return list(json.loads(RESULTS.read_text())["cells"].values())


def rows_of(swap: bool, model: str = MODEL) -> dict[str, list[dict[str, Any]]]:
    """Cells of a model at full speed of storage, by program, from the least memory to the most."""
    wanted = (model, swap, "full")
    cells = [cell for cell in cells_of() if (cell["model"], cell["swap"], cell["rate"]) == wanted]
    return {name: sorted((cell for cell in cells if cell["what"] == name), key=lambda cell: cell["limit"])
            for name in LOOKS if any(cell["what"] == name for cell in cells)}


def short() -> str:
    """For each program: the least memory it ran in without swap and the time there, and both with room."""
    text = ["| | least memory it runs in | one frame there | memory it takes with room | one frame |\n"
            "|---|--:|--:|--:|--:|\n"]
    for name, rows in rows_of(False).items():
        ran = [row for row in rows if row["fate"] == "ran"]
        title = f"**{LOOKS[name][1]}**" if name == "darkfuse" else LOOKS[name][1]
        if ran:
            text.append(f"| {title} | {ran[0]['limit'] // MB} MB | {ran[0]['frame_ms']:.0f} ms | "
                        f"{ran[-1]['process_peak'] / MB:.0f} MB | {ran[-1]['frame_ms']:.0f} ms |\n")
        else:
            text.append(f"| {title} | more than {rows[-1]['limit'] // MB} MB | | | |\n")
    return "".join(text)


def whole() -> str:
    """Every limit, without swap and with it, and the paper's task with swap."""
    text = []
    for swap, model in ((False, MODEL), (True, MODEL), (True, PAPER)):
        found = rows_of(swap, model)
        limits = sorted({row["limit"] for rows in found.values() for row in rows})
        if not limits:
            continue
        heads = "".join(f" {limit // MB} MB |" for limit in limits)
        of = ", the paper's task (layers 0 to 15)" if model == PAPER else ""
        text.append(f"\n{'With' if swap else 'Without'} swap{of}, milliseconds a frame:\n\n"
                    f"| |{heads}\n|---|{'--:|' * len(limits)}\n")
        for name, rows in found.items():
            times = {row["limit"]: f"{row['frame_ms']:,.0f}" if row["fate"] == "ran" else "–" for row in rows}
            cells = " | ".join(times.get(limit, "") for limit in limits)
            text.append(f"| {LOOKS[name][1]} | {cells} |\n")
        for what, words in (("process_peak", "peak of darkfuse's process, MB"), ("arena", "its arena, MB")):
            ran = [row for row in found["darkfuse"] if row["fate"] == "ran"]
            sizes = {row["limit"]: f"{row[what] / MB:.1f}" for row in ran}
            text.append(f"| {words} | " + " | ".join(sizes.get(limit, "") for limit in limits) + " |\n")
    return "".join(text) + others() + "\n"


def others() -> str:
    """Other models, and slower storage: darkfuse beside the fastest of all others, without swap."""
    cells = [cell for cell in cells_of()
             if not cell["swap"] and (cell["model"], cell["rate"]) != (MODEL, "full")]
    if not cells:
        return ""
    limits = sorted({cell["limit"] for cell in cells})
    text = ["\nOther models and slower storage, without swap, milliseconds a frame: darkfuse, in brackets "
            "the fastest of all others where one runs:\n\n"
            f"| |{''.join(f' {limit // MB} MB |' for limit in limits)}\n|---|{'--:|' * len(limits)}\n"]
    for model, rate in sorted({(cell["model"], cell["rate"]) for cell in cells}):
        title = model if rate == "full" else f"{model}, {rate}B/s"
        words = []
        for limit in limits:
            ran = {cell["what"]: cell["frame_ms"] for cell in cells if cell["fate"] == "ran"
                   and (cell["model"], cell["rate"], cell["limit"]) == (model, rate, limit)}
            mine = f"{ran.pop('darkfuse'):,.0f}" if "darkfuse" in ran else "–"
            first = min(ran, key=lambda what: ran[what], default="")
            words.append(f"{mine} ({LOOKS[first][1].partition(',')[0]} {ran[first]:,.0f})" if first else mine)
        text.append(f"| {title} | {' | '.join(words)} |\n")
    return "".join(text)


def main(argv: Sequence[str] | None = None) -> int:
    """Write, or compare."""
    pages = ((ROOT / "README.md", short), (ROOT / "docs" / "memory.md", whole))
    return max(rewrite(argv, __doc__ or "", page, BEGIN, END, table) for page, table in pages)


if __name__ == "__main__":
    sys.exit(main())
