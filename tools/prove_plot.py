"""Draws what `tools/prove.py` measured: milliseconds a frame against memory, a picture for each model."""

from __future__ import annotations

import math
from typing import Any

from darkfuse.plan.show.shapes import INK, Box, Line, Shape, Text, to_svg
from tools.bench.race import ROOT

IMAGES = ROOT / "docs" / "images"
WIDTH, HEIGHT = 970, 480
LEFT, RIGHT, TOP, BOTTOM = 80, 640, 60, 420
# Okabe and Ito's colours, which people who see few colours tell apart
LOOKS = {"darkfuse": ("#0072b2", "darkfuse"), "paper": ("#e69f00", "the paper's plan, our engine"),
         "layers": ("#999999", "layer by layer, our engine"), "ncnn": ("#009e73", "ncnn"),
         "onnxruntime": ("#cc79a7", "onnxruntime"), "opencv": ("#d55e00", "OpenCV 4"),
         "openvino": ("#56b4e9", "OpenVINO"), "mnn": ("#000000", "MNN")}
MB = 1 << 20


class Axes:
    """Logarithmic axes: bytes across, milliseconds up."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        limits = [row["limit"] for row in rows]
        times = [row[what] for row in rows for what in ("frame_ms", "predicted_ms") if row.get(what)]
        self.low, self.high = math.log(min(limits) * 0.85), math.log(max(limits) * 1.18)
        self.fast, self.slow = math.log(min(times) * 0.7), math.log(max(times) * 1.6)

    def x(self, size: float) -> float:
        return LEFT + (RIGHT - LEFT) * (math.log(size) - self.low) / (self.high - self.low)

    def y(self, ms: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * (math.log(ms) - self.fast) / (self.slow - self.fast)

    def path(self, rows: list[dict[str, Any]], what: str, ink: str, dashed: bool = False) -> list[Shape]:
        """A line from row to row."""
        return [Line(self.x(a["limit"]), self.y(a[what]), self.x(b["limit"]), self.y(b[what]), ink, dashed)
                for a, b in zip(rows, rows[1:])]


def frame(axes: Axes, title: str, limits: list[int]) -> list[Shape]:
    """Title, axes, their ticks and names."""
    shapes: list[Shape] = [Text(LEFT, 30, title, 16), Line(LEFT, BOTTOM, RIGHT, BOTTOM, INK),
                           Line(LEFT, TOP, LEFT, BOTTOM, INK)]
    for limit in limits:
        shapes += [Line(axes.x(limit), BOTTOM, axes.x(limit), BOTTOM + 5, INK),
                   Text(axes.x(limit), BOTTOM + 20, f"{limit // MB}", 12, "middle")]
    for decade in range(7):
        for times in (1, 2, 5):
            ms = times * 10 ** decade
            if axes.fast < math.log(ms) < axes.slow:
                shapes += [Line(LEFT, axes.y(ms), RIGHT, axes.y(ms), "#e3e8ee"),
                           Text(LEFT - 8, axes.y(ms) + 4, f"{ms}", 12, "end")]
    shapes += [Text((LEFT + RIGHT) / 2, BOTTOM + 44, "memory of the whole process allowed, MB", 13, "middle"),
               Text(24, (TOP + BOTTOM) / 2, "one frame, ms", 13, "middle", up=True)]
    return shapes


def picture(title: str, rows: list[dict[str, Any]]) -> list[Shape]:
    """A line for each program; a cross at the limit where it did not run."""
    axes = Axes(rows)
    shapes = frame(axes, title, sorted({row["limit"] for row in rows}))
    programs = [name for name in LOOKS if any(row["what"] == name for row in rows)]
    for number, name in enumerate(programs):
        ink, words = LOOKS[name]
        mine = sorted((row for row in rows if row["what"] == name), key=lambda row: row["limit"])
        ran = [row for row in mine if row["fate"] == "ran"]
        shapes += axes.path(ran, "frame_ms", ink)
        for row in ran:
            shapes.append(Box(axes.x(row["limit"]) - 4, axes.y(row["frame_ms"]) - 4, 8, 8, ink,
                              words=f"{words}, {row['limit'] // MB} MB: {row['frame_ms']:.0f} ms"))
        shapes += axes.path([row for row in ran if row.get("predicted_ms")], "predicted_ms", ink, True)
        least = f"from {ran[0]['limit'] // MB} MB" if ran else "nowhere"
        y = TOP + 26 * number
        shapes += [Box(RIGHT + 20, y, 12, 12, ink), Text(RIGHT + 38, y + 11, f"{words}: {least}", 12)]
    if any(row.get("predicted_ms") for row in rows):
        y = TOP + 26 * len(programs)
        shapes += [Line(RIGHT + 18, y + 6, RIGHT + 34, y + 6, LOOKS["darkfuse"][0], dashed=True),
                   Text(RIGHT + 38, y + 11, "darkfuse, predicted", 12)]
    return shapes


def draw_all(results: dict[str, Any]) -> None:
    """A picture for each model, kind of swap and rate of storage there are figures of."""
    cells = list(results.get("cells", {}).values())
    for model, swap, rate in sorted({(c["model"], c["swap"], c["rate"]) for c in cells}):
        rows = [c for c in cells if (c["model"], c["swap"], c["rate"]) == (model, swap, rate)]
        if not any(row["fate"] == "ran" for row in rows):
            continue
        kind = ("with swap" if swap else "no swap") + ("" if rate == "full" else f", storage of {rate}B/s")
        name = f"prove-{model.replace('@', '-')}-{'swap' if swap else 'noswap'}-{rate}.svg"
        svg = to_svg(picture(f"{model}: milliseconds against memory ({kind})", rows), WIDTH, HEIGHT)
        IMAGES.joinpath(name).write_text(svg, encoding="utf-8")
