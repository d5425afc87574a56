"""Cutting a network into groups: Pareto-optimal prices per span, dynamic programming over cut points.

A plan cuts the pieces of a network into spans; each span runs as one group. What a plan needs is the largest
of its groups' stage bytes plus everything pinned, and its time is the sum. Spans are edges from one cut to a
later one (as in TVM's cascader and msf-CNN), each with its Pareto-optimal options; labels (stage, pinned,
ms) at a cut keep what no other label beats in all three. Exact over what `Candidates` offers, as long
as no cut holds more labels than are kept; the tests compare with brute force.
"""
from __future__ import annotations

import bisect
from collections.abc import Iterable
from typing import Dict, List, NamedTuple, Optional, Tuple

from darkfuse.plan.search.candidates import NO_LIMIT, Candidates, Option, Recipe
from darkfuse.plan.search.tiled import LONGEST

LABELS = 400  # labels kept at a cut, at most
WORK = 250_000  # labels tried in one search, roughly; a network with many options keeps fewer labels
PAPER = 5  # MAFAT's grids: 1x1 to 5x5


class Label(NamedTuple):
    stage: int
    pinned: int
    ms: float
    back: Optional[Label]
    recipe: Optional[Recipe]

    @property
    def bytes(self) -> int:
        return self.stage + self.pinned


