"""What any run of layers costs as one group: bytes while it runs, bytes pinned for good, milliseconds.

Tile sizes come in closed form (every map's region is affine in the tile's place), so that thousands of
candidates can be priced in a moment; the chosen plan is then lowered, and what counts against the budget is
that exact number.
"""
from __future__ import annotations

import math
from typing import Dict, List, NamedTuple, Optional, Tuple

from darkfuse.plan.arena import aligned
from darkfuse.plan.cost import (
    Sizes,
    bytes_ms,
    conv_ms,
    far_ms,
    input_ms,
    loaded_ms,
    pack_ms,
    read_ms,
    streamed_ms,
)
from darkfuse.plan.device import Device
from darkfuse.plan.pieces import Piece, Pieces
from darkfuse.plan.program import reader_bytes
from darkfuse.plan.reads import streamed_ways
from darkfuse.plan.types import Group, LayerPlan
from darkfuse.plan.weights import FLOAT, PANEL, packed_floats, up, wino_scratch_floats, wino_u_floats

STRIPS = (0, 4, 2, 1)  # Winograd tile rows at a time, fastest first
NO_LIMIT = 1 << 62


class Option(NamedTuple):
    """One way to run a span of pieces.

    stage : bytes in the arena while the group runs, all maps alive then included;  pinned : bytes kept over
    frames;  ms : milliseconds;  recipe : everything a `Group` is made of (see `Spans.group`)
    """

    stage: int
    pinned: int
    ms: float
    recipe: Recipe


class Recipe(NamedTuple):
    """Pieces [a, b), and how; `single` is the layer's own plan when the span is one untiled piece."""

    a: int
    b: int
    grid: Tuple[int, int]
    cache: str
    kernels: str  # 'fast': the fastest kernel of each layer;  'direct'
    residency: str
    single: Optional[LayerPlan] = None


class _Reach(NamedTuple):
    """A map's region in tile coordinates f (0 at the top, 1 at the bottom): computed up to slope*f + end,
    needed from slope*f + start on."""

    slope: float
    start: float
    end: float


