#!/usr/bin/env python3
"""Write the table of the models that come with darkfuse into docs/models.md.

    python tools/families_table.py            # rewrite the part between the two marks
    python tools/families_table.py --check    # exit with 1 if it is out of date
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a plain checkout is enough to run this

from darkfuse.graph import Graph, load_graph  # noqa: E402
from darkfuse.model.zoo import OFFICIAL  # noqa: E402
from tools.marked import rewrite  # noqa: E402

DOCUMENT = ROOT / "docs" / "models.md"
BEGIN, END = "<!-- families: tools/families_table.py -->\n", "<!-- end of families -->\n"
OPENCV = "OpenCV 4's maps, random weights, 96x96"
# What the answers of each were compared with, by tests; all of them with OpenCV (tests/peers).
CHECKED = {
    "darkfuse-voc7": "the program it was trained with, OpenCV 4's maps",
    "enet-coco": "AlexeyAB's maps, random weights, 96x96",
    "yolo-fastest-1.1-xl": "AlexeyAB's maps and boxes, real weights",
    "yolov2": "Darknet's maps and boxes, random weights, 416x416 and 608x608",
    "yolov2-tiny": "Darknet's maps and boxes, random weights",
    "yolov3-tiny": "Darknet's maps and boxes, real weights",
    "yolov4-tiny": "AlexeyAB's maps and boxes, real weights",
}


def row(graph: Graph) -> str:
    """One model."""
    official = OFFICIAL.get(graph.name)
    source = "with darkfuse" if graph.name == "darkfuse-voc7" else "-"
    if official is not None:
        kind = official.digest.split(":")[0] if official.digest else "no checksum known"
        source = f"`darkfuse download {graph.name}` ({kind})"
    return (f"| `{graph.name}` | {graph.input.w}x{graph.input.h} | {len(graph.nodes)} | "
            f"{graph.weight_bytes / 1e6:.1f} | {graph.dialect.name} | {source} | "
            f"{CHECKED.get(graph.name, OPENCV)} |\n")


def table() -> str:
    """The table, one row a cfg of `cfg/`, by name."""
    graphs = [load_graph(str(path)) for path in sorted((ROOT / "cfg").glob("*.cfg"))]
    return ("| cfg | input | layers | weights, MB | dialect | weights from | checked against |\n"
            "|---|---|--:|--:|---|---|---|\n" + "".join(map(row, graphs)))


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    return rewrite(argv, __doc__ or "", DOCUMENT, BEGIN, END, table)


if __name__ == "__main__":
    sys.exit(main())