def grids(height: int, width: int, first: bool) -> List[Tuple[Tuple[int, int], str]]:
    """Grids and cache modes to try for a group whose output map is height x width, coarse to fine.

    first : the group reads the network input. Elsewhere maps are small, and columns of tiles with them.
    """
    down = {r for r in range(2, PAPER + 1) if r <= height}
    down |= {-(-height // rows) for rows in (1, 2, 4, 8, 16, 32) if rows < height}
    found: List[Tuple[Tuple[int, int], str]] = [((r, 1), "full") for r in sorted(down)]
    if first:
        for c in range(2, min(PAPER, width) + 1):
            found += [((r, c), "full") for r in sorted({1, *down}) if r <= PAPER or r == height]
            if c <= height:
                found.append(((c, c), "none"))
    return found


def pareto(options: Iterable[Option]) -> List[Option]:
    """Options that no other beats in stage bytes, pinned bytes and time at once."""
    kept: List[Option] = []
    for option in sorted(options, key=lambda o: (o.ms, o.stage, o.pinned)):
        if not any(k.stage <= option.stage and k.pinned <= option.pinned for k in kept):
            kept.append(option)
    return kept


class Cuts:
    """Options of every span of one network in one execution order, priced once; then any number of questions.

    Parameters
    ----------
    limit : int
        Arena bytes no plan may exceed; options that cannot are not even priced to the end.
    """

    def __init__(self, spans: Candidates, limit: int = NO_LIMIT) -> None:
        self.spans, self.limit = spans, limit
        self._asked: Dict[int, List[Label]] = {}
        self.count = len(spans.pieces)
        self.edges: List[List[Tuple[int, List[Option]]]] = [[] for _ in range(self.count)]
        starts = [a for a, piece in enumerate(spans.pieces) if piece.layers]  # a layer's copies stay with it
        alone = {a: spans.single(a) for a in starts}
        for b in [*starts, self.count][1:]:
            for a, options in self._options(b, alone).items():
                if options:
                    self.edges[a].append((b, options))
        work = sum(len(options) for edges in self.edges for _, options in edges)
        self.keep = max(24, min(LABELS, WORK // max(1, work)))
        self.least_stage = self._least_stage()

    def _options(self, b: int, alone: Dict[int, List[Option]]) -> Dict[int, List[Option]]:
        """Options of all spans that end before piece `b`, by the piece they begin with."""
        spans, entry, limit = self.spans, self.spans.net.entry, self.limit
        last = max(a for a in alone if a < b)
        found = {last: [option for option in alone[last] if option.stage + option.pinned <= limit]}
        worth = self._worth(b, alone)
        tail = spans.pieces[b - 1].leaf.shape
        least: Dict[Tuple[int, int], int] = {}  # (first piece, rows of tiles) -> least bytes with one column
        for grid, cache in grids(tail.h, tail.w, b - LONGEST <= entry < b):
            for tiled in spans.tiled(b, grid, cache):
                a = tiled.a
                if a > entry and grid[1] > 1:
                    continue
                any_kernel, direct, faster = worth[a]
                if grid[1] > 1 and not faster:  # more columns never save time: they must save bytes
                    any_kernel = min(any_kernel, least.get((a, grid[0]), NO_LIMIT))
                options = spans.fused(tiled, b, grid, cache, limit, any_kernel, min(direct, any_kernel))
                if grid[1] == 1 and options:
                    least[a, grid[0]] = min(option.stage for option in options)
                found.setdefault(a, []).extend(options)
        return {a: pareto(options) for a, options in found.items()}

    def _worth(self, b: int, alone: Dict[int, List[Option]]) -> Dict[int, Tuple[int, int, bool]]:
        """Per first piece of a group that ends before piece `b`: what its pieces need one by one, at their
        fastest and with direct kernels. No group that needs as much is worth having, for it is not faster;
        except where whole maps are too large for the caches, and tiles of them are not."""
        found = {}
        most = direct = 0
        faster = False
        for a in range(b - 1, max(b - LONGEST, 0) - 1, -1):
            faster = faster or self.spans.prices.gains[a]
            if a in alone:
                pinned = [option.stage for option in alone[a] if option.recipe.residency == "pinned"]
                most, direct = max(most, *pinned[:1] or [NO_LIMIT]), max(direct, *pinned[-1:] or [NO_LIMIT])
                found[a] = (NO_LIMIT, NO_LIMIT, True) if faster else (most, direct, False)
        return found

    def labels(self, limit: int, keep: int = LABELS, bound: Optional[Bound] = None) -> List[Label]:
        """Pareto-optimal whole plans within `limit` arena bytes, fastest first; with a bound, only those
        that can still be the fastest. Where a cut has more than `keep` labels, those with the least
        ms + price * bytes stay."""
        price, slowest, rest = bound or Bound(0.0, float("inf"), [0.0] * (self.count + 1))
        at: List[List[Label]] = [[] for _ in range(self.count + 1)]
        at[0] = [Label(0, 0, 0.0, None, None)]
        for a in range(self.count):
            here = _thin(_pareto_labels(at[a]), keep, price, self.least_stage)
            at[a] = []
            for b, options in self.edges[a]:
                ahead = at[b]
                room = slowest - rest[b]
                for label in here:
                    before_stage, before_pinned, before_ms = label[:3]
                    left = room - before_ms - price * before_pinned
                    for stage, pinned, ms, recipe in options:
                        if ms > left:
                            break  # options come fastest first
                        if stage < before_stage:
                            stage = before_stage
                        if ms + price * pinned <= left and stage + pinned + before_pinned <= limit:
                            ahead.append(Label(stage, pinned + before_pinned, ms + before_ms, label, recipe))
        return _pareto_labels(at[self.count])

    def fastest(self, limit: int) -> List[Label]:
        """Labels worth looking at for the fastest plan within `limit`, fastest first."""
        if limit not in self._asked:
            self._asked[limit] = self._fastest(limit)
        return self._asked[limit]

    def _fastest(self, limit: int) -> List[Label]:
        """A rough search bounds the full one."""
        bound = self._bound(limit)
        rough = self.labels(limit, 8, bound)
        if not rough:
            return self.labels(limit)
        room = bound.price * max(0, limit - self.least_stage)
        full = self.labels(limit, self.keep, bound._replace(slowest=rough[0].ms * (1 + 1e-9) + room))
        return full if full and full[0].ms <= rough[0].ms else rough

    def _bound(self, limit: int) -> Bound:
        """A Lagrangian bound: pinned bytes are bought at a price in milliseconds a byte. The price that cuts
        most is near what a byte costs to read, to pack, or both."""
        device, rates = self.spans.device, self.spans.rates
        room = max(0, limit - self.least_stage)
        read, pack = 1e-6 / device.read, 1e-6 / rates.pack
        bounds = [Bound(p, float("inf"), self.rest(p)) for p in (0.0, pack, 0.5 * read, read, read + pack)]
        return max(bounds, key=lambda x: x.rest[0] - x.price * room)

    def rest(self, price: float) -> List[float]:
        """Per cut, the least time from there to the end with pinned bytes at `price`, whatever it takes."""
        rest = [float("inf")] * self.count + [0.0]
        for a in reversed(range(self.count)):
            for b, options in self.edges[a]:
                rest[a] = min(rest[a], rest[b] + min(o.ms + price * o.pinned for o in options))
        return rest

    def _least_stage(self) -> int:
        """The least any plan's largest stage can be, pinned bytes aside (minimax path)."""
        least = [NO_LIMIT] * self.count + [0]
        for a in reversed(range(self.count)):
            for b, options in self.edges[a]:
                least[a] = min(least[a], max(least[b], min(o.stage for o in options)))
        return least[0]

    def least(self, smallest: bool = True) -> List[Label]:
        """Pareto-optimal whole plans by stage and pinned bytes, time left out of account.

        smallest : groups smaller than they must be, for an easier packing; else they are rather fast
        """
        at: List[List[Label]] = [[] for _ in range(self.count + 1)]
        at[0] = [Label(0, 0, 0.0, None, None)]
        for a in range(self.count):
            for b, options in self.edges[a]:
                chosen = _smallest_options(options) if smallest else options
                for label in at[a]:
                    for stage, pinned, ms, recipe in chosen:
                        at[b].append(Label(max(stage, label.stage), pinned + label.pinned, label.ms + ms,
                                           label, recipe))
                at[b] = _pareto_bytes(at[b])
        return at[self.count]


class Bound(NamedTuple):
    """ms + price * pinned so far, plus rest[cut], may not exceed `slowest`."""

    price: float
    slowest: float
    rest: List[float]


def _smallest_options(options: List[Option]) -> List[Option]:
    """The staircase in (stage, pinned): what is smaller than it must be leaves room for the packing."""
    kept: List[Option] = []
    for option in sorted(options, key=lambda o: (o.stage, o.pinned, o.ms)):
        if not kept or option.pinned < kept[-1].pinned:
            kept.append(option)
    return kept


def _pareto_bytes(labels: List[Label]) -> List[Label]:
    """The staircase in (stage, pinned), fastest of equals, at most `LABELS` with the smallest sums."""
    kept: List[Label] = []
    for label in sorted(labels, key=lambda x: (x.stage, x.pinned, x.ms)):
        if not kept or label.pinned < kept[-1].pinned:
            kept.append(label)
    return sorted(kept, key=lambda x: x.bytes)[:LABELS]


def _pareto_labels(labels: List[Label]) -> List[Label]:
    """Sorted by time; a staircase of (stage, pinned) tells in one look whether a label is beaten."""
    labels.sort(key=lambda x: (x.ms, x.stage + x.pinned, x.stage))
    stairs: List[Tuple[int, int]] = []  # stage rising, pinned falling
    kept: List[Label] = []
    for label in labels:
        spot = bisect.bisect_right(stairs, (label.stage, NO_LIMIT))
        if spot and stairs[spot - 1][1] <= label.pinned:
            continue
        end = spot
        while end < len(stairs) and stairs[end][1] >= label.pinned:
            end += 1
        start = spot - 1 if spot and stairs[spot - 1][0] == label.stage else spot
        stairs[start:end] = [(label.stage, label.pinned)]
        kept.append(label)
    return kept


def _thin(labels: List[Label], keep: int, price: float, floor: int) -> List[Label]:
    """At most `keep`: half of them the cheapest with bytes beyond a stage of `floor` at `price`, the others
    spread evenly from the fastest to the smallest."""
    if len(labels) <= keep:
        return labels
    cheap = sorted(labels, key=lambda x: x.ms + price * (max(x.stage, floor) + x.pinned))[: keep // 2]
    step = len(labels) / (keep - keep // 2)
    spread = [labels[int(i * step)] for i in range(keep - keep // 2)]
    return [*cheap, *spread, min(labels, key=lambda x: x.bytes)]
