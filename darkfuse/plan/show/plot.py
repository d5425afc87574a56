"""A plan as a picture: the arena over time, every buffer a block, and the tiles over a photo."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from darkfuse.errors import DarkfuseError
from darkfuse.graph import Graph
from darkfuse.host.units import format_bytes
from darkfuse.plan.layout.arena import aligned
from darkfuse.plan.layout.region import Span
from darkfuse.plan.price.predict import Prediction
from darkfuse.plan.program import Buffer, Program
from darkfuse.plan.show.explain import kept, layers_of
from darkfuse.plan.show.shapes import INK, PAPER, Box, Line, Photo, Shape, Text, save_png, to_svg
from darkfuse.plan.types import Group, Plan

WIDTH, HEIGHT = 1240, 720
CHART = (92, 106, 760, 470)  # left, top, width, height of the arena over time
PHOTO = (900, 106, 300, 300)  # of the input with its tiles
# Colours that keep apart for the colour-blind (Okabe and Ito)
COLOURS = {"map": "#56b4e9", "packed": "#e69f00", "reader": "#f0e442", "scratch": "#999999",
           "cache": "#009e73", "output": "#cc79a7", "other": "#d55e00"}
NAMES = {"map": "maps: what a layer hands to the next",
         "cache": "row caches: rows the next tile needs again",
         "packed": "weights in use",
         "reader": "weights on their way from storage",
         "scratch": "scratch of fast convolutions",
         "output": "outputs: boxes are made of them",
         "other": "biases"}
SOFT, BUDGET, BAND, FIRST = "#5b6b79", "#c2410c", "#eef2f5", "#ff7a00"


def draw(graph: Graph, plan: Plan, program: Program, prediction: Prediction) -> list[Shape]:
    """Shapes of the whole picture, `WIDTH` x `HEIGHT` pixels."""
    left = CHART[0]
    arena, whole = format_bytes(program.arena_bytes), format_bytes(plan.predicted_peak_bytes)
    of = f" of the {format_bytes(plan.budget_bytes)} allowed" if plan.budget_bytes else ""
    shapes: list[Shape] = [
        Box(0, 0, WIDTH, HEIGHT, PAPER),
        Text(left, 34, f"{plan.network}: how {arena} of memory are used during one picture", 20),
        Text(left, 58, "A block is a piece of memory: as tall as it has bytes, as wide as it is in use. The "
                       f"whole process takes {whole}{of}.", 13, ink=SOFT)]
    shapes += _arena(graph, plan, program, prediction)
    shapes += _legend(program)
    shapes += _tiles(graph, plan, program)
    shapes += _groups(graph, plan, prediction)
    return shapes


class _Axes:
    """Where moments and offsets are on the chart; the arena's budget, where there is one, is on it too."""

    def __init__(self, plan: Plan, program: Program, prediction: Prediction) -> None:
        self.total = prediction.ms or 1.0
        spare = plan.budget_bytes - plan.predicted_peak_bytes if plan.budget_bytes else -1
        self.room = program.arena_bytes + spare if spare >= 0 else 0
        self.high = max(program.arena_bytes, min(self.room, 2 * program.arena_bytes)) * 1.04
        self.starts, now = [], 0.0  # of steps; where a stage has two, the first is short
        for group, stage in zip(prediction.groups, program.stages):
            self.starts += [now, now + 0.04 * group.ms][: 1 + stage.last - stage.first]
            now += group.ms
        self.starts.append(now)

    def moment(self, step: int) -> float:
        """When a step begins, in ms."""
        return self.starts[min(max(step, 0), len(self.starts) - 1)]

    def x(self, ms: float) -> float:
        """Of a moment."""
        return CHART[0] + CHART[2] * ms / self.total

    def y(self, offset: float) -> float:
        """Of an offset in the arena."""
        return CHART[1] + CHART[3] * (1 - offset / self.high)


def _arena(graph: Graph, plan: Plan, program: Program, prediction: Prediction) -> list[Shape]:
    """Buffers: time to the right, offsets upwards."""
    axes = _Axes(plan, program, prediction)
    shapes = [*_bands(plan, prediction, axes), *_reads(prediction, axes), *_blocks(program, axes)]
    return [*shapes, *_scales(program, axes), *_budget(plan, axes)]


def _bands(plan: Plan, prediction: Prediction, axes: _Axes) -> Iterator[Shape]:
    """A strip for each group of layers, named above where there is room."""
    now = 0.0
    for number, (group, cost) in enumerate(zip(plan.groups, prediction.groups)):
        x, wide = axes.x(now), CHART[2] * cost.ms / axes.total
        yield Box(x, CHART[1] - 20, wide, CHART[3] + 20, BAND if number % 2 else PAPER,
                  words=_group_words(group, cost.ms))
        name = layers_of(group).replace("layers ", "")
        if wide > 7 * len(name) + 4:
            yield Text(x + wide / 2, CHART[1] - 6, name, 11, "middle", SOFT)
        now += cost.ms
    yield Text(CHART[0] - 10, CHART[1] - 6, "layers", 11, "end", SOFT)


