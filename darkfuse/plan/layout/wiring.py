"""Graph surgery for memory: which layers really compute, and whose bytes are whose.

A layer of the graph becomes a `View` of some `Storage`; what writes into a storage is a `Leaf`, and only
leaves become operations. Aliases (a route with one input, dropout, cost, the detection layers) are views of
what they read. A concatenation is one storage its producers write into directly, where channel blocks allow;
what cannot be written in place, or would wait there for long, gets a leaf that copies. A convolution with the
2x2 pooling after it is one leaf.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from darkfuse.errors import PlanError
from darkfuse.graph import Graph, Node, Shape
from darkfuse.graph.layers.route import RouteOptions
from darkfuse.host.record import dataclass
from darkfuse.plan.layout.region import POINT, Step

BLOCK = 16  # channels in one block of an activation row
# What computes a layer, where it is called otherwise (`Op.kind`).
OPERATIONS = {"convolutional": "conv", "activation": "activate", "logistic": "activate"}
# Operations that read just the positions they write, where their inputs have the output's size.
POINTWISE = ("shortcut", "sam", "scale_channels")
# Operations whose weights are read filter by filter, and not once as a few parameters.
FILTERED = ("conv", "connected", "local")
INPUT = -1
# Layers that may run between the first and the last piece of a concatenation. All of it is held from the
# first on: where YOLOv3 joins a map made sixty layers before, a third of 4 MB would lie idle meanwhile.
FAR = 12

Steps = tuple[tuple[Step, ...], ...]  # how an operation reads each of its sources, along one axis


@dataclass
class Storage:
    """Memory of one map, or of a concatenation. `parent` >= 0: it lies inside another, from channel `at`."""

    channels: int
    height: int
    width: int
    layout: str
    parent: int = -1
    at: int = 0


class View(NamedTuple):
    """Channels [channel, channel + channels) of a storage, written by `leaves`."""

    storage: int
    channel: int
    channels: int
    leaves: tuple[int, ...]


class Piece(NamedTuple):
    """What one input gives to a concatenation: `channels` of `view` from channel `start` on, which become
    those from channel `at` on. `whole_blocks`: no other piece has channels in their blocks."""

    view: View
    start: int
    channels: int
    at: int
    whole_blocks: bool


@dataclass(frozen=True)
class Leaf:
    """One operation's output.

    Attributes
    ----------
    layer : int
        Layer whose place in the plan it takes, and whose `LayerPlan` says how; -1 the network input.
    node : int
        Layer it completes (the pooling, of a fused pair).
    kind : str
        As `Op.kind`.
    sources : tuple of View
        What it reads.
    rows, columns : tuple of tuple of Step
        For each source, the way from a position of the output back to the positions that are read for it.
    shape : Shape
        Of the output.
    view : View
        The output itself.
    from_channel, to_channel : int
        Of a copy: see `Op.block_offset` and `Op.dest_channel`.
    """

    layer: int
    node: int
    kind: str
    sources: tuple[View, ...]
    rows: Steps
    columns: Steps
    shape: Shape
    view: View
    from_channel: int = 0
    to_channel: int = 0

    @property
    def tiles(self) -> bool:
        """Whether it can be computed a tile at a time."""
        return not any(step.whole for steps in self.rows for step in steps)


class Wiring:
    """The surgery's result.

    Parameters
    ----------
    graph : Graph
    fused : mapping of int to int
        Convolutions that pool in their store, and the pooling layer that completes each.
    image : bool
        The network input is kept as interleaved pixels ('image'), for a 'first' kernel.
    overwritten : mapping of int to int
        Shortcuts written over one of their operands, and which (`plan.layout.inplace`).
    concatenate : bool
        Whether producers write straight into a concatenation where they can; otherwise each piece is copied.
    order : sequence of int, optional
        Layers in the order they run in; left out, that of the cfg.
    wanted : sequence of int
        Layers whose maps are copied out in Darknet's order ('chw').

    Attributes
    ----------
    leaves : list of Leaf
        Last those that copy maps out.
    storages : list of Storage
    views : dict of int to View
        Per layer index (-1: the network input). A fused convolution's own output has none.
    exports : tuple of (int, int)
        Each layer wanted, and the leaf that copies it out.
    written, read : list of int, list of tuple of int
        Per leaf, the root storage it writes, and those of its sources.
    regions, margins : dict
        What `windows` found for groups and maps, for the next plan that is wired like this one.
    """

    def __init__(self, graph: Graph, fused: Mapping[int, int], image: bool,
                 overwritten: Mapping[int, int] | None = None, concatenate: bool = True,
                 order: Sequence[int] | None = None, wanted: Sequence[int] = ()) -> None:
        self.graph = graph
        self.concatenate = concatenate
        layers = range(len(graph.nodes)) if order is None else order
        self._place = {layer: place for place, layer in enumerate(layers)}
        self.overwritten = overwritten or {}
        self.leaves: list[Leaf] = []
        self.storages: list[Storage] = []
        self._outermost: dict[int, tuple[int, int]] = {}  # storage -> the one around it, channel
        self.views: dict[int, View] = {}
        self.views[INPUT] = self._leaf(INPUT, INPUT, "input", (), (), (), graph.input,
                                       "image" if image else "blocks")
        pooled = {pool: conv for conv, pool in fused.items()}
        for node in graph.nodes:
            if node.index in fused:
                continue
            if node.index in pooled:
                self.views[node.index] = self._fused(graph.node(pooled[node.index]), node)
            elif isinstance(node.options, RouteOptions):
                self.views[node.index] = self._route(node, node.options)
            elif node.options.passes:
                self.views[node.index] = self.views[node.inputs[0]]
            else:
                self.views[node.index] = self._layer(node)
        copies: dict[View, int] = {}
        for layer in wanted:
            view = self.views[layer]
            if view not in copies:
                copies[view] = len(self.leaves)
                self._leaf(layer, layer, "export", (view,), *self._points((view,)), graph.shape(layer), "chw")
        self.exports = tuple((layer, copies[self.views[layer]]) for layer in wanted)
        self.written = [self.root(leaf.view).storage for leaf in self.leaves]
        self.read = [tuple([self.root(source).storage for source in leaf.sources]) for leaf in self.leaves]
        self.regions: dict[tuple[object, ...], Any] = {}
        self.margins: dict[tuple[object, ...], tuple[int, int]] = {}

    def root(self, view: View) -> View:
        """The same channels, as a view of the outermost storage."""
        if self.storages[view.storage].parent < 0:
            return view
        if view.storage not in self._outermost:
            storage, channel = view.storage, 0
            while self.storages[storage].parent >= 0:
                channel += self.storages[storage].at
                storage = self.storages[storage].parent
            self._outermost[view.storage] = storage, channel
        storage, channel = self._outermost[view.storage]
        return View(storage, channel + view.channel, view.channels, view.leaves)

    def _leaf(self, layer: int, node: int, kind: str, sources: tuple[View, ...], rows: Steps, columns: Steps,
              shape: Shape, layout: str = "blocks") -> View:
        if layer in self.overwritten:
            storage = sources[self.overwritten[layer]].storage
        else:
            self.storages.append(Storage(shape.c, shape.h, shape.w, layout))
            storage = len(self.storages) - 1
        view = View(storage, 0, shape.c, (len(self.leaves),))
        self.leaves.append(Leaf(layer, node, kind, sources, rows, columns, shape, view))
        return view

    def _points(self, sources: tuple[View, ...]) -> tuple[Steps, Steps]:
        """Steps of an operation that reads just the positions it writes, along rows and along columns."""
        maps = [self.storages[source.storage] for source in sources]
        return tuple([_every(m.height) for m in maps]), tuple([_every(m.width) for m in maps])

    def _layer(self, node: Node) -> View:
        sources = tuple(self.views[i] for i in node.inputs)
        rows: list[tuple[Step, ...]] = []
        columns: list[tuple[Step, ...]] = []
        out = node.out_shape
        for number, shape in enumerate(node.in_shapes):
            same = (shape.h, shape.w) == (out.h, out.w)
            gate = node.kind == "scale_channels" and number == 0 and not same  # one number a channel
            for steps, length, made, window in ((rows, shape.h, out.h, node.window),
                                                (columns, shape.w, out.w, node.columns_window)):
                if window is not None:
                    padded = node.kind == "convolutional" and steps is columns
                    steps.append((Step(length, window, padded=padded),))
                elif node.kind == "upsample":
                    steps.append((Step(length, POINT, scale=getattr(node.options, "stride", 1)),))
                elif gate:
                    steps.append((Step(length, POINT, scale=made),))  # always position 0
                elif node.kind in POINTWISE and same:
                    steps.append((Step(length),))
                else:
                    steps.append((Step(length, whole=True),))
        kind = OPERATIONS.get(node.kind, node.kind)
        return self._leaf(node.index, node.index, kind, sources, tuple(rows), tuple(columns), node.out_shape)

    def _fused(self, conv: Node, pool: Node) -> View:
        assert conv.window is not None and pool.window is not None and conv.columns_window is not None
        before, after = conv.in_shapes[0], conv.out_shape
        rows = (Step(after.h, pool.window), Step(before.h, conv.window))
        columns = (Step(after.w, pool.window), Step(before.w, conv.columns_window, padded=True))
        return self._leaf(conv.index, pool.index, "conv", (self.views[conv.inputs[0]],), (rows,), (columns,),
                          pool.out_shape)

    def _route(self, node: Node, options: RouteOptions) -> View:
        pieces: list[Piece] = []
        at = 0
        for number, (index, shape) in enumerate(zip(node.inputs, node.in_shapes), 1):
            count = shape.c // options.groups
            whole_blocks = at % BLOCK == 0 and (number == len(node.inputs) or count % BLOCK == 0)
            pieces.append(Piece(self.views[index], options.group_id * count, count, at, whole_blocks))
            at += count
        if len(pieces) == 1:
            view, start, count = pieces[0].view, pieces[0].start, pieces[0].channels
            if start == 0 and count == view.channels:
                return view
            # A last block shared with channels outside the slice would read as channels of the slice.
            if start % BLOCK == 0 and (count % BLOCK == 0 or start + count == view.channels) \
                    and self.storages[view.storage].layout == "blocks":
                return View(view.storage, view.channel + start, count, view.leaves)
        shape = node.out_shape
        self.storages.append(Storage(shape.c, shape.h, shape.w, "blocks"))
        joined = len(self.storages) - 1
        made = {view: max([self._place.get(self.leaves[n].layer, -1) for n in view.leaves])
                for view in {piece.view for piece in pieces}}
        latest = max(made.values())
        leaves: list[int] = []
        for piece in pieces:
            if latest - made[piece.view] <= FAR and self._adopt(piece, joined):
                leaves += piece.view.leaves
            else:
                leaves.append(self._copy(node, piece, joined))
        return View(joined, 0, shape.c, tuple(leaves))

    def _adopt(self, piece: Piece, joined: int) -> bool:
        """Let a piece's own storage become part of the concatenation; False where that cannot be."""
        view, own = piece.view, self.storages[piece.view.storage]
        all_of_it = (view.channel, view.channels, piece.start, piece.channels) == (0, own.channels) * 2
        if not (self.concatenate and piece.whole_blocks and all_of_it and own.parent < 0
                and own.layout == "blocks" and self.leaves[view.leaves[0]].kind != "input"):
            return False
        own.parent, own.at = joined, piece.at
        return True

    def _copy(self, node: Node, piece: Piece, joined: int) -> int:
        """Add a leaf that copies a piece into the concatenation; returns its number."""
        # A piece of whole blocks writes a view of its own; others share blocks, and write into all of it.
        channel, channels = (piece.at, piece.channels) if piece.whole_blocks else (0, node.out_shape.c)
        number = len(self.leaves)
        self.leaves.append(Leaf(node.index, node.index, "copy", (piece.view,), *self._points((piece.view,)),
                                Shape(piece.channels, node.out_shape.h, node.out_shape.w),
                                View(joined, channel, channels, (number,)),
                                piece.start, 0 if piece.whole_blocks else piece.at))
        return number


@lru_cache(maxsize=256)
def _every(length: int) -> tuple[Step, ...]:
    return (Step(length),)


def poolable(graph: Graph, conv: Node) -> int:
    """Index of the 2x2/2 pooling that could be done in the store of `conv`, or -1.

    The pooling must be the only reader and cover the whole map (Darknet's default padding does).
    """
    readers = graph.consumers(conv.index)
    if conv.kind != "convolutional" or len(readers) != 1 or conv.index in graph.outputs:
        return -1
    pool = graph.node(readers[0])
    window = pool.window
    if pool.kind != "maxpool" or window is None:
        return -1
    if (window.kernel, window.stride, window.pad_before) != (2, 2, 0) or pool.columns_window != window:
        return -1
    full = ((conv.out_shape.h + 1) // 2, (conv.out_shape.w + 1) // 2)
    return pool.index if (pool.out_shape.h, pool.out_shape.w) == full else -1


def check_layer(graph: Graph, index: int) -> None:
    """Raise PlanError for a layer index the graph does not have."""
    if not 0 <= index < len(graph.nodes):
        raise PlanError(f"{graph.name}: there is no layer {index}; layers are 0..{len(graph.nodes) - 1}")
