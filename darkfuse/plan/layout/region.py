"""Tile arithmetic: which rows (or columns) of every map a tile of a fused group computes and needs.

Rows and columns are worked out apart, by the same code: a region is the product of a row span and a column
span. Demand runs backwards, from the tiles of what a group delivers to everything they are made of (MAFAT,
arXiv 2107.06960, equations 1 and 2, here for half-open spans and any graph of windows).

Two ways to meet the demand along an axis:

cached : what a tile computed is kept for the next one. Spans of one map never overlap and together are the
    whole map, even those rows that nothing reads, so that the multiply-adds executed are the network's.
not cached : every tile computes all it needs, overlapping its neighbours (halo recompute).

The search prices ten thousands of groups a network, and has the same in closed form (`search._reach`). With
the loops here it would take some fourteen times as long to price them: measured over all groups of yolov4 in
rows of tiles, rows alone, both compiled.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from darkfuse.graph.ir import Window
from darkfuse.host.record import dataclass
from darkfuse.plan.layout._region import axes
from darkfuse.plan.layout._region import read as walk

Span = tuple[int, int]  # [start, end)

POINT = Window(1, 1, 0)


@dataclass(frozen=True)
class Step:
    """One layer's way from output positions back to the positions it reads, along one axis.

    Attributes
    ----------
    length : int
        Length of the map that is read.
    window : Window
        Positions read for one output position.
    scale : int
        Output positions `scale * n` to `scale * n + scale - 1` stand for window position n (upsampling).
    whole : bool
        Reads all of the map whatever the output position (reorg, global pooling).
    padded : bool
        Positions outside the map are read too, as stored zeros (the columns of a convolution).
    """

    length: int
    window: Window = POINT
    scale: int = 1
    whole: bool = False
    padded: bool = False


@dataclass(frozen=True)
class Link:
    """Map `reader` is computed from map `source`, through `steps` (the one nearest the reader first).

    More than one step is a fused pair: a convolution whose output is pooled before it is stored.
    """

    reader: int
    source: int
    steps: tuple[Step, ...]


class Axis(NamedTuple):
    """One map along one axis, per tile.

    Attributes
    ----------
    spans : tuple of Span
        What the tile computes; empty when everything needed is there already.
    first : tuple of int
        First position that this tile or a later one reads (kept) or computes.
    low, high : tuple of int
        Stored extent [low, high): everything computed or read at this tile, padding included.
    """

    spans: tuple[Span, ...]
    first: tuple[int, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]


def clip(span: Span, length: int) -> Span:
    """The part of a span inside [0, length); an empty span at the nearer edge when there is none."""
    start = min(max(span[0], 0), length)
    return start, min(max(span[1], start), length)


def read(steps: Sequence[Step], out: Span) -> Span:
    """Follow `steps` back from a non-empty span of outputs."""
    return walk(steps, (out,))[0]


def solve(
    lengths: Sequence[int], links: Sequence[Link], tiles: int, cached: bool, whole: Collection[int] = ()
) -> list[Axis]:
    """Spans of every map of a group along one axis.

    Parameters
    ----------
    lengths : sequence of int
        Length of each map; maps are numbered so that a reader comes after everything it reads.
    links : sequence of Link
        Who reads whom. Maps without a reader are what the group delivers: they are cut evenly.
    tiles : int
        Tiles along this axis.
    cached : bool
        Whether what a tile computed stays for the next ones.
    whole : collection of int
        Maps read outside the group too: all of them must be computed, cached or not.

    Returns
    -------
    list of Axis
        One per map.
    """
    return [Axis(*found) for found in axes(lengths, links, tiles, cached, whole)]
