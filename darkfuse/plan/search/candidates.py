"""What any run of layers costs as one group: bytes while it runs, bytes pinned for good, milliseconds.

Tile sizes come in closed form (every map's region is affine in the tile's place), so that thousands of
candidates can be priced in a moment; the chosen plan is then lowered, and what counts against the budget is
that exact number.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from darkfuse.plan.layout.arena import aligned
from darkfuse.plan.layout.draft import Common
from darkfuse.plan.layout.reads import streamed_ways
from darkfuse.plan.layout.weights import FLOAT, PANEL, packed_floats, up
from darkfuse.plan.layout.wiring import FILTERED
from darkfuse.plan.price.cost import bytes_ms, conv_ms, input_ms, streamed_ms
from darkfuse.plan.price.device import Device
from darkfuse.plan.program import reader_bytes
from darkfuse.plan.search._ways import Ways
from darkfuse.plan.search.option import Option, Recipe
from darkfuse.plan.search.pieces import Piece, Pieces
from darkfuse.plan.search.prices import Prices, striped_layer
from darkfuse.plan.search.tiled import tiler
from darkfuse.plan.types import Group, LayerPlan

Way = tuple[int, int, float, LayerPlan]  # bytes beside the maps, bytes pinned, milliseconds, how


class Candidates:
    """Prices of spans of pieces [a, b). `transposed`: weights of connected layers can only be pinned."""

    def __init__(self, pieces: Pieces, device: Device, threads: int, transposed: bool = False) -> None:
        self.net, self.device, self.threads, self.transposed = pieces, device, threads, transposed
        self.pinned = {n for n, piece in enumerate(pieces.pieces)
                       if transposed and piece.leaf.kind == "connected"}
        self.pieces = pieces.pieces
        self.prices = Prices(pieces, device, threads)
        self.rates = self.prices.rates
        self._tiler = tiler(self.prices)
        self.common = Common()  # of plans laid out
        self._alone: dict[int, list[Option]] = {}  # by piece
        self._alike: dict[tuple[object, ...], list[Way]] = {}  # by all that a layer's ways depend on
        self._across = [pieces.across(b) for b in range(len(self.pieces) + 1)]

    def after(self, at: int) -> int:
        """The first cut behind piece `at`: copies into one route belong to one layer and one group."""
        end = at + 1
        while end < len(self.pieces) and not self.pieces[end].layers:
            end += 1
        return end

    def layer_by_layer(self) -> int:
        """Bytes that will do for one layer after another, each in the way that takes least."""
        ways = [min((option.pinned, option.stage) for option in self.single(at))
                for at, piece in enumerate(self.pieces) if piece.layers]
        return max((stage for _, stage in ways), default=0) + sum(pinned for pinned, _ in ways)

    def at_best(self) -> float:
        """Milliseconds of all layers, each in its fastest way, whatever memory it takes."""
        return sum(min(option.ms for option in self.single(at))
                   for at, piece in enumerate(self.pieces) if piece.layers)

    # -- tiled groups ---------------------------------------------------------------------------------

    def fused(self, b: int, grids: Sequence[tuple[tuple[int, int], str]], limit: int,
              worth: dict[int, tuple[int, int]], ways: Ways, streams: bool = False) -> None:
        """Add to `ways` tiled groups that end before piece `b`, with the fastest kernels or direct ones, and
        with their weights pinned or loaded; `streams`: with their largest weights streamed, for every tile.

        Parameters
        ----------
        grids : sequence of (grid, cache)
            Those finer than the group's last map are passed over.
        limit : int
            Bytes; options beyond are left out.
        worth : dict of int to (int, int)
            First pieces of the groups wanted; and stage bytes (weights left out) from which on the caller has
            something at least as good, whatever the kernels, and with direct kernels.
        """
        tail = self.pieces[b - 1].leaf.shape
        grids = [(grid, cache) for grid, cache in grids if grid[0] <= tail.h and grid[1] <= tail.w]
        if worth and grids:
            self._tiler.price(b, grids, self._across[b], limit, worth, ways, streams)

    # -- groups of one piece --------------------------------------------------------------------------

    def single(self, at: int) -> list[Option]:
        """Every way to run one layer's operations on their own, whole maps."""
        if at not in self._alone:
            self._alone[at] = self._single(at)
        return self._alone[at]

    def _single(self, at: int) -> list[Option]:
        piece, end = self.pieces[at], self.after(at)
        more = self.pieces[at + 1 : end]
        stage = self.net.outside_bytes(at, end)
        if piece.leaf.kind == "shortcut":
            stage -= sum(self.net.roots[operand].whole for operand, _ in self.net.operands[at][:1])
        node = piece.node
        source = self.net.graph.input
        start = sum(self.prices.far(n) for n in range(at, end))
        start += sum(bytes_ms(self.rates, p.moved) for p in more)
        if at <= self.net.entry < end:
            start += input_ms(self.rates, source.h * source.w)
        if node is None:
            stage -= self.net.shared_in_turn(at) if end == at + 1 else 0
            return [Option(stage, 0, self.net.batch * (start + bytes_ms(self.rates, piece.moved)),
                           Recipe(at, end, (1, 1), "full", "fast", "pinned"))]
        # Many layers of a network differ in nothing but their places
        loads = piece.leaf.kind in FILTERED and at not in self.pinned
        streams = loads and (self.net.batch == 1 or at > 0)  # pictures come one by one to the first group
        key = (start, loads, streams, piece.rule, piece.leaf.shape, node.kind, node.options, node.in_shapes,
               node.out_shape, node.weights)
        if key not in self._alike:
            self._alike[key] = self._alone_ways(at, start, loads, streams)
        shared, found = self.net.never_together(at, end), []
        for beside, pinned, ms, plan in self._alike[key]:
            beside -= shared if plan.kernel == "winograd" and not plan.strip else 0
            found.append(Option(stage + beside, pinned, ms,
                                Recipe(at, end, (1, 1), "full", "fast", plan.residency, plan)))
        return found

    def _alone_ways(self, at: int, start: float, loads: bool, streams: bool) -> list[Way]:
        """Every way to run the layer of a piece, whose operation takes `start` milliseconds beside it."""
        piece, batch, found = self.pieces[at], self.net.batch, list[Way]()
        node = piece.node
        assert node is not None
        shape = node.out_shape
        for kernel, strip in self._ways(piece):
            ms, scratch = start, 0
            if piece.leaf.kind == "conv":
                ms += conv_ms(self.rates, node, kernel, [(shape.h, 1)], [(shape.w, 1)], strip,
                              self.device, self.threads)
            else:
                ms += bytes_ms(self.rates, node.weight_bytes)
            if kernel == "winograd":
                u, t = self.prices.scratch(piece, strip, piece.leaf.shape.h, piece.leaf.shape.w)
                scratch = aligned(u) + self.threads * aligned(t)
            plan = LayerPlan(node.index, kernel, "pinned", strip=strip)
            found.append((scratch, piece.packed, batch * ms, plan))
            if loads:
                found.append((scratch + piece.packed + self.prices.readers[at], 0,
                              batch * ms + self.prices.loading[at], replace(plan, residency="loaded")))
            if streams:
                found += self._streamed(piece, kernel, strip, scratch, ms)
        return found

    def _ways(self, piece: Piece) -> list[tuple[str, int]]:
        """Kernels and strips worth trying."""
        if piece.rule != "winograd":
            return [(piece.rule, 0)]
        assert piece.node is not None
        down = -(-piece.node.out_shape.h // 4)
        # All tile rows at once; strips of near-equal size, two of them or some four rows each; few rows
        strips = sorted({-(-down // 2), -(-down // -(-down // 4)), 2, 1}, reverse=True)
        return [*(("winograd", strip) for strip in (0, *strips) if strip < down), ("direct", 0)]

    def _streamed(self, piece: Piece, kernel: str, strip: int, scratch: int, ms: float) -> list[Way]:
        node = piece.node
        assert node is not None
        filters = node.filters
        strip_again = 0 if 4 * strip >= node.out_shape.h else strip
        found = []
        for block, raw, slots in streamed_ways(node, kernel, self.threads, self.net.batch):
            block, raw = min(block, up(filters, PANEL)), min(raw, filters)
            held = reader_bytes(slots, raw, piece.raw_filter // FLOAT)
            if kernel != "winograd":
                held += aligned(packed_floats(node, kernel, block) * FLOAT)
            total = streamed_ms(self.rates, self.device.read, node, ms, kernel, strip_again, block, raw,
                                slots, self.threads, self.net.batch)
            if kernel == "winograd" and self.net.batch > 1:
                scratch = self.threads * aligned(self.prices.together(piece, strip, block))
            plan = LayerPlan(node.index, kernel, "streamed", block, raw, slots, strip=strip)
            found.append((scratch + held, 0, total, plan))
        return found

    # -- plans ----------------------------------------------------------------------------------------

    def group(self, recipe: Recipe, ms: float) -> Group:
        """The group a recipe stands for."""
        layers: list[LayerPlan] = []
        a, b, grid, cache, kernels, residency, single, streams, lean = recipe
        strips: list[int] = []
        if single is None and any(piece.node for piece in self.pieces[a:b]):
            strips = self._tiler.strips(a, b, grid, cache, streams > 0)
        heavy = sorted([(self.pieces[n].packed, n) for n in range(a, b) if self.pieces[n].node])
        streamed = {n for _, n in heavy[len(heavy) - streams:]}
        residency = "loaded" if streams else residency
        for number in range(a, b):
            piece = self.pieces[number]
            plan = replace(single, node=piece.node.index) if single and piece.node else None
            if plan is None and piece.node is not None:
                strip = strips[number - a]
                if strip < 0 or kernels == "direct":
                    kernel = "direct" if piece.rule == "winograd" else piece.rule
                    plan = LayerPlan(piece.node.index, kernel, residency)
                else:
                    plan = LayerPlan(piece.node.index, "winograd", residency, strip=strip)
                if number in streamed:
                    plan = striped_layer(piece.node, plan.kernel, self.threads, lean)
            layers += [plan if plan is not None and layer == plan.node else LayerPlan(layer)
                       for layer in piece.layers]
        return Group(tuple(layers), grid, cache, round(ms, 3))
