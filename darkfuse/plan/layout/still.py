"""Which parts of which maps a change of the network's input reaches, so that nothing else is computed.

Where every map stays over frames (`Plan.still`), what no change reaches is there already, bit for bit. A
change is a rectangle of the input; an operation that reads it changes a rectangle of what it writes.
"""
from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from darkfuse.host.record import dataclass
from darkfuse.plan.layout.draft import Draft
from darkfuse.plan.layout.region import Step, clip, read
from darkfuse.plan.layout.wiring import INPUT, View
from darkfuse.plan.program import Span

Rect = tuple[int, int, int, int]  # rows [0, 1), columns [2, 3)

# Rows and columns of a tile of Winograd: what changes in the input of one changes how all of it is rounded
TILE = 4
MOST = 6  # rectangles of one map: more are brought together


class Way:
    """From positions that an operation reads to those of its output, along one axis."""

    def __init__(self, steps: tuple[Step, ...], length: int, of: int) -> None:
        self._length = length
        self._whole = any(step.whole for step in steps)
        spans = [] if self._whole else [clip(read(steps, (at, at + 1)), of) for at in range(length)]
        self._starts, self._ends = [a for a, _ in spans], [b for _, b in spans]

    def reached(self, changed: Span) -> Span:
        """The outputs that read some of the positions given."""
        if self._whole:
            return 0, self._length
        return bisect_right(self._ends, changed[0]), bisect_left(self._starts, changed[1])


@dataclass(frozen=True)
class _Reads:
    view: View
    rows: Way
    columns: Way


@dataclass(frozen=True)
class _Operation:
    view: View  # of its output
    shape: tuple[int, int]
    tile: int  # rows and columns that are computed together
    reads: tuple[_Reads, ...]
    entry: bool  # makes the network's input


class Reach:
    """The operations of a laid out plan, stage by stage, and how far changes get."""

    def __init__(self, draft: Draft) -> None:
        self._stages = [[_operation(draft, number) for number in members] for members in draft.members]

    def parts(self, changed: Sequence[Rect]) -> list[list[list[Rect]]]:
        """For every operation of every stage, the rectangles of its output to compute.

        Parameters
        ----------
        changed : sequence of Rect
            Of the network's input.
        """
        made: dict[int, list[tuple[View, Rect]]] = {}  # storage -> what has changed in it
        found = []
        for stage in self._stages:
            parts = []
            for op in stage:
                rects = list(changed) if op.entry else [
                    (*reads.rows.reached(rect[:2]), *reads.columns.reached(rect[2:]))
                    for reads in op.reads for view, rect in made.get(reads.view.storage, ())
                    if view.channel < reads.view.channel + reads.view.channels
                    and reads.view.channel < view.channel + view.channels]
                rects = together([_aligned(rect, op.tile, op.shape) for rect in together(rects)])
                made.setdefault(op.view.storage, []).extend((op.view, rect) for rect in rects)
                parts.append(_worth(rects, op.shape))
            found.append(parts)
        return found


def reach_of(draft: Draft) -> Reach | None:
    """How far changes get in a plan; None where a part of a map cannot be made by itself: tiles, weights that
    do not stay, an operation that writes over what it reads."""
    plan = draft.plan
    simple = plan.still and plan.batch == 1 and all(
        group.grid == (1, 1) and layer.residency in ("pinned", "none")
        for group in plan.groups for layer in group.layers)
    if not simple:
        return None
    for leaf in draft.wiring.leaves:
        root = draft.wiring.root(leaf.view)
        for source in map(draft.wiring.root, leaf.sources):
            if source.storage == root.storage and source.channel < root.channel + root.channels \
                    and root.channel < source.channel + source.channels:
                return None
    return Reach(draft)


def together(rects: Sequence[Rect]) -> list[Rect]:
    """Rectangles that cover those given, none over another, and not too many."""
    found: list[Rect] = []
    for rect in rects:
        if rect[0] >= rect[1] or rect[2] >= rect[3]:
            continue
        over = [other for other in found if _meet(rect, other)]
        while over:
            found = [other for other in found if other not in over]
            rect = _around([rect, *over])
            over = [other for other in found if _meet(rect, other)]
        found.append(rect)
    return [_around(found)] if len(found) > MOST else found


def _worth(rects: list[Rect], shape: tuple[int, int]) -> list[Rect]:
    """What to compute: all of a map of which three quarters have changed, and one rectangle around several
    that fill half of it, for filters are transformed for each anew."""
    area = sum(map(_area, rects))
    if 4 * area > 3 * shape[0] * shape[1]:
        return [(0, shape[0], 0, shape[1])]
    around = [_around(rects)] if len(rects) > 1 else rects
    return around if sum(map(_area, around)) <= 2 * area else rects


def _area(rect: Rect) -> int:
    return (rect[1] - rect[0]) * (rect[3] - rect[2])


def _meet(one: Rect, other: Rect) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]


def _around(rects: Sequence[Rect]) -> Rect:
    return (min(r[0] for r in rects), max(r[1] for r in rects),
            min(r[2] for r in rects), max(r[3] for r in rects))


def _aligned(rect: Rect, tile: int, shape: tuple[int, int]) -> Rect:
    y0, y1, x0, x1 = rect
    return (y0 // tile * tile, min(-(-y1 // tile) * tile, shape[0]),
            x0 // tile * tile, min(-(-x1 // tile) * tile, shape[1]))


def _operation(draft: Draft, number: int) -> _Operation:
    leaf = draft.wiring.leaves[number]
    reads = []
    for source, rows, columns in zip(leaf.sources, leaf.rows, leaf.columns):
        view = draft.wiring.root(source)
        stored = draft.layout.stored[view.storage]
        reads.append(_Reads(view, Way(rows, leaf.shape.h, stored.height),
                            Way(columns, leaf.shape.w, stored.width)))
    layer = draft.layer_plan.get(leaf.layer)
    winograd = leaf.kind == "conv" and layer is not None and layer.kernel == "winograd"
    tile = 1 if not winograd else TILE if leaf.layer == leaf.node else TILE // 2  # of the pooled map
    return _Operation(draft.wiring.root(leaf.view), (leaf.shape.h, leaf.shape.w), tile, tuple(reads),
                      leaf.layer == INPUT)
