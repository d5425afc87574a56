"""How much of each map is stored: whole, as a line buffer, or as a window that moves with the tiles."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from operator import sub

from darkfuse.errors import PlanError
from darkfuse.host.record import dataclass, field
from darkfuse.plan.layout.arena import Tie, aligned
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
class Regions:
    """What the operations of one group compute, tile by tile, and what was found to follow from that. Kept
    with the wiring: of plans tried one after another, most have most groups in common.

    Attributes
    ----------
    rows, columns : list of Axis
        By place in the group.
    windows : dict of int to tuple
        By root storage that lives in the group alone: slots, columns, whether it moves, and `Stored.x0`.
    work : dict of tuple to (int, int, int)
        See `reserve.work_of`.
    ties : dict of tuple to list of Tie
        See `overlap.ties`.
    """

    rows: list[Axis]
    columns: list[Axis]
    windows: dict[int, tuple[int, int, bool, tuple[int, ...]]] = field(default_factory=dict)
    work: dict[tuple[object, ...], tuple[int, int, int]] = field(default_factory=dict)
    ties: dict[tuple[object, ...], list[Tie]] = field(default_factory=dict)


@dataclass
class Layout:
    """Tile regions of every leaf and geometry of every root storage."""

    regions: list[Regions] = field(default_factory=list)  # by stage
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
    leaves = wiring.leaves
    written: dict[int, list[int]] = {}  # root storage -> leaves
    readers: dict[int, list[tuple[int, int]]] = {}  # root storage -> (reading leaf, which source)
    begun, ended = dict[int, int](), dict[int, int]()  # root storage -> stage
    for stage, group_leaves in enumerate(members):
        for number in group_leaves:
            root = wiring.written[number]
            written.setdefault(root, []).append(number)
            begun.setdefault(root, stage)
            ended[root] = stage
            for which, root in enumerate(wiring.read[number]):
                readers.setdefault(root, []).append((number, which))
                ended[root] = stage

    layout = Layout()
    whole: set[int] = set()  # root storages kept whole
    for root, writers in written.items():
        first, last = begun[root], ended[root]
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
    marginless = frozenset([layer.node for group in groups for layer in group.layers
                            if layer.kernel == "winograd"] if batch > 1 else ())
    for stage, numbers in enumerate(members):
        _regions(wiring, groups[stage], numbers, whole, layout)
    for root, stored in layout.stored.items():
        if root in whole:
            _whole(wiring, root, stored, readers.get(root, []), marginless)
            continue
        windows = layout.regions[stored.first].windows
        if root not in windows:
            windows[root] = _window(groups[stored.first], [layout.rows[n] for n in written[root]],
                                    [layout.columns[n] for n in written[root]])
        stored.slots, stored.cols, stored.moving, stored.x0 = windows[root]
    return layout


def _regions(wiring: Wiring, group: Group, numbers: Sequence[int], whole: set[int], layout: Layout) -> None:
    """Spans of the leaves of one group along both axes."""
    outside = frozenset([at for at, number in enumerate(numbers) if wiring.written[number] in whole])
    key = (tuple(numbers), group.grid, group.cache, outside)
    if key not in wiring.regions:
        wiring.regions[key] = _solved(wiring, group, numbers, outside)
    regions = wiring.regions[key]
    layout.regions.append(regions)
    layout.rows.update(zip(numbers, regions.rows))
    layout.columns.update(zip(numbers, regions.columns))


def _solved(wiring: Wiring, group: Group, numbers: Sequence[int], outside: Collection[int]) -> Regions:
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
    y = solve([leaf.shape.h for leaf in leaves], rows, down, group.cache in ("full", "rows"), outside)
    x = solve([leaf.shape.w for leaf in leaves], columns, across, group.cache == "full", outside)
    return Regions(y, x)


def _whole(wiring: Wiring, root: int, stored: Stored, readers: Sequence[tuple[int, int]],
           marginless: frozenset[int]) -> None:
    """All rows, all columns, and the margins the readers' windows reach into, those of layers that do without
    left out."""
    if (root, marginless) not in wiring.margins:
        low, high = 0, stored.width
        for number, which in readers if stored.layout != "chw" else ():
            leaf = wiring.leaves[number]
            if leaf.kind == "conv" and leaf.layer in marginless:
                continue
            start, end = read(leaf.columns[which], (0, leaf.shape.w))
            low, high = min(low, start), max(high, end)
        wiring.margins[root, marginless] = low, high
    low, high = wiring.margins[root, marginless]
    stored.slots, stored.x0, stored.cols = stored.height, (low,), high - low


def _window(group: Group, rows: Sequence[Axis],
            columns: Sequence[Axis]) -> tuple[int, int, bool, tuple[int, ...]]:
    """As many slots as lie between the first row that this tile or a later one reads and the last one it
    computes, so that row y + slots never takes the place of a row still needed; and columns likewise."""
    ends = _each(max, [[end for _, end in axis.spans] for axis in rows])
    slots = max(map(sub, ends, _each(min, [axis.first for axis in rows])))
    low, high = _each(min, [axis.low for axis in columns]), _each(max, [axis.high for axis in columns])
    return slots, max(end - start for start, end in zip(low, high)), group.grid[1] > 1, tuple(low)


def _each(choose: Callable[..., int], found: Sequence[Sequence[int]]) -> Sequence[int]:
    """One of each tile's numbers; most maps are written by one leaf."""
    return found[0] if len(found) == 1 else list(map(choose, *found))
