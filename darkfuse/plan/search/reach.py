"""Tile geometry in closed form: how much of each map a tile computes, needs and stores, along one axis.

`layout.region` works the same out exactly, tile by tile, for the one plan that is lowered. The search asks
for ten thousand groups a network, of up to hundreds of tiles. Every map's region is affine in the tile's
place, so four numbers say all, whatever the number of tiles. What they say is never too little (the tests
hold that against lowered programs, byte by byte).
"""
from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

from darkfuse.plan.layout.region import Step
from darkfuse.plan.price.cost import Sizes

TINY = 1e-6  # fractions of rows are sums of floats
ENDS = 16  # tiles at each end of a map that may lack rows to read or to write

Lines = tuple[tuple[float, float], ...]  # slopes and offsets


class Reach(NamedTuple):
    """A map's region in tile coordinates f (0 at the top, 1 at the bottom of the group's last map).

    By the end of tile f rows up to slope*f + end are computed (at least up to slope*f + done), and rows from
    slope*f + start on are needed.
    """

    slope: float
    start: float
    end: float
    done: float


class Back(NamedTuple):
    """From the reach of a map to that of one it is computed from: each number times `factor`, plus an offset
    of its own."""

    factor: float
    start: float
    end: float
    done: float

    def of(self, reach: Reach, cached: bool) -> Reach:
        """The reach of the map that is read; cached: what was read for the tile before is needed no more."""
        slope, start, end, done = reach
        factor = self.factor
        return Reach(slope * factor, (done if cached else start) * factor + self.start,
                     end * factor + self.end, done * factor + self.done)


@lru_cache(maxsize=4096)
def back(steps: tuple[Step, ...]) -> Back:
    """All steps from a map to one it reads, in one."""
    factor, start, end, done = 1.0, 0.0, 0.0, 0.0
    for step in steps:
        stride, before, extent = step.window.stride, step.window.pad_before, step.window.extent
        grown = 1 if step.scale > 1 else 0  # a row of an upsampled map may begin within a row that is read
        factor = factor * stride / step.scale
        start = (start / step.scale - grown) * stride - before
        end = (end / step.scale + grown - 1) * stride - before + extent
        done = (done / step.scale - 1) * stride - before + extent
    return Back(factor, start, end, done)


def together(asked: list[Reach]) -> Reach:
    """The reach of a map with several readers."""
    slope = max(r.slope for r in asked)
    return Reach(slope, min(r.start for r in asked), max(r.end for r in asked),
                 max(r.done - (slope - r.slope) for r in asked))


def axis(length: int, reach: Reach, tiles: int, share: float, cached: bool) -> tuple[int, Sizes, int]:
    """One map along one axis, cut into tiles.

    Parameters
    ----------
    length : int
        Rows (or columns) of the map.
    share : float
        Of the group's last map, what its largest tile takes.
    cached : bool
        Whether rows that the next tile needs again are kept.

    Returns
    -------
    (int, Sizes, int)
        Rows stored, rows computed as (how many, on how many tiles), and rows carried from tile to tile.
    """
    if tiles == 1:
        return length, [(length, 1)], 0
    slope, start, end, _ = reach
    step = slope * share
    halo = max(0.0, end - start)  # a stride may leave out rows, but not storing them
    if not cached:
        size = min(length, math.ceil(step + halo))
        edge = min(length, math.ceil(step + max(end, -start)))
        return size, [(edge, 2), (size, tiles - 2)] if tiles > 2 else [(edge, 2)], 0
    first = min(length, max(1, math.ceil(step + end)))
    stored = min(length, max(first, math.ceil(step + halo), length - math.floor(slope * (1 - share) + start)))
    left, even = length - first, max(1, math.ceil(step))
    full = min(tiles - 1, left // even)
    sizes = [(first, 1)]
    if full:
        sizes.append((even, full))
    if left > full * even:
        sizes.append((left - full * even, 1))
    return stored, sizes, min(length, math.ceil(halo))


@lru_cache(maxsize=10000)
def shift(tiles: int, tall: int, after: tuple[int, int], before: tuple[int, int],
          made: Lines, needed: Lines, later: bool) -> int:
    """Bytes by which a dying map must lie behind the one that is written over it (`layout.overlap`).

    Parameters
    ----------
    tiles, tall : int
        Rows of tiles, and rows of the group's last map, in which all is reckoned.
    after, before : (int, int)
        Bytes of a row, and rows, of the map written and of the map read.
    made, needed : tuple of (float, float)
        Rows written, and row read first, as slope and offset.
    later : bool
        Whether what is read on a tile may be overwritten on it.
    """
    furthest = 0
    # Even tiles make even steps but at the map's ends, where rows run out.
    even = tall % tiles == 0 and tiles > 2 * ENDS
    for tile in (*range(ENDS), *range(tiles - ENDS, tiles)) if even else range(tiles):
        rows, start = after[1], before[1] if later else 0
        if tile + 1 < tiles:
            at = tall * (tile + 1) // tiles
            rows = min(rows, max(math.ceil(slope * at + end - TINY) for slope, end in made))
        if 0 < tile + later < tiles:
            at = tall * (tile + later) // tiles
            first = min(math.floor(slope * at + offset + TINY) for slope, offset in needed)
            start = min(max(first, 0), before[1])
        furthest = max(furthest, after[0] * rows - before[0] * start)
    return furthest
