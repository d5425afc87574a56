"""A network as the search sees it: operations in execution order, and the maps that live between them."""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from darkfuse.graph import Graph, Node
from darkfuse.host.record import dataclass, field
from darkfuse.plan.layout.arena import aligned, shared
from darkfuse.plan.layout.inplace import readers
from darkfuse.plan.layout.overlap import in_turn
from darkfuse.plan.layout.region import read
from darkfuse.plan.layout.weights import FLOAT, PANEL, packed_floats, up
from darkfuse.plan.layout.wiring import BLOCK, FILTERED, INPUT, Leaf, Wiring, poolable
from darkfuse.plan.search.reach import Back, back
from darkfuse.plan.search.simple import choose_kernel


@dataclass(frozen=True)
class Piece:
    """One operation in its place.

    leaf : the operation;  number : its index among the wiring's leaves
    layers : every layer of the cfg that goes with it, in order (routes ahead of it, the pooling in its store)
    node : the layer whose weights it reads, None without weights
    root : the storage it writes
    rule : its kernel by rule of thumb ('winograd' means direct is possible too)
    packed, raw_filter : bytes of its packed weights, and of one filter in the file
    moved : bytes of its input and output maps
    """

    leaf: Leaf
    number: int
    layers: tuple[int, ...]
    node: Node | None
    root: int
    rule: str
    packed: int
    raw_filter: int
    moved: int

    @property
    def pools(self) -> bool:
        """Whether a 2x2 pooling is done in the store."""
        return self.leaf.kind == "conv" and self.leaf.layer != self.leaf.node


@dataclass
class Root:
    """A storage: bytes of the whole map, bytes of one row and one pixel, pieces that write and read it."""

    whole: int = 0
    row: int = 0  # margins included
    pixel: int = 0
    width: int = 0  # columns, margins included
    writers: list[int] = field(default_factory=list)
    readers: list[int] = field(default_factory=list)
    exported: bool = False
    height: int = 0
    blocks: bool = True  # in channel blocks, not an image
    first: int = 0  # pieces it is alive from and to
    last: int = 0


class Source(NamedTuple):
    """What an operation reads: a storage (its root), the leaves that write what is read of it, and the way
    from its own rows and columns back to theirs."""

    storage: int
    leaves: tuple[int, ...]
    rows: Back
    columns: Back