def _group_words(group: Group, ms: float) -> str:
    tiles = "on whole maps" if group.grid == (1, 1) else f"in {group.grid[0]}x{group.grid[1]} tiles"
    return f"{layers_of(group)}: {tiles}, {ms:.1f} ms"


def _reads(prediction: Prediction, axes: _Axes) -> Iterator[Shape]:
    for slot in prediction.slots:
        tall = axes.y(slot.low) - axes.y(slot.high)
        wide = CHART[2] * (slot.end - slot.begin) / axes.total
        yield Box(axes.x(slot.begin), axes.y(slot.high), max(wide, 0.5), max(tall, 0.4), COLOURS["reader"],
                  PAPER if tall > 3 and wide > 3 else "",
                  words=f"weights from storage: {format_bytes(slot.high - slot.low)}, here from "
                        f"{slot.begin:.1f} to {slot.end:.1f} ms")


def _blocks(program: Program, axes: _Axes) -> Iterator[Shape]:
    # Where a map is written over one that dies, the older one's name goes beside it, not beneath
    covered = {b.over: axes.x(axes.moment(b.first)) for b in program.buffers if b.over >= 0}
    slots = {w.raw for w in program.weights}
    buffers = [(number, buffer) for number, buffer in enumerate(program.buffers) if number not in slots]
    for number, buffer in sorted(buffers, key=lambda item: item[1].bytes, reverse=True):
        begin, end = axes.moment(buffer.first), axes.moment(buffer.last + 1)
        first, last = axes.x(begin), axes.x(end)
        tall = CHART[3] * aligned(buffer.bytes) / axes.high
        line = PAPER if tall > 3 and last - first > 3 else ""
        when = "all the time" if buffer.first < 0 else f"from {begin:.1f} to {end:.1f} ms"
        kind = kind_of(buffer)
        yield Box(first, axes.y(buffer.offset) - tall, max(last - first, 0.5), max(tall, 0.4), COLOURS[kind],
                  line, words=f"{called(buffer)}: {format_bytes(buffer.bytes)}, in use {when} "
                              f"({NAMES[kind].partition(':')[0]})")
        last = min(last, max(covered.get(number, last), first))
        room, name = min((last - first) / 7.0, 30), called(buffer)
        if tall >= 14 and room >= 4:
            words = name if len(name) <= room else name.replace("layer ", "")
            if len(words) <= room:
                yield Text((first + last) / 2, axes.y(buffer.offset) - tall / 2 + 4, words, 11, "middle")


def _scales(program: Program, axes: _Axes) -> Iterator[Shape]:
    """The axes, with their titles."""
    left, top, width, height = CHART
    step = _step(axes.high)
    for size in range(0, int(axes.high) + 1, step):
        yield Line(left - 5, axes.y(size), left, axes.y(size), INK)
        yield Text(left - 9, axes.y(size) + 4, format_bytes(size) if size else "0", 11, "end")
    every = _step(axes.total, 10)
    for ms in range(0, int(axes.total) + 1, max(1, every)):
        yield Line(axes.x(ms), top + height, axes.x(ms), top + height + 5, INK)
        yield Text(axes.x(ms), top + height + 18, str(ms), 11, "middle")
    yield Text(left + width / 2, top + height + 38, "time since the picture came in, ms", 13, "middle")
    yield Text(left - 62, top + height / 2, "memory the engine holds", 13, "middle", up=True)
    yield Line(left, top, left, top + height, INK)
    yield Line(left, top + height, left + width, top + height, INK)


def _step(high: float, base: int = 2) -> int:
    """1, 2 or 5 times a power of ten (or a power of two) that cuts `high` into four to ten parts."""
    if base == 2:
        return 1 << max(0, int(high).bit_length() - 3)
    size = 1
    while high / size > 10:
        size = size * 5 // 2 if str(size)[0] == "2" else size * 2
    return size


def _budget(plan: Plan, axes: _Axes) -> Iterator[Shape]:
    if not axes.room or axes.room > axes.high:
        return
    y, right = axes.y(axes.room), CHART[0] + CHART[2]
    rest = plan.budget_bytes - axes.room
    words = (f"the budget: of {format_bytes(plan.budget_bytes)} Python, libraries and the picture take "
             f"{format_bytes(rest)}, the engine may have the rest")
    yield Line(CHART[0], y, right, y, BUDGET, True, words)
    yield Text(right - 4, y - 6, f"budget: {format_bytes(axes.room)} for the engine, {format_bytes(rest)} "
                                 "for Python and the picture", 12, "end", BUDGET)


def called(buffer: Buffer) -> str:
    """Its name for people."""
    name = buffer.name.replace(" packed", " weights").replace(" resident", " weights that stay")
    return "scratch" if name.endswith("scratch") else name


