"""How much of each map is stored: whole, as a line buffer, or as a window that moves with the tiles."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from operator import sub

from darkfuse.errors import PlanError
from darkfuse.plan.layout.arena import aligned
from darkfuse.plan.layout.region import Axis, Link, read, solve
from darkfuse.plan.layout.weights import FLOAT
from darkfuse.plan.layout.wiring import BLOCK, Wiring
from darkfuse.plan.types import Group


@dataclass
class Stored:
    """Geometry of a root storage. `x0` per tile column where `moving`, else one entry."""

    layout: str
    channels: int
    height: int
    width: int
    first: int  # the stage that writes it first
    last: int  # the stage that writes or reads it last
    slots: int = 0
    cols: int = 0
    x0: tuple[int, ...] = (0,)
    moving: bool = False
    pictures: int = 1  # how many pictures of a batch have a map of their own; 1: all have this one in turn

    @property
    def blocks(self) -> int:
        return -(-self.channels // BLOCK)

    @property
    def row_stride(self) -> int:
        """Floats from one slot to the next."""
        if self.layout == "chw":
            return self.width
        return self.cols * (3 if self.layout == "image" else self.blocks * BLOCK)

    @property
    def apart(self) -> int:
        """Bytes from one picture's map to the next one's; 0 where all pictures have the same."""
        return aligned(self._one) if self.pictures > 1 else 0

    @property
    def bytes(self) -> int:
        return self.pictures * self.apart or self._one

    @property
    def _one(self) -> int:
        rows = self.channels * self.height if self.layout == "chw" else self.slots
        return rows * self.row_stride * FLOAT


@dataclass
class Layout:
    """Tile regions of every leaf and geometry of every root storage."""

    rows: dict[int, Axis] = field(default_factory=dict)
    columns: dict[int, Axis] = field(default_factory=dict)
    stored: dict[int, Stored] = field(default_factory=dict)  # by root storage


def arrange(wiring: Wiring, groups: Sequence[Group], members: Sequence[Sequence[int]],
            batch: int = 1, alone: int = 1) -> Layout:
    """Work out regions and geometry.

    Parameters
    ----------
    wiring : Wiring
    groups : sequence of Group
        The plan's groups: grids and cache modes.
    members : sequence of sequences of int
        Leaves of each group, in execution order.
    batch : int
        Pictures. A map has to be there for each of them when it outlives its group, and in a group that
        streams weights, where each block of filters is computed with for all of them.
    alone : int
        Groups that run for each picture as it comes (`Plan.alone`). Of their maps, those that later groups
        read have to be there for each picture.

    Raises
    ------
    PlanError
        A layer that needs its whole input in a tiled group, or more tiles than rows or columns.
    """
    stage_of = {leaf: stage for stage, leaves in enumerate(members) for leaf in leaves}
    leaves = wiring.leaves
    written: dict[int, list[int]] = {}  # root storage -> leaves
    readers: dict[int, list[tuple[int, int]]] = {}  # root storage -> (reading leaf, which source)
    for group_leaves in members:
        for number in group_leaves:
            written.setdefault(wiring.root(leaves[number].view).storage, []).append(number)
            for which, source in enumerate(leaves[number].sources):
                readers.setdefault(wiring.root(source).storage, []).append((number, which))

    layout = Layout()
    whole: set[int] = set()  # root storages kept whole
    for root, writers in written.items():
        first = min(stage_of[n] for n in writers)
        last = max([stage_of[n] for n in writers] + [stage_of[n] for n, _ in readers.get(root, [])])
        storage = wiring.storages[root]
        stored = Stored(storage.layout, storage.channels, storage.height, storage.width, first, last)
        streams = any(layer.residency == "streamed" for layer in groups[first].layers)
        waits = last >= alone and (first != last or streams) or stored.layout == "chw"
        stored.pictures = batch if waits else 1
        layout.stored[root] = stored
        if first != last or stored.layout == "chw" or groups[first].grid == (1, 1):
            whole.add(root)
        elif groups[first].grid[1] > 1 and any(leaves[n].to_channel or leaves[n].view.channels
                                               != leaves[n].shape.c for n in writers):
            whole.add(root)  # copies that share channel blocks cannot each carry their part of a window

    # Winograd takes what is not stored for zero, at the price of a copy for each tile at an edge: worth it
    # where every picture of a batch has a map
    marginless = {layer.node for group in groups for layer in group.layers
                  if batch > 1 and layer.kernel == "winograd"}
    for stage, numbers in enumerate(members):
        _regions(wiring, groups[stage], numbers, whole, layout)
    for root, stored in layout.stored.items():
        if root in whole:
            _whole(wiring, stored, readers.get(root, []), marginless)
        else:
            _window(stored, groups[stored.first], [layout.rows[n] for n in written[root]],
                    [layout.columns[n] for n in written[root]])
    return layout


def _regions(wiring: Wiring, group: Group, numbers: Sequence[int], whole: set[int], layout: Layout) -> None:
    """Spans of the leaves of one group along both axes."""
    leaves = [wiring.leaves[n] for n in numbers]
    place = {number: at for at, number in enumerate(numbers)}
    down, across = group.grid
    if group.grid != (1, 1):
        for leaf in leaves:
            if not leaf.tiles:
                raise PlanError(f"{wiring.graph.name}: layer {leaf.node} ({leaf.kind}) needs its whole "
                                f"input; it cannot be in a group with a {down}x{across} grid")
        last = wiring.graph.node(group.layers[-1].node)
        if down > last.out_shape.h or across > last.out_shape.w:
            raise PlanError(f"{wiring.graph.name}: a {down}x{across} grid does not fit the "
                            f"{last.out_shape.h}x{last.out_shape.w} output map of layer {last.index}")
    rows: list[Link] = []
    columns: list[Link] = []
    for reader, leaf in enumerate(leaves):
        for source, y_steps, x_steps in zip(leaf.sources, leaf.rows, leaf.columns):
            for number in source.leaves:
                if number in place:
                    rows.append(Link(reader, place[number], y_steps))
                    columns.append(Link(reader, place[number], x_steps))
    outside = {at for at, leaf in enumerate(leaves) if wiring.root(leaf.view).storage in whole}
    y = solve([leaf.shape.h for leaf in leaves], rows, down, group.cache in ("full", "rows"), outside)
    x = solve([leaf.shape.w for leaf in leaves], columns, across, group.cache == "full", outside)
    for at, number in enumerate(numbers):
        layout.rows[number], layout.columns[number] = y[at], x[at]


def _whole(wiring: Wiring, stored: Stored, readers: Sequence[tuple[int, int]],
           marginless: Collection[int]) -> None:
    """All rows, all columns, and the margins the readers' windows reach into, those of layers that do without
    left out."""
    stored.slots = stored.height
    low, high = 0, stored.width
    if stored.layout != "chw":
        for number, which in readers:
            leaf = wiring.leaves[number]
            if leaf.kind == "conv" and leaf.layer in marginless:
                continue
            start, end = read(leaf.columns[which], (0, leaf.shape.w))
            low, high = min(low, start), max(high, end)
    stored.x0, stored.cols = (low,), high - low


def _window(stored: Stored, group: Group, rows: Sequence[Axis], columns: Sequence[Axis]) -> None:
    """As many slots as lie between the first row that this tile or a later one reads and the last one it
    computes, so that row y + slots never takes the place of a row still needed; and columns likewise."""
    ends = _each(max, [[end for _, end in axis.spans] for axis in rows])
    stored.slots = max(map(sub, ends, _each(min, [axis.first for axis in rows])))
    low, high = _each(min, [axis.low for axis in columns]), _each(max, [axis.high for axis in columns])
    stored.cols = max(end - start for start, end in zip(low, high))
    stored.moving = group.grid[1] > 1
    stored.x0 = tuple(low)


def _each(choose: Callable[..., int], found: Sequence[Sequence[int]]) -> Sequence[int]:
    """One of each tile's numbers; most maps are written by one leaf."""
    return found[0] if len(found) == 1 else list(map(choose, *found))
