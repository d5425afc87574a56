"""A plan as a picture: the arena over time, every buffer a block, and the tiles over the network's input.

The same few shapes go into an SVG, written by hand, or through Pillow into a PNG.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from darkfuse.errors import DarkfuseError
from darkfuse.graph import Graph
from darkfuse.host.units import format_bytes
from darkfuse.plan.layout.arena import aligned
from darkfuse.plan.layout.region import Span
from darkfuse.plan.price.predict import Prediction
from darkfuse.plan.program import Buffer, Program
from darkfuse.plan.show.explain import kept
from darkfuse.plan.types import Plan

WIDTH, HEIGHT = 1200, 640
CHART = (70, 60, 760, 490)  # left, top, width, height of the arena over time
PHOTO = (880, 60, 290, 290)  # of the input with its tiles
# Colours that keep apart for the colour-blind (Okabe and Ito)
COLOURS = {"map": "#56b4e9", "packed": "#e69f00", "reader": "#f0e442", "scratch": "#999999",
           "cache": "#009e73", "output": "#cc79a7", "other": "#d55e00"}
NAMES = {"map": "maps", "packed": "weights", "reader": "reads ahead", "scratch": "Winograd's scratch",
         "cache": "row caches", "output": "outputs", "other": "biases"}
INK, PAPER, FAINT = "#222222", "#ffffff", "#cccccc"


@dataclass(frozen=True)
class Box:
    """A rectangle: left, top, width, height in pixels, and its colours ('' is none)."""

    x: float
    y: float
    w: float
    h: float
    fill: str
    line: str = ""


@dataclass(frozen=True)
class Text:
    """Words at their left end (or middle, or right), on a baseline."""

    x: float
    y: float
    words: str
    size: int = 12
    anchor: str = "start"


Shapes = list[object]


def draw(graph: Graph, plan: Plan, program: Program, prediction: Prediction) -> Shapes:
    """Shapes of the whole picture, `WIDTH` x `HEIGHT` pixels."""
    shapes: Shapes = [Box(0, 0, WIDTH, HEIGHT, PAPER)]
    arena = format_bytes(program.arena_bytes)
    title = f"{plan.network}: arena of {arena} over a frame of {prediction.ms:.0f} ms"
    shapes.append(Text(CHART[0], 28, title, 18))
    shapes += _arena(program, prediction)
    shapes += _legend(program)
    shapes += _photo(graph, plan, program)
    return shapes


def _arena(program: Program, prediction: Prediction) -> Shapes:
    """Buffers: time to the right, offsets upwards."""
    left, top, width, height = CHART
    shapes: Shapes = []
    total = prediction.ms or 1.0
    starts, now = [], 0.0  # of steps; where a stage has two, the first is short
    for group, stage in zip(prediction.groups, program.stages):
        starts += [now, now + 0.04 * group.ms][: 1 + stage.last - stage.first]
        now += group.ms
    starts.append(now)

    def x(step: int) -> float:
        return left + width * starts[min(max(step, 0), len(starts) - 1)] / total

    def y(offset: int) -> float:
        return top + height * (1 - offset / program.arena_bytes)

    for slot in prediction.slots:
        tall, wide = y(slot.low) - y(slot.high), width * (slot.end - slot.begin) / total
        shapes.append(Box(left + width * slot.begin / total, y(slot.high), max(wide, 0.5), max(tall, 0.4),
                          COLOURS["reader"], PAPER if tall > 3 and wide > 3 else ""))
    # Where a map is written over one that dies, the older one's name goes beside it, not beneath
    covered = {b.over: x(b.first) for b in program.buffers if b.over >= 0}
    slots = {w.raw for w in program.weights}
    buffers = [(number, buffer) for number, buffer in enumerate(program.buffers) if number not in slots]
    for number, buffer in sorted(buffers, key=lambda item: item[1].bytes, reverse=True):
        first, last = x(buffer.first), x(buffer.last + 1)
        tall = height * aligned(buffer.bytes) / program.arena_bytes
        line = PAPER if tall > 3 and last - first > 3 else ""
        shapes.append(Box(first, y(buffer.offset) - tall, max(last - first, 0.5), max(tall, 0.4),
                          COLOURS[kind_of(buffer)], line))
        last = min(last, max(covered.get(number, last), first))
        room = min((last - first) / 7.0, 30)
        if tall >= 14 and room >= 4:
            words = buffer.name if len(buffer.name) <= room else buffer.name.replace("layer ", "")
            if len(words) <= room:
                shapes.append(Text((first + last) / 2, y(buffer.offset) - tall / 2 + 4, words, 11, "middle"))
    for tick in range(5):
        at, across = top + height * tick / 4, left + width * tick / 4
        size = round(program.arena_bytes * (4 - tick) / 4)
        shapes += [Box(left - 4, at, 4, 1, INK),
                   Text(left - 8, at + 4, format_bytes(size) if size else "0", 11, "end")]
        shapes += [Box(across, top + height, 1, 4, INK),
                   Text(across, top + height + 18, f"{total * tick / 4:.0f} ms", 11, "middle")]
    shapes.append(Box(left, top, width, height, "", INK))
    return shapes


def kind_of(buffer: Buffer) -> str:
    """Which of `NAMES` a buffer is."""
    last = buffer.name.split(" ")[-1]
    if buffer.name.endswith("row cache"):
        return "cache"
    known = {"map": "map", "input": "map", "packed": "packed", "resident": "packed", "reader": "reader",
             "scratch": "scratch", "output": "output", "scale": "other", "bias": "other"}
    return known.get(last, "other")


def _legend(program: Program) -> Shapes:
    shapes: Shapes = []
    used = {kind_of(buffer) for buffer in program.buffers}
    at = float(CHART[0])
    for kind, name in NAMES.items():
        if kind in used:
            shapes += [Box(at, HEIGHT - 42, 14, 14, COLOURS[kind]), Text(at + 20, HEIGHT - 30, name, 13)]
            at += 40 + 7.5 * len(name)
    return shapes


def _photo(graph: Graph, plan: Plan, program: Program) -> Shapes:
    """The tiles of the first group, over the network's input."""
    left, top, width, height = PHOTO
    source = graph.input
    scale = min(width / source.w, height / source.h)
    shapes: Shapes = [Text(left, top - 12, f"input {source.w}x{source.h}", 14),
                      Box(left, top, source.w * scale, source.h * scale, "#eef3f7", INK)]
    rows, columns = _input_tiles(program)
    shades = ("#cfe3f1", "#a9cde6")
    for i, (y0, y1) in enumerate(rows):
        for j, (x0, x1) in enumerate(columns):
            shapes.append(Box(left + x0 * scale, top + y0 * scale, (x1 - x0) * scale, (y1 - y0) * scale,
                              shades[(i + j) % 2], "#5b7f99" if len(rows) <= 60 else ""))
    grid = plan.groups[0].grid
    text = "whole maps" if grid == (1, 1) else f"{grid[0]}x{grid[1]} tiles, kept: {kept(plan.groups[0])}"
    shapes.append(Text(left, top + source.h * scale + 20, f"layers {plan.groups[0].nodes[0]}-"
                       f"{plan.groups[0].nodes[-1]}: {text}", 13))
    at = top + source.h * scale + 56
    shapes.append(Text(left, at - 12, "groups, tiles of their last maps", 14))
    tiled = [group for group in plan.groups if group.grid != (1, 1)]
    for number, group in enumerate(tiled[:8]):
        last = group.nodes[-1]
        tiles, shape = f"{group.grid[0]}x{group.grid[1]}", graph.node(last).out_shape
        words = f"layers {group.nodes[0]}-{last}: {tiles} over {shape}"
        shapes.append(Text(left, at + 10 + 18 * number, words, 12))
    rest = f"{len(plan.groups) - len(tiled)} groups run on whole maps"
    shapes.append(Text(left, at + 10 + 18 * min(len(tiled), 8), rest, 12))
    return shapes


