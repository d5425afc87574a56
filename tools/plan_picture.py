#!/usr/bin/env python3
"""Draw the README's picture of a plan: what `darkfuse plan --plot` draws, with three notes on it.

    tools/plan_picture.py docs/images/plan.png
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from darkfuse.graph import load_graph  # noqa: E402
from darkfuse.plan.layout.lower import lower  # noqa: E402
from darkfuse.plan.price.device import load_device  # noqa: E402
from darkfuse.plan.show.plot import CHART, HEIGHT, PHOTO, WIDTH, draw  # noqa: E402
from darkfuse.plan.show.shapes import INK, PAPER, Box, Shape, Text, save_png  # noqa: E402
from darkfuse.session.whatif import Planner  # noqa: E402

CFG, MEM, DEVICE, THREADS = "yolov2.cfg", "48M", "rpi4", 4
COLOURS = 96  # of the file


def note(number: int, x: float, y: float, words: list[str]) -> list[Shape]:
    """A number on the chart, and what it stands for beside the legend."""
    at, left, name = CHART[1] + CHART[3] + 26 + 36 * (number - 1), PHOTO[0], str(number)
    mark: list[Shape] = [Box(x - 9, y - 9, 18, 18, INK), Text(x, y + 5, name, 13, "middle", PAPER),
                         Box(left, at, 18, 18, INK), Text(left + 9, at + 14, name, 13, "middle", PAPER)]
    return mark + [Text(PHOTO[0] + 28, at + 8 + 16 * line, text, 12) for line, text in enumerate(words)]


def main(out: str) -> int:
    """Write it."""
    from PIL import Image

    graph = load_graph(str(ROOT / "cfg" / CFG))
    planner = Planner(graph, load_device(DEVICE), THREADS)
    answer = planner.fastest(MEM)
    shapes = draw(graph, answer.plan, lower(graph, answer.plan), answer.prediction)
    blocks = [shape for shape in shapes if isinstance(shape, Box)]
    stays = max((box for box in blocks if "all the time" in box.words), key=lambda box: box.h)
    coming = [box for box in blocks if box.words.startswith("weights from storage")]
    late = min(coming, key=lambda box: abs(box.x - CHART[0] - 0.7 * CHART[2]))
    early = min((box for box in blocks if "(maps)" in box.words), key=lambda box: (box.x, -box.h))
    shapes += note(1, early.x + early.w / 2, early.y + early.h / 2,
                   ["early layers: large maps, so a few rows", "at a time go through several layers"])
    shapes += note(2, late.x + late.w / 2, late.y - 12, ["late layers: large weights, so each comes",
                                                         "from storage while the one before runs"])
    shapes += note(3, stays.x + stays.w * 0.75, stays.y + stays.h / 2,
                   ["what is left of the budget keeps weights", "in memory from picture to picture"])
    whole = io.BytesIO()
    save_png(shapes, WIDTH, HEIGHT, whole)
    Image.open(whole).quantize(COLOURS, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2] or ["docs/images/plan.png"]))
