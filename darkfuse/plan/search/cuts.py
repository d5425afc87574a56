"""Cutting a network into groups: Pareto-optimal prices per span, dynamic programming over cut points.

A plan cuts the pieces of a network into spans; each span runs as one group. What a plan needs is the largest
of its groups' stage bytes plus everything pinned, and its time is the sum. Spans are edges from one cut to a
later one (as in TVM's cascader and msf-CNN), each with its Pareto-optimal options; labels (stage, pinned,
ms) at a cut keep what no other label beats in all three. Exact over what `Candidates` offers, as long
as no cut holds more labels than are kept; the tests compare with brute force.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from darkfuse.plan.search._paths import Paths
from darkfuse.plan.search._ways import Ways
from darkfuse.plan.search.candidates import Candidates
from darkfuse.plan.search.option import Option
from darkfuse.plan.search.tiled import LONGEST, NO_LIMIT

ROUGH = 24  # labels kept at a cut in a rough search
LABELS = 400  # labels kept at a cut, at most
WORK = 1_000_000  # labels tried in one search, roughly; a network with many options keeps fewer labels
SHORT = 7  # pieces in one fused group, where memory is not short
TIGHT = 3  # times what the largest group must have: memory is short
PAPER = 5  # MAFAT's grids: 1x1 to 5x5


class Label(NamedTuple):
    """A whole plan as the search sees it: the ways it is made of (`Cuts.options`), and what they come to."""

    ms: float
    bytes: int  # stage + pinned
    stage: int  # of the largest group
    pinned: int
    ways: list[int]


def rows_of_tiles(height: int, width: int) -> list[tuple[tuple[int, int], str]]:
    """Grids of one column, and cache modes, to try for a group whose output map is height x width."""
    down = {r for r in range(2, PAPER + 1) if r <= height}
    down |= {-(-height // rows) for rows in (1, 2, 4, 8, 16, 32) if rows < height}
    return [((r, 1), "full") for r in sorted(down)]


def columns_of_tiles(height: int, width: int) -> list[tuple[tuple[int, int], str]]:
    """Grids of several columns for a group that reads the network input. Elsewhere maps are small, and
    columns of tiles with them."""
    found: list[tuple[tuple[int, int], str]] = []
    down = [1, *(grid[0] for grid, _ in rows_of_tiles(height, width))]
    for c in range(2, min(PAPER, width) + 1):
        found += [((r, c), "full") for r in down if r <= PAPER or r == height]
        if c <= height:
            found.append(((c, c), "none"))
    return found


class Cuts:
    """Options of every span of one network in one execution order, priced once; then any number of questions.

    Parameters
    ----------
    limit : int
        Arena bytes no plan may exceed; options that cannot are not even priced to the end.
    thorough : bool
        Try long groups and columns of tiles in any case; else only where memory is short.
    stripes : int
        Try tiled groups that read their weights for every tile, too: stripes of so many rows at most.
    """

    def __init__(self, spans: Candidates, limit: int = NO_LIMIT, thorough: bool = True,
                 stripes: int = 0) -> None:
        self.spans, self.limit = spans, limit
        self._asked: dict[int, list[Label]] = {}
        self.count = len(spans.pieces)
        self.starts = [a for a, piece in enumerate(spans.pieces) if piece.layers]  # copies stay with a layer
        self.whole: dict[int, tuple[int, int]] = {}  # stage bytes of single pieces, pinned: fastest, direct
        self._ways = Ways()
        for a in self.starts:
            alone = spans.single(a)
            pinned = [option.stage for option in alone if option.recipe.residency == "pinned"] or [NO_LIMIT]
            self.whole[a] = pinned[0], pinned[-1]
            self._ways.add(a, spans.after(a), [x for x in alone if x.stage + x.pinned <= limit])
        ends = [*self.starts, self.count][1:]
        self._worth = {b: self._worth_before(b) for b in ends}
        # Groups that begin with the first pieces may be long: maps are large there.
        self._price(rows_of_tiles, lambda a, b: b <= LONGEST or b - a <= SHORT)
        self._index()
        self.tight = thorough or self.floors[0] * TIGHT >= limit
        if self.tight:
            entry = spans.net.entry
            self._price(rows_of_tiles, lambda a, b: b > LONGEST and SHORT < b - a <= LONGEST)
            self._price(columns_of_tiles, lambda a, b: a <= entry and b - a <= LONGEST)
            if stripes:
                self._price(rows_of_tiles, lambda a, b: b - a <= LONGEST, stripes)
                self._price(columns_of_tiles, lambda a, b: a <= entry and b - a <= LONGEST, stripes)
            self._index()

    def _price(self, grids: Callable[[int, int], list[tuple[tuple[int, int], str]]],
               wanted: Callable[[int, int], bool], stripes: int = 0) -> None:
        """Add options of all spans that are wanted, over some grids; with `stripes` of those that stream."""
        for b, every in self._worth.items():
            worth = {a: most for a, most in every.items() if wanted(a, b)}
            if worth:
                tail = self.spans.pieces[b - 1].leaf.shape
                some = [(grid, cache) for grid, cache in grids(tail.h, tail.w)
                        if not stripes or -(-tail.h // grid[0]) <= stripes]
                self.spans.fused(b, some, self.limit, worth, self._ways, stripes > 0)

    def _index(self) -> None:
        self.paths = Paths(self.count, self._ways)
        self.keep = max(24, min(LABELS, WORK // max(1, self.paths.many)))
        self.floors = self.paths.floors()

    def _worth_before(self, b: int) -> dict[int, tuple[int, int]]:
        """Per first piece of a group that ends before piece `b`: what its pieces need one by one, at their
        fastest and with direct kernels. No group that needs as much is worth having, for it is not faster;
        except where whole maps are too large for the caches, and tiles of them are not."""
        found = {}
        most = direct = 0
        for a in range(b - 1, max(b - LONGEST, 0) - 1, -1):
            if self.spans.prices.gains[a]:
                most = direct = NO_LIMIT
            if a in self.whole:
                most, direct = max(most, self.whole[a][0]), max(direct, self.whole[a][1])
                found[a] = most, min(most, direct)
        return found

    def between(self, a: int, b: int) -> list[Option]:
        """The options of one span, fastest first."""
        return sorted(self._ways.between_cuts(a, b), key=lambda option: option.ms)

    def labels(self, limit: int, keep: int = LABELS, bound: Bound | None = None) -> list[Label]:
        """Pareto-optimal whole plans within `limit` arena bytes, fastest first; with a bound, only those
        that can still be the fastest. Where a cut has more than `keep` labels, those with the least
        ms + price * bytes stay."""
        price, slowest, rest = bound or Bound(0.0, float("inf"), [0.0] * (self.count + 1))
        return [self._label(*found) for found in self.paths.labels(limit, keep, price, slowest, rest)]

    def _label(self, ms: float, stage: int, pinned: int, ways: list[int]) -> Label:
        return Label(ms, stage + pinned, stage, pinned, ways)

    def options(self, label: Label) -> list[Option]:
        """What a label is made of."""
        return [self.paths.option(way) for way in label.ways]

    def fastest(self, limit: int) -> list[Label]:
        """Labels worth looking at for the fastest plan within `limit`, fastest first."""
        if limit not in self._asked:
            self._asked[limit] = self._fastest(limit)
        return self._asked[limit]

    def _fastest(self, limit: int) -> list[Label]:
        """The fastest of all where it fits; else a rough search bounds the full one."""
        label = self._path(Bound(0.0, 0.0, self.rest(0.0)))
        if label is not None and label.bytes <= limit:
            return [label]
        rough = self.rough(limit)
        if not rough:
            return self.labels(limit)
        bound = self._bound(limit)._replace(slowest=rough[0].ms * (1 + 1e-9))
        full = self.labels(limit, self.keep, bound)
        return full if full and full[0].ms <= rough[0].ms else rough

    def rough(self, limit: int) -> list[Label]:
        """Plans within `limit`, fastest first, of few labels at each cut. Where it finds none there may yet
        be one."""
        return self.labels(limit, ROUGH, self._bound(limit))

    def _bound(self, limit: int) -> Bound:
        """A Lagrangian bound: pinned bytes are bought at a price in milliseconds a byte. The price that cuts
        most is near what a byte costs to read, to pack, or both. The fastest plan at any of these prices that
        fits is one that must be beaten."""
        device, rates = self.spans.device, self.spans.rates
        room = max(0, limit - self.floors[0])
        read, pack = 1e-6 / device.read, 1e-6 / rates.pack
        prices = 0.0, pack, 0.5 * read, read, read + pack
        bounds = [Bound(price, float("inf"), self.rest(price)) for price in prices]
        paths = [self._path(bound) for bound in bounds]
        slowest = min((path.ms for path in paths if path and path.bytes <= limit), default=float("inf"))
        best = max(bounds, key=lambda x: x.rest[0] - x.price * room)
        return best._replace(slowest=slowest * (1 + 1e-9))

    def _path(self, bound: Bound) -> Label | None:
        """The plan that is fastest at a price of pinned bytes, whatever it takes."""
        found = self.paths.fastest(bound.price, bound.rest)
        return self._label(*found) if found else None

    def rest(self, price: float) -> list[float]:
        """Per cut, the least time from there to the end with pinned bytes at `price`, whatever it takes."""
        return self.paths.rest(price)

    def least(self, smallest: bool = True) -> list[Label]:
        """Pareto-optimal whole plans by stage and pinned bytes, time left out of account; the smallest first.

        smallest : groups smaller than they must be, for an easier packing; else they are rather fast
        """
        return [self._label(*found) for found in self.paths.smallest(self.limit, LABELS, smallest)]


class Bound(NamedTuple):
    """ms + price * pinned so far, plus rest[cut], may not exceed `slowest`."""

    price: float
    slowest: float
    rest: list[float]