def kind_of(buffer: Buffer) -> str:
    """Which of `NAMES` a buffer is."""
    last = buffer.name.split(" ")[-1]
    if buffer.name.endswith("row cache"):
        return "cache"
    known = {"map": "map", "input": "map", "packed": "packed", "resident": "packed", "reader": "reader",
             "scratch": "scratch", "output": "output", "scale": "other", "bias": "other"}
    return known.get(last, "other")


def _legend(program: Program) -> Iterator[Shape]:
    used = {kind_of(buffer) for buffer in program.buffers}
    for number, kind in enumerate(kind for kind in NAMES if kind in used):
        x, y = CHART[0] + 385 * (number % 2), CHART[1] + CHART[3] + 56 + 22 * (number // 2)
        yield Box(x, y, 14, 14, COLOURS[kind])
        yield Text(x + 22, y + 12, NAMES[kind], 13)


def _tiles(graph: Graph, plan: Plan, program: Program) -> Iterator[Shape]:
    """The tiles of the first group, over a photo as the network gets it."""
    left, top, width, height = PHOTO
    source, group = graph.input, plan.groups[0]
    scale = min(width / source.w, height / source.h)
    wide, high = source.w * scale, source.h * scale
    yield Text(left, top - 12, f"What the network sees, {source.w}x{source.h}, and its tiles", 14)
    yield Box(left, top, wide, high, "#808080")
    yield Photo(left, top, wide, high, graph.dialect.letterbox, "a picture as the network gets it")
    rows, columns = _input_tiles(program)
    edge = "#ffffff" if all(b - a >= 9 / scale for a, b in [*rows[:1], *columns[:1]]) else ""
    for i, (y0, y1) in enumerate(rows):
        for j, (x0, x1) in enumerate(columns):
            first = i == j == 0
            yield Box(left + x0 * scale, top + y0 * scale, (x1 - x0) * scale, (y1 - y0) * scale,
                      FIRST if first else "#ffffff" if (i + j) % 2 else "#000000", edge,
                      0.8 if first else 0.16,
                      f"tile {i * len(columns) + j + 1} of {len(rows) * len(columns)}: new to it are rows "
                      f"{y0} to {y1 - 1}, columns {x0} to {x1 - 1}")
    grid = group.grid
    run = "runs" if len(group.nodes) == 1 else "run"
    text = "on whole maps" if grid == (1, 1) else f"in {grid[0]}x{grid[1]} tiles, the orange one first;"
    yield Text(left, top + high + 22, f"{layers_of(group)} {run} {text}", 13)
    if grid != (1, 1):
        stays = {"nothing": "what they share is computed again", "-": ""}.get(
            kept(group), f"{kept(group).replace('+', ' and ')} they share are kept")
        yield Text(left, top + high + 40, stays, 13)


def _groups(graph: Graph, plan: Plan, prediction: Prediction) -> Iterator[Shape]:
    """The groups with tiles in words, and how many have none."""
    left, at = PHOTO[0], PHOTO[1] + PHOTO[3] + 76
    yield Text(left, at, "Groups of layers that run in tiles", 14)
    tiled = [(group, cost) for group, cost in zip(plan.groups, prediction.groups) if group.grid != (1, 1)]
    for number, (group, cost) in enumerate(tiled[:7]):
        shape = graph.node(group.nodes[-1]).out_shape
        words = f"{layers_of(group)}: {group.grid[0]}x{group.grid[1]}, map {shape}, {cost.ms:.0f} ms"
        yield Text(left, at + 20 + 18 * number, words, 12)
    rest = len(plan.groups) - len(tiled)
    more = f"{len(tiled) - 7} more; " if len(tiled) > 7 else ""
    y = at + 20 + 18 * min(len(tiled), 7)
    yield Text(left, y, f"{more}{rest} groups run on whole maps", 12, ink=SOFT)


def _input_tiles(program: Program) -> tuple[Sequence[Span], Sequence[Span]]:
    """Rows and columns of the input that each tile adds."""
    for stage in program.stages:
        for op in stage.ops:
            if op.kind == "input":
                return ([s for s in op.y if s[0] < s[1]], [s for s in op.x if s[0] < s[1]])
    return [], []


def check_ending(path: str) -> str:
    """`.svg` or `.png`; raises DarkfuseError for a path that ends in neither."""
    import os

    ending = os.path.splitext(path)[1].lower()
    if ending not in (".svg", ".png"):
        raise DarkfuseError(f"{path}: a plot is an .svg or a .png")
    return ending


def save(shapes: Sequence[Shape], path: str) -> None:
    """Write the picture, whole or not at all; raises DarkfuseError, for an unknown ending too."""
    from darkfuse.host.files import WholeFile

    ending = check_ending(path)
    with WholeFile(path, "the plot") as out:
        if ending == ".png":
            save_png(shapes, WIDTH, HEIGHT, out.file)
        else:
            out.write(to_svg(shapes, WIDTH, HEIGHT))