class Spans:
    """Prices of spans of pieces [a, b) on one device with so many threads."""

    def __init__(self, pieces: Pieces, device: Device, threads: int) -> None:
        self.net, self.device, self.threads = pieces, device, threads
        self.pieces = pieces.pieces
        self.rates = device.at(threads)
        self._reaches: Dict[Tuple[int, int, bool], Dict[int, _Reach]] = {}
        self._timed: Dict[Tuple[object, ...], float] = {}
        self._loading = [loaded_ms(pack_ms(self.rates, p.node), read_ms(device.read, p.node))
                         if p.node else 0.0 for p in self.pieces]
        self._readers = [reader_bytes(2, min(16, p.node.out_shape.c), p.raw_filter // FLOAT) if p.node else 0
                         for p in self.pieces]

    def tiles(self, a: int, b: int) -> bool:
        """Whether the span can be tiled at all."""
        return all(piece.leaf.tiles for piece in self.pieces[a:b])

    def weight_bytes(self, a: int, b: int) -> int:
        return sum(piece.packed for piece in self.pieces[a:b])

    def after(self, at: int) -> int:
        """The first cut behind piece `at`: copies into one route belong to one layer and one group."""
        end = at + 1
        while end < len(self.pieces) and not self.pieces[end].layers:
            end += 1
        return end

    # -- regions --------------------------------------------------------------------------------------

    def _reach(self, a: int, b: int, rows: bool) -> Dict[int, _Reach]:
        """Per leaf of the span (and the network input, where it is read): its region by the tile's place."""
        known = self._reaches.get((a, b, rows))
        if known is not None:
            return known
        reach: Dict[int, _Reach] = {}
        wanted: Dict[int, List[_Reach]] = {}
        order = [piece.number for piece in reversed(self.pieces[a:b])]
        if a <= self.net.entry < b:
            order.append(0)
        inside = set(order)
        leaves = self.net.wiring.leaves
        for n in order:
            leaf = leaves[n]
            asked = wanted.get(n)
            if asked is None:
                here = _Reach(float(leaf.shape.h if rows else leaf.shape.w), 0.0, 0.0)
            elif len(asked) == 1:
                here = asked[0]
            else:
                here = _Reach(max(r.slope for r in asked), min(r.start for r in asked),
                              max(r.end for r in asked))
            reach[n] = here
            for source, steps in zip(leaf.sources, leaf.rows if rows else leaf.columns):
                made = [m for m in source.leaves if m in inside]
                if not made:
                    continue
                slope, start, end = here
                for step in steps:
                    if step.scale > 1:
                        slope, start, end = slope / step.scale, start / step.scale - 1, end / step.scale + 1
                    window = step.window
                    slope *= window.stride
                    start = start * window.stride - window.pad_before
                    end = (end - 1) * window.stride - window.pad_before + window.extent
                for m in made:
                    wanted.setdefault(m, []).append(_Reach(slope, start, end))
        self._reaches[a, b, rows] = reach
        return reach

    # -- tiled groups ---------------------------------------------------------------------------------

    def fused(self, a: int, b: int, grid: Tuple[int, int], cache: str, limit: int,
              worth: int = NO_LIMIT, worth_direct: int = NO_LIMIT) -> List[Option]:
        """Pieces [a, b) as one tiled group: with the fastest kernels or direct ones, pinned or loaded.

        Parameters
        ----------
        limit : int
            Bytes; options beyond are left out.
        worth, worth_direct : int
            Stage bytes (weights left out) from which on the caller has something at least as good, whatever
            the kernels, and with direct kernels.
        """
        share = self._share(b, grid)
        stage = self.net.outside_bytes(a, b, True)
        if share is None or stage > limit or stage >= worth:
            return []
        regions: List[Tuple[Optional[Piece], Sizes, Sizes]] = []
        held: Dict[int, int] = {}
        reach_y, reach_x = self._reach(a, b, True), self._reach(a, b, False)
        if 0 in reach_y:
            regions.append((None, *self._region(0, self.net.input_root, a, b, grid, cache, share,
                                                reach_y[0], reach_x[0], held)))
        for piece in self.pieces[a:b]:
            regions.append((piece, *self._region(piece.number, piece.root, a, b, grid, cache, share,
                                                 reach_y[piece.number], reach_x[piece.number], held)))
        stage += sum(held.values())
        if stage > limit or stage >= worth:
            return []
        fast = direct = far_ms(self.rates, sum(self.far_bytes(piece, held) for piece in self.pieces[a:b]))
        shared = thread = 0
        for part, heights, widths in regions:
            if part is None or part.node is None:
                tiles = sum(n for _, n in heights) * sum(n for _, n in widths)
                pixels = sum(h * n for h, n in heights) * sum(w * n for w, n in widths)
                if part is None:
                    ms = input_ms(self.rates, pixels, tiles)
                else:
                    whole = part.leaf.shape.h * part.leaf.shape.w
                    ms = bytes_ms(self.rates, part.moved * pixels / whole, tiles)
                fast, direct = fast + ms, direct + ms
                continue
            ms, kernel, strip, plain = self._kernel(part, heights, widths)
            fast, direct = fast + ms, direct + plain
            if kernel == "winograd":
                u, t = self._scratch(part, strip, max(h for h, _ in heights), max(w for w, _ in widths))
                shared, thread = max(shared, u), max(thread, t)
        scratch = aligned(shared) + self.threads * aligned(thread)
        packed = self.weight_bytes(a, b)
        loaded, loading = packed + sum(self._readers[a:b]), sum(self._loading[a:b])
        found = []
        if stage + scratch < worth:
            found = [
                Option(stage + scratch, packed, fast, Recipe(a, b, grid, cache, "fast", "pinned")),
                Option(stage + scratch + loaded, 0, fast + loading,
                       Recipe(a, b, grid, cache, "fast", "loaded")),
            ]
        if scratch and stage < worth_direct:
            found += [
                Option(stage, packed, direct, Recipe(a, b, grid, cache, "direct", "pinned")),
                Option(stage + loaded, 0, direct + loading, Recipe(a, b, grid, cache, "direct", "loaded")),
            ]
        return [option for option in found if option.stage + option.pinned <= limit]

    def _share(self, b: int, grid: Tuple[int, int]) -> Optional[Tuple[float, float]]:
        """The largest tile's share of the group's last map, down and across; None for too fine a grid."""
        tail = self.pieces[b - 1].leaf.shape
        if grid[0] > tail.h or grid[1] > tail.w:
            return None
        return -(-tail.h // grid[0]) / tail.h, -(-tail.w // grid[1]) / tail.w

    def _region(self, n: int, storage: int, a: int, b: int, grid: Tuple[int, int], cache: str,
                share: Tuple[float, float], y: _Reach, x: _Reach,
                held: Dict[int, int]) -> Tuple[Sizes, Sizes]:
        """Heights and widths computed of leaf n, tile by tile; adds the bytes its storage holds."""
        shape = self.net.wiring.leaves[n].shape
        slots, heights, carried = _axis(shape.h, y, grid[0], share[0], cache != "none")
        cols, widths, _ = _axis(shape.w, x, grid[1], share[1], cache == "full")
        if self.net.inside(storage, a, b):
            root = self.net.roots[storage]
            bytes_ = slots * root.pixel * (root.width if grid[1] == 1 else min(root.width, cols + 2))
            if grid[1] > 1 and carried:
                bytes_ += (carried if cache == "full" else slots) * root.pixel * shape.w
            held[storage] = max(held.get(storage, 0), aligned(bytes_))
        return heights, widths

    def _kernel(self, piece: Piece, heights: Sizes, widths: Sizes) -> Tuple[float, str, int, float]:
        """(ms, kernel, strip) of the fastest kernel, and ms of the one that is not Winograd."""
        assert piece.node is not None
        if piece.leaf.kind != "conv":
            ms = bytes_ms(self.rates, piece.node.weight_bytes)
            return ms, "none", 0, ms
        if piece.pools:
            heights, widths = [(2 * h, n) for h, n in heights], [(2 * w, n) for w, n in widths]
        plain = piece.rule if piece.rule != "winograd" else "direct"
        direct = self._conv_ms(piece, plain, heights, widths, 0)
        if piece.rule == "winograd":
            strip = 0 if max(h for h, _ in heights) <= 16 else 4
            ms = self._conv_ms(piece, "winograd", heights, widths, strip)
            if ms < direct:
                return ms, "winograd", strip, direct
        return direct, plain, 0, direct

    def gains(self, a: int, b: int) -> bool:
        """Whether tiles can be faster than whole maps: something of these is too large for the caches."""
        for piece in self.pieces[a:b]:
            if self.far_bytes(piece, {}):
                return True
            shape = piece.leaf.shape
            large = self.device.near_bytes
            if piece.rule == "winograd" and self._scratch(piece, 0, shape.h, shape.w)[0] > large:
                return True
        return False

    def far_bytes(self, piece: Piece, held: Dict[int, int]) -> int:
        """Bytes of the piece's maps that are too large for the caches; `held` has those kept in part."""
        wiring, near, total = self.net.wiring, self.device.near_bytes, 0
        for view in (*piece.leaf.sources, piece.leaf.view):
            root = wiring.root(view).storage
            if held.get(root, self.net.roots[root].whole) > near:
                shape = wiring.storages[view.storage]
                total += FLOAT * view.channels * shape.height * shape.width
        return total

    def _conv_ms(self, piece: Piece, kernel: str, heights: Sizes, widths: Sizes, strip: int) -> float:
        """`conv_ms`, remembered: networks repeat their layers."""
        node = piece.node
        assert node is not None
        key = (node.options, node.in_shapes, kernel, tuple(heights), tuple(widths), strip)
        ms = self._timed.get(key)
        if ms is None:
            ms = conv_ms(self.rates, node, kernel, heights, widths, strip, self.device)
            self._timed[key] = ms
        return ms

    def _scratch(self, piece: Piece, strip: int, tall: int, wide: int) -> Tuple[int, int]:
        """Winograd's shared and per-thread bytes for regions of at most tall x wide."""
        assert piece.node is not None
        if piece.pools:
            tall, wide = 2 * tall, 2 * wide
        down = -(-tall // 4)
        tiles = (min(strip, down) if strip else down) * -(-wide // 4)
        return wino_u_floats(piece.node, tiles) * FLOAT, wino_scratch_floats(piece.node, tiles) * FLOAT

    # -- groups of one piece --------------------------------------------------------------------------

    def single(self, at: int) -> List[Option]:
        """Every way to run one layer's operations on their own, whole maps."""
        piece, end = self.pieces[at], self.after(at)
        more = self.pieces[at + 1 : end]
        stage = self.net.outside_bytes(at, end, False)
        node = piece.node
        source = self.net.graph.input
        start = far_ms(self.rates, sum(self.far_bytes(p, {}) for p in (piece, *more)))
        start += sum(bytes_ms(self.rates, p.moved) for p in more)
        if at <= self.net.entry < end:
            start += input_ms(self.rates, source.h * source.w)
        recipe = Recipe(at, end, (1, 1), "full", "fast", "pinned")
        if node is None:
            return [Option(stage, 0, start + bytes_ms(self.rates, piece.moved), recipe)]
        found = []
        shape = node.out_shape
        for kernel, strip in self._ways(piece):
            ms, scratch = start, 0
            if piece.leaf.kind == "conv":
                ms += conv_ms(self.rates, node, kernel, [(shape.h, 1)], [(shape.w, 1)], strip,
                              self.device)
            else:
                ms += bytes_ms(self.rates, node.weight_bytes)
            if kernel == "winograd":
                u, t = self._scratch(piece, strip, piece.leaf.shape.h, piece.leaf.shape.w)
                scratch = aligned(u) + self.threads * aligned(t)
            plan = LayerPlan(node.index, kernel, "pinned", strip=strip)
            found.append(Option(stage + scratch, piece.packed, ms, recipe._replace(single=plan)))
            if piece.leaf.kind == "conv":
                held = stage + scratch + piece.packed + self._readers[at]
                plan = LayerPlan(node.index, kernel, "loaded", strip=strip)
                found.append(Option(held, 0, ms + self._loading[at],
                                    recipe._replace(residency="loaded", single=plan)))
                found += self._streamed(piece, kernel, strip, stage + scratch, ms, recipe)
        return found

    def _ways(self, piece: Piece) -> List[Tuple[str, int]]:
        """Kernels and strips worth trying."""
        if piece.rule != "winograd":
            return [(piece.rule, 0)]
        assert piece.node is not None
        down = -(-piece.node.out_shape.h // 4)
        return [("winograd", strip) for strip in STRIPS if strip < down] + [("direct", 0)]

    def _streamed(self, piece: Piece, kernel: str, strip: int, stage: int, ms: float,
                  recipe: Recipe) -> List[Option]:
        node = piece.node
        assert node is not None
        filters = node.out_shape.c
        strip_again = 0 if 4 * strip >= node.out_shape.h else strip
        found = []
        for block, raw, slots in streamed_ways(node, kernel, self.threads):
            block, raw = min(block, up(filters, PANEL)), min(raw, filters)
            held = reader_bytes(slots, raw, piece.raw_filter // FLOAT)
            if kernel != "winograd":
                held += aligned(packed_floats(node, kernel, block) * FLOAT)
            total = streamed_ms(self.rates, self.device.read, node, ms, kernel, strip_again, block, raw,
                                slots, self.threads)
            plan = LayerPlan(node.index, kernel, "streamed", block, raw, slots, strip)
            found.append(Option(stage + held, 0, total, recipe._replace(residency="streamed", single=plan)))
        return found

    # -- plans ----------------------------------------------------------------------------------------

    def group(self, recipe: Recipe, ms: float) -> Group:
        """The group a recipe stands for."""
        layers: List[LayerPlan] = []
        a, b, grid, cache, kernels, residency, single = recipe
        share = self._share(b, grid)
        assert share is not None
        reach_y, reach_x = self._reach(a, b, True), self._reach(a, b, False)
        for piece in self.pieces[a:b]:
            if single is not None or piece.node is None:
                plan = single
            else:
                heights, widths = self._region(piece.number, piece.root, a, b, grid, cache, share,
                                               reach_y[piece.number], reach_x[piece.number], {})
                _, kernel, strip, _ = self._kernel(piece, heights, widths)
                if kernel == "winograd" and kernels == "direct":
                    kernel, strip = "direct", 0
                plan = LayerPlan(piece.node.index, kernel, residency, strip=strip)
            layers += [plan if plan is not None and layer == plan.node else LayerPlan(layer)
                       for layer in piece.layers]
        return Group(tuple(layers), grid, cache, round(ms, 3))


def _axis(length: int, reach: _Reach, tiles: int, share: float, cached: bool) -> Tuple[int, Sizes, int]:
    """Stored length, computed lengths, and carried length of one map along one axis."""
    if tiles == 1:
        return length, [(length, 1)], 0
    step = reach.slope * share  # of the largest tile
    halo = reach.end - reach.start
    if not cached:
        size = min(length, math.ceil(step + halo))
        edge = min(length, math.ceil(step + max(reach.end, -reach.start)))
        return size, [(edge, 2), (size, tiles - 2)] if tiles > 2 else [(edge, 2)], 0
    rest = length - math.floor(reach.slope * (1 - share) + reach.start)
    stored = min(length, max(math.ceil(step + halo), rest))
    first = min(length, max(1, math.ceil(step + reach.end)))
    sizes = [(first, 1)]
    left, even = length - first, max(1, math.ceil(step))
    full = min(tiles - 1, left // even)
    if full:
        sizes.append((even, full))
    if left > full * even:
        sizes.append((left - full * even, 1))
    return stored, sizes, min(length, max(0, math.ceil(halo)))