class Pieces:
    """Operations of a graph in one execution order, storages, and what is alive when.

    Parameters
    ----------
    order : sequence of int
        Layers in execution order.
    batch : int
        Pictures that share each read of weights: each has its own of all maps between groups.
    """

    def __init__(self, graph: Graph, order: Sequence[int], exact: bool, batch: int = 1) -> None:
        self.graph, self.order, self.exact, self.batch = graph, order, exact, batch
        image = any(choose_kernel(graph, graph.node(i), exact) == "first" for i in graph.consumers(INPUT))
        fused = {n.index: poolable(graph, n) for n in graph.nodes if poolable(graph, n) >= 0}
        self.wiring = Wiring(graph, fused, image, order=order)
        self.sources = [tuple(Source(self.wiring.root(view).storage, view.leaves, back(rows), back(columns))
                              for view, rows, columns in zip(leaf.sources, leaf.rows, leaf.columns))
                        for leaf in self.wiring.leaves]  # by leaf
        self.pieces = self._pieces(order, set(fused.values()))
        self.entry = min((n for n, p in enumerate(self.pieces) for s in p.leaf.sources if 0 in s.leaves),
                         default=0)
        self.operands = {number: self._overwritten(number) for number, piece in enumerate(self.pieces)
                          if piece.leaf.kind == "shortcut"}
        self.roots, self.exports = self._roots()
        self.input_root = self.wiring.root(self.wiring.leaves[0].view).storage
        # storages by the piece they begin and end with
        self.beginning = self._by_piece({storage: root.first for storage, root in self.roots.items()})
        self.ending = self._by_piece({storage: root.last for storage, root in self.roots.items()})
        self.constant = sum(2 * aligned(up(n.filters, PANEL) * FLOAT)
                            for n in graph.nodes if n.weights is not None)

    def _pieces(self, order: Sequence[int], pools: set[int]) -> list[Piece]:
        by_layer: dict[int, list[int]] = {}
        for number, leaf in enumerate(self.wiring.leaves):
            by_layer.setdefault(leaf.layer, []).append(number)
        pieces: list[Piece] = []
        waiting: list[int] = []  # layers that compute nothing go with the piece after them
        for layer in order:
            if layer in pools:
                continue
            if layer not in by_layer:
                waiting.append(layer)
                continue
            for number in by_layer[layer]:
                leaf = self.wiring.leaves[number]
                own = (layer,) if leaf.node == layer else (layer, leaf.node)
                first = number == by_layer[layer][0]
                pieces.append(self._piece(number, (*waiting, *own) if first else ()))
                waiting = []
        if waiting and pieces:
            last = pieces.pop()
            pieces.append(self._piece(last.number, (*last.layers, *waiting)))
        return pieces

    def _piece(self, number: int, layers: tuple[int, ...]) -> Piece:
        leaf = self.wiring.leaves[number]
        node = self.graph.node(leaf.layer)
        root = self.wiring.root(leaf.view).storage
        # A copy reads what it writes; other layers all of their inputs
        read_values = leaf.shape.values if leaf.kind == "copy" else sum(s.values for s in node.in_shapes)
        moved = FLOAT * (leaf.shape.values + read_values)
        if node.weights is None or leaf.kind not in FILTERED:
            return Piece(leaf, number, layers, None, root, "none", 0, 0, moved)
        rule = choose_kernel(self.graph, node, self.exact)
        packed = aligned(packed_floats(node, rule, up(node.weights.biases, PANEL)) * FLOAT)
        return Piece(leaf, number, layers, node, root, rule, packed,
                     node.weights.kernels // node.weights.biases * FLOAT, moved)

    def _roots(self) -> tuple[dict[int, Root], dict[int, int]]:
        """Storages by number; bytes of exported maps by the piece that finishes them."""
        at = {piece.number: position for position, piece in enumerate(self.pieces)}
        roots: dict[int, Root] = {}
        margins: dict[int, tuple[int, int]] = {}

        def root_of(storage: int) -> Root:
            if storage not in roots:
                roots[storage] = Root()
                margins[storage] = (0, self.wiring.storages[storage].width)
            return roots[storage]

        for number, leaf in enumerate(self.wiring.leaves):
            position = at.get(number, self.entry)
            root_of(self.wiring.root(leaf.view).storage).writers.append(position)
            for which, source in enumerate(leaf.sources):
                storage = self.wiring.root(source).storage
                root_of(storage).readers.append(position)
                if not (number in at and self._marginless(at[number])):
                    low, high = read(leaf.columns[which], (0, leaf.shape.w))
                    margins[storage] = (min(margins[storage][0], low), max(margins[storage][1], high))
        exports: dict[int, int] = {}
        for layer in self.graph.outputs:
            view = self.wiring.views[layer]
            roots[self.wiring.root(view).storage].exported = True
            position = max(at.get(n, self.entry) for n in view.leaves)
            size = self.batch * aligned(self.graph.shape(layer).bytes)
            exports[position] = exports.get(position, 0) + size
        for number in reversed(list(self.operands)):  # a sum has the margins of the operand it lies over
            for storage, _ in self.operands[number][:1]:
                mine, its = margins[self.pieces[number].root], margins[storage]
                both = min(mine[0], its[0]), max(mine[1], its[1])
                margins[self.pieces[number].root] = margins[storage] = both
        for storage, root in roots.items():
            shape = self.wiring.storages[storage]
            root.blocks, root.height = shape.layout == "blocks", shape.height
            root.pixel = FLOAT * (up(shape.channels, BLOCK) if root.blocks else 3)
            root.width = margins[storage][1] - margins[storage][0]
            root.row = root.pixel * root.width
            root.whole = self.batch * aligned(root.row * shape.height)
            root.first, root.last = min(root.writers), max(root.writers + root.readers)
        for number in reversed(list(self.operands)):  # operands lie where their sums will: in a route's map?
            for storage, _ in self.operands[number][:1]:
                roots[storage].whole = max(roots[storage].whole, roots[self.pieces[number].root].whole)
        return roots, exports

    def _marginless(self, at: int) -> bool:
        """Whether a piece reads no margins of whole maps, unless it runs by its other kernel."""
        return self.batch > 1 and self.pieces[at].leaf.kind == "conv" and self.pieces[at].rule == "winograd"

    def __len__(self) -> int:
        return len(self.pieces)

    def _by_piece(self, places: dict[int, int]) -> list[list[int]]:
        found: list[list[int]] = [[] for _ in self.pieces or (0,)]  # a network may compute nothing
        for storage, piece in places.items():
            found[piece].append(storage)
        return found

    def across(self, at: int) -> int:
        """Bytes alive whatever the group that ends before piece `at` does: maps that outlive it or only pass
        by, maps exported so far, biases and scales of the whole network."""
        total = self.constant + sum(size for position, size in self.exports.items() if position < at)
        return total + sum(root.whole for root in self.roots.values() if root.first < at <= root.last)

    def outside_bytes(self, a: int, b: int) -> int:
        """Bytes alive while pieces [a, b) run as one group without tiles, every map whole."""
        return self.across(b) + sum(self.roots[n].whole for ending in self.ending[a:b] for n in ending)

    def never_together(self, at: int, end: int) -> int:
        """Bytes of a layer's input or its output that the other may have too, where all of the input is read
        before anything is written; pieces [at, end) are its group."""
        root = self.pieces[at].root
        alone = self.batch == 1 and end == at + 1  # else other pictures' inputs are needed yet
        if not alone or at == self.entry or at in self.exports or self.roots[root].first < at:
            return 0
        dying = sum(self.roots[n].whole for n in self.ending[at] if n != root)
        return min(dying, self.roots[root].whole)

    def shared_in_turn(self, at: int) -> int:
        """Bytes that a layer's input and output have in common where it runs for one picture of a batch after
        another; a layer that has no weights does."""
        root = self.pieces[at].root
        dying = [self.roots[n].whole for n in self.ending[at] if n != root and self.roots[n].first < at]
        if self.batch == 1 or at == self.entry or self.roots[root].first < at or not dying:
            return 0
        before, after = max(dying), self.roots[root].whole
        return shared(before, after, in_turn(self.batch, before // self.batch, after // self.batch))

    def _overwritten(self, number: int) -> list[tuple[int, int]]:
        """Operands a sum may be written over: their storages, and the last other piece that reads them."""
        node = self.graph.node(self.pieces[number].leaf.layer)
        at = {layer: position for position, piece in enumerate(self.pieces) for layer in piece.layers}
        found: list[tuple[int, int]] = []
        for layer in node.inputs if len(set(node.inputs)) == len(node.inputs) else ():
            source = self.graph.node(layer) if layer >= 0 else None
            if source is None or source.options.passes or source.kind == "route" \
                    or source.out_shape != node.out_shape:
                continue
            others = readers(self.graph, layer)
            if others is None or any(n in self.graph.outputs for n in (layer, *others)):
                continue
            last = max([at[n] for n in others if n != node.index and not self.graph.node(n).options.passes],
                       default=-1)
            if last < number:
                found.append((self.wiring.root(self.wiring.views[layer]).storage, last))
        return found
