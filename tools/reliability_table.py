#!/usr/bin/env python3
"""Write the counts of fuzzing, faults, kills and long runs into docs/reliability.md, from tests/counts.json.

    python tools/reliability_table.py            # rewrite the part between the two marks
    python tools/reliability_table.py --check    # exit with 1 if it is out of date

`tests/fuzz/run.py` and `limits.py`, `tests/faults/walk.py` and `endure.py` write that file, with --record.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a plain checkout is enough to run this

from tools.marked import rewrite  # noqa: E402

DOCUMENT, COUNTS = ROOT / "docs" / "reliability.md", ROOT / "tests" / "counts.json"
BEGIN, END = "<!-- counts: tools/reliability_table.py -->\n", "<!-- end of counts -->\n"


def fuzzed(counts: dict[str, Any]) -> list[str]:
    """One line a target."""
    lines = ["| fuzz target | executions | faults | slowest |", "|---|---|---|---|"]
    return lines + [f"| {name} | {one['executions']:,} | {one['faults']} | {one['slowest_ms']} ms |"
                    for name, one in sorted(counts.items(), key=lambda pair: -pair[1]["executions"])]


def limited(counts: dict[str, Any]) -> list[str]:
    """One line a command."""
    lines = ["| command in a cgroup | its budget | inputs | most it took | killed, or a wrong end |",
             "|---|---|---|---|---|"]
    return lines + [f"| {name} | {one['limit_mb']} MB | {one['inputs']:,} | {one['peak_mb']} MB "
                    f"| {one['faults']} |" for name, one in sorted(counts.items())]


def walked(counts: dict[str, Any]) -> list[str]:
    """One line a command, and their sum."""
    lines = ["| command | faults | kills | answered all the same | ended by a library | unexplained |",
             "|---|---|---|---|---|---|"]
    total = [0] * 5
    for name, one in sorted(counts.items()):
        row = [one["faults"], one["kills"], one["survived"], sum(one["own_ends"].values()),
               one["unexplained"]]
        total = [a + b for a, b in zip(total, row)]
        lines.append(f"| {name} | " + " | ".join(f"{number:,}" for number in row) + " |")
    return [*lines, "| all | " + " | ".join(f"{number:,}" for number in total) + " |"]


def endured(counts: dict[str, Any]) -> list[str]:
    """One line a run."""
    lines = ["| long run | minutes | frames | rounds | other answers | growth | peak | most threads, "
             "descriptors |", "|---|---|---|---|---|---|---|---|"]
    for name, one in sorted(counts.items()):
        most = ", ".join("/".join(map(str, one[f"most_{what}"])) for what in ("threads", "descriptors"))
        growth = f"{one['rss_mb_an_hour']:+.2f} MB/h"
        lines.append(f"| {name} | {one['minutes']:g} | {one['frames']:,} | {one['rounds']} "
                     f"| {len(one['differ'])} | {growth} | {one['peak_mb']} MB | {most} |")
    return lines


def table() -> str:
    """The part of the document between the marks."""
    counts = json.loads(COUNTS.read_text())
    makers = {"fuzz": fuzzed, "limits": limited, "faults": walked, "endure": endured}
    parts = [maker(counts[name]) for name, maker in makers.items() if counts.get(name)]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    return rewrite(argv, __doc__ or "", DOCUMENT, BEGIN, END, table)


if __name__ == "__main__":
    raise SystemExit(main())