def _input_tiles(program: Program) -> tuple[Sequence[Span], Sequence[Span]]:
    """Rows and columns of the input that each tile adds."""
    for stage in program.stages:
        for op in stage.ops:
            if op.kind == "input":
                return ([s for s in op.y if s[0] < s[1]], [s for s in op.x if s[0] < s[1]])
    return [], []


def to_svg(shapes: Shapes) -> str:
    """The picture as an SVG document."""
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
             f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="DejaVu Sans, Helvetica, sans-serif">']
    for shape in shapes:
        if isinstance(shape, Box):
            line = f' stroke="{shape.line}"' if shape.line else ""
            size = f'width="{shape.w:.1f}" height="{shape.h:.1f}"'
            lines.append(f'<rect x="{shape.x:.1f}" y="{shape.y:.1f}" {size} '
                         f'fill="{shape.fill or "none"}"{line}/>')
        elif isinstance(shape, Text):
            words = shape.words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            lines.append(f'<text x="{shape.x:.1f}" y="{shape.y:.1f}" font-size="{shape.size}" '
                         f'text-anchor="{shape.anchor}" fill="{INK}">{words}</text>')
    return "\n".join([*lines, "</svg>", ""])


def save_png(shapes: Shapes, file: IO[bytes]) -> None:
    """The picture as a PNG, written to a file object through Pillow. Raises OSError."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    pen = ImageDraw.Draw(image)
    anchors = {"start": "ls", "middle": "ms", "end": "rs"}
    for shape in shapes:
        if isinstance(shape, Box):
            x0, y0 = round(shape.x), round(shape.y)
            x1, y1 = max(x0, round(shape.x + shape.w) - 1), max(y0, round(shape.y + shape.h) - 1)
            pen.rectangle((x0, y0, x1, y1), fill=shape.fill or None, outline=shape.line or None)
        elif isinstance(shape, Text):
            font = ImageFont.load_default(shape.size)
            pen.text((shape.x, shape.y), shape.words, fill=INK, font=font, anchor=anchors[shape.anchor])
    image.save(file, "PNG")


def check_ending(path: str) -> str:
    """`.svg` or `.png`; raises DarkfuseError for a path that ends in neither."""
    import os

    ending = os.path.splitext(path)[1].lower()
    if ending not in (".svg", ".png"):
        raise DarkfuseError(f"{path}: a plot is an .svg or a .png")
    return ending


def save(shapes: Shapes, path: str) -> None:
    """Write the picture, whole or not at all; raises DarkfuseError, for an unknown ending too."""
    from darkfuse.host.files import WholeFile

    ending = check_ending(path)
    with WholeFile(path, "the plot") as out:
        if ending == ".png":
            save_png(shapes, out.file)
        else:
            out.write(to_svg(shapes))
