#!/usr/bin/env python3
"""Draw the two pictures of docs/how.md from real plans: YOLOv2 on a Raspberry Pi 4, in 7 and in 30 MB.

    python tools/how_pictures.py
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a plain checkout is enough to run this

from darkfuse.graph import load_graph
from darkfuse.plan.layout.draft import Draft
from darkfuse.plan.layout.lower import lay_out
from darkfuse.plan.layout.windows import Stored
from darkfuse.plan.price.device import BUILTIN
from darkfuse.plan.search.search import plan_for
from darkfuse.plan.show.shapes import INK, Box, Line, Photo, Shape, Text, to_svg

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
STORED, WHOLE, KEPT, NEW = "#2563a8", "#dde3ea", "#e0a458", "#2563a8"
MB = 2 ** 20


def name_of(draft: Draft, root: int) -> str:
    """What a map is called: the last layer that writes it."""
    leaf = next(leaf for leaf in draft.wiring.leaves if leaf.view.storage == root)
    return "the picture" if leaf.node < 0 else f"layer {leaf.node}"


def whole_bytes(stored: Stored) -> int:
    """Bytes of the map with all its rows and columns, as Darknet keeps it."""
    return 4 * stored.channels * stored.height * stored.width


def fused(draft: Draft) -> list[Shape]:
    """Each early map as a rectangle whose area is its bytes: all of it, and the rows that are ever stored."""
    shapes: list[Shape] = [Text(20, 28, "YOLOv2's first maps: all of each (grey), and what of it exists at a "
                                        "time (blue)", 15)]
    x, base, tall = 30.0, 330.0, 260.0
    for root in sorted(draft.layout.stored)[:9]:
        stored = draft.layout.stored[root]
        high, wide = tall * stored.height / 608, stored.channels * stored.width / 250
        part, across = max(high * stored.slots / stored.height, 2), wide * min(stored.cols / stored.width, 1)
        rows = f"{stored.slots} of {stored.height} rows"
        size = f"{stored.bytes / MB:.2f} of {max(whole_bytes(stored), stored.bytes) / MB:.1f} MB"
        words = f"{name_of(draft, root)}: {rows}, {size}"
        shapes += [Box(x, base - high, wide, high, WHOLE, words=words),
                   Box(x, base - part, across, part, STORED, words=words),
                   Text(x, base + 18, name_of(draft, root), 12),
                   Text(x, base + 34, rows, 12),
                   Text(x, base + 50, size, 12)]
        x += max(wide, 105) + 12
    return shapes


def halo(draft: Draft, tile: int = 3) -> list[Shape]:
    """One tile of the first group, from picture to output: rows kept from the tile before, and new ones."""
    shapes: list[Shape] = [
        Text(20, 28, f"Tile {tile + 1} of the first group: rows new to it (blue), and rows kept from the "
                     "tile before (orange)", 15),
        Photo(20, 70, 150, 150, False)]
    row, top = 13.0, 70.0
    for place, number in enumerate(draft.members[0]):
        axis, leaf = draft.layout.rows[number], draft.wiring.leaves[number]
        x, (begin, end), low = 230.0 + 280 * place, axis.spans[tile], axis.first[tile]
        shapes.append(Text(x, top - 12, f"{name_of(draft, leaf.view.storage)}: rows {low} to {end - 1} of "
                                        f"{leaf.shape.h}", 12))
        for line in range(low, end):
            kept = line < begin
            shapes.append(Box(x, top + row * (line - low), 160, row - 2, KEPT if kept else NEW,
                              words=f"row {line}: " + ("kept from the tile before" if kept else "new")))
        if place:
            shapes += [Line(x - 112, top + 6, x - 12, top + 6, INK),
                       Text(x - 62, top + 22, "3x3, then 2x2", 11, "middle")]
        else:
            scale = 150 / leaf.shape.h
            shapes += [Box(20, top + scale * low, 150, scale * (end - low), NEW, cover=0.6),
                       Line(170, top + scale * low, x - 8, top, INK, dashed=True),
                       Line(170, top + scale * end, x - 8, top + row * (end - low), INK, dashed=True)]
    return shapes


def draft_in(megabytes: int) -> Draft:
    """The fastest plan of that arena, laid out."""
    graph = load_graph(str(ROOT / "cfg" / "yolov2.cfg"))
    return lay_out(graph, plan_for(graph, megabytes << 20, 4, False, BUILTIN["rpi4"]))


def main() -> int:
    """Draw both."""
    IMAGES.joinpath("how-fused.svg").write_text(to_svg(fused(draft_in(7)), 1230, 400), encoding="utf-8")
    IMAGES.joinpath("how-halo.svg").write_text(to_svg(halo(draft_in(30)), 990, 240), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
