#!/usr/bin/env python3
"""Write docs/boards.md's table of what a frame costs each core, from the models of `arm_model.py`.

    cycles_table.py [--check]

Takes some minutes. Needs what `arm_model.py --traffic` needs, and llvm-mca.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a plain checkout is enough to run this

from tools import arm_model  # noqa: E402
from tools.arm import mca  # noqa: E402
from tools.marked import rewrite  # noqa: E402

BEGIN, END = "<!-- cycles: tools/cycles_table.py -->\n", "<!-- end of cycles -->\n"
PLANS = {"rpi3": {"Cortex-A53, cycles": "A53 cycles, a53"},
         "rpi4": {"Cortex-A72, cycles": "A72 cycles", "Neoverse N1, cycles": "N1 cycles",
                  "A72 and N1, instructions": "instructions",
                  "from memory, 512 KB of cache": "fills at 512 KB",
                  "from memory, 1 MB of cache": "fills at 1 MB"}}


def table() -> str:
    lines = ["", "| | plan | millions a frame |", "|---|---|--:|"]
    for device, figures in PLANS.items():
        row, _ = arm_model.modelled(str(ROOT / "cfg" / "yolov2-tiny.cfg"), device, caches=device == "rpi4")
        for name, figure in figures.items():
            unit = " MB" if figure.startswith("fills") else ""
            lines.append(f"| {name} | `{device}` | {row[figure]:.0f}{unit} |")
    return "\n".join([*lines, "", ""])


def main(argv: list[str] | None = None) -> int:
    missing = [*arm_model.missing(caches=True), *([] if mca.tool() else ["llvm"])]
    if missing:
        print(f"cycles_table: apt-get install {' '.join(missing)}", file=sys.stderr)
        return 2
    return rewrite(argv, str(__doc__), ROOT / "docs" / "boards.md", BEGIN, END, table)


if __name__ == "__main__":
    sys.exit(main())
