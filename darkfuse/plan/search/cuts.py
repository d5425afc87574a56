"""Cutting a network into groups: Pareto-optimal prices per span, dynamic programming over cut points.

A plan cuts the pieces of a network into spans; each span runs as one group. What a plan needs is the largest
of its groups' stage bytes plus everything pinned, and its time is the sum. Spans are edges from one cut to a
later one (as in TVM's cascader and msf-CNN), each with its Pareto-optimal options; labels (stage, pinned,
ms) at a cut keep what no other label beats in all three. Exact over what `Candidates` offers, as long
as no cut holds more labels than are kept; the tests compare with brute force.
"""
from __future__ import annotations

from collections.abc import Callable
from copy import copy
from heapq import heappop, heappush
from typing import NamedTuple

from darkfuse.plan.search._paths import Paths
from darkfuse.plan.search._ways import Ways
from darkfuse.plan.search.candidates import Candidates
from darkfuse.plan.search.tiled import LONGEST, NO_LIMIT
from darkfuse.plan.types import Group

LABELS = 400  # labels kept at a cut, at most
WORK = 1_000_000  # labels tried in one search, roughly; a network with many options keeps fewer labels
SHORT = 7  # pieces in one fused group, where memory is not short
TIGHT = 3  # times what the largest group must have: memory is short
PAPER = 5  # MAFAT's grids: 1x1 to 5x5
SAME = 1 + 1e-9  # times a sum of milliseconds: the same one, added up otherwise
NEVER = float("inf")
CLOSE = 1.001  # times the bound of some plans: the fastest that is known is about as fast as they can be
PARTS = 64  # of a limit: a difference in bytes of the largest stage that is small


class Label(NamedTuple):
    """A whole plan as the search sees it: the ways it is made of (`Cuts.group`), and what they come to."""

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
    """

    def __init__(self, spans: Candidates, limit: int = NO_LIMIT, thorough: bool = True) -> None:
        self.spans, self.limit = spans, limit
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
        self.tight = thorough
        if not thorough:
            self._index()
            self.tight = self.floors[0] * TIGHT >= limit
        if self.tight:
            self._price(rows_of_tiles, lambda a, b: b > LONGEST and SHORT < b - a <= LONGEST)
            self._price(columns_of_tiles, lambda a, b: a <= spans.net.entry and b - a <= LONGEST)
            self._index()

    def striped(self, limit: int, rows: int) -> Cuts:
        """The same options within a limit, and tiled groups that read their weights for every tile, too:
        stripes of so many rows at most."""
        again, entry = copy(self), self.spans.net.entry
        again.limit, again._ways = limit, self._ways.within(limit)
        again._price(rows_of_tiles, lambda a, b: b - a <= LONGEST, rows)
        again._price(columns_of_tiles, lambda a, b: a <= entry and b - a <= LONGEST, rows)
        again._index()
        return again

    def _price(self, grids: Callable[[int, int], list[tuple[tuple[int, int], str]]],
               wanted: Callable[[int, int], bool], stripes: int = 0) -> None:
        """Add options of all spans that are wanted, over some grids; with `stripes` those that stream."""
        for b, every in self._worth.items():
            worth = {a: most for a, most in every.items() if wanted(a, b)}
            if worth:
                tail = self.spans.pieces[b - 1].leaf.shape
                some = [(grid, cache) for grid, cache in grids(tail.h, tail.w)
                        if not stripes or -(-tail.h // grid[0]) <= stripes]
                self.spans.fused(b, some, self.limit, worth, self._ways, stripes > 0)

    def _index(self) -> None:
        """Make options ready for questions."""
        self._asked: dict[tuple[int, int], list[Label]] = {}
        self._smallest: dict[bool, list[Label]] = {}
        self._groups: dict[int, Group] = {}  # by way
        self.too_large: dict[tuple[int, ...], int] = {}  # by limit and ways that do not fit it
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

    def group(self, way: int) -> Group:
        """What one of the ways of a label stands for; most plans have most of them in common."""
        if way not in self._groups:
            option = self.paths.option(way)
            self._groups[way] = self.spans.group(option.recipe, option.ms)
        return self._groups[way]

    def labels(self, bound: Bound, slowest: float) -> list[Label]:
        """Pareto-optimal whole plans within what was asked for (`Paths.ask`) and the bound, fastest first,
        none slower than so many milliseconds. Where a cut has more than `keep` labels, those with the least
        ms + price * bytes stay."""
        found = self.paths.labels(self.keep, bound.price, slowest, bound.rest, bound.low, bound.high)
        return [self._label(*label) for label in found]

    def _label(self, ms: float, stage: int, pinned: int, ways: list[int]) -> Label:
        return Label(ms, stage + pinned, stage, pinned, ways)

    def fastest(self, limit: int, easy: int = NO_LIMIT) -> list[Label]:
        """Labels worth looking at for the fastest plan within `limit`, fastest first. Stages of more than
        `easy` bytes, where smaller ones would do, leave packing no room: there are none."""
        if (limit, easy) not in self._asked:
            self._asked[limit, easy] = self._fastest(limit, easy)
        return self._asked[limit, easy]

    def _fastest(self, limit: int, easy: int) -> list[Label]:
        """Branch and bound over bytes of the largest stage: a band of them is looked at in two halves, as
        long as it is wide and its bound says little."""
        paths, found = self.paths, list[Label]()
        paths.ask(limit, easy)
        bands = [self._bound(self.floors[0], limit)]
        if paths.known:
            paths.drop(bands[0].price, bands[0].rest)
        while bands and bands[0].least < paths.known_ms:
            band = heappop(bands)
            if paths.known_ms <= CLOSE * band.least or PARTS * (band.high - band.low) <= limit:
                found += self.labels(band, SAME * paths.known_ms)
                continue
            middle = (band.low + band.high) // 2
            for low, high in ((band.low, middle), (middle, band.high)):
                heappush(bands, self._bound(low, high))
        if paths.known and paths.known[-1] not in [label.ways for label in found]:
            found.append(self._label(*paths.known))
        return sorted(found)

    def _bound(self, low: int, high: int) -> Bound:
        least, price, rest = self.paths.bound(low, high)
        return Bound(least, low, high, price, rest)

    def least(self, smallest: bool = True) -> list[Label]:
        """Pareto-optimal whole plans by stage and pinned bytes, time left out of account; the smallest first.

        smallest : groups smaller than they must be, for an easier packing; else they are rather fast
        """
        if smallest not in self._smallest:
            found = self.paths.smallest(self.limit, LABELS, smallest)
            self._smallest[smallest] = [self._label(*label) for label in found]
        return self._smallest[smallest]


class Bound(NamedTuple):
    """Plans whose largest stage is between `low` and `high` bytes take `least` milliseconds or more: see
    `Paths.bound`. `price` is that of a pinned byte in milliseconds, `rest` by cut what is still to come."""

    least: float
    low: int
    high: int
    price: float
    rest: list[float]
