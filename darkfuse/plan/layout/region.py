"""Tile arithmetic: which rows (or columns) of every map a tile of a fused group computes and needs.

Rows and columns are worked out apart, by the same code: a region is the product of a row span and a column
span. Demand runs backwards, from the tiles of what a group delivers to everything they are made of (MAFAT,
arXiv 2107.06960, equations 1 and 2, here for half-open spans and any graph of windows).

Two ways to meet the demand along an axis:

cached : what a tile computed is kept for the next one. Spans of one map never overlap and together are the
    whole map, even those rows that nothing reads, so that the multiply-adds executed are the network's.
not cached : every tile computes all it needs, overlapping its neighbours (halo recompute).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from darkfuse.graph.ir import Window

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

    def read(self, out: Span) -> Span:
        """Span read for a non-empty span of outputs; may reach outside the map where `padded`."""
        if self.whole:
            return 0, self.length
        first, last = out[0] // self.scale, (out[1] - 1) // self.scale
        start, end = self.window.start(first), self.window.start(last) + self.window.extent
        return (start, end) if self.padded else clip((start, end), self.length)


@dataclass(frozen=True)
class Link:
    """Map `reader` is computed from map `source`, through `steps` (the one nearest the reader first).

    More than one step is a fused pair: a convolution whose output is pooled before it is stored.
    """

    reader: int
    source: int
    steps: tuple[Step, ...]

    def read(self, out: Span) -> Span:
        """Span of the source that a non-empty span of the reader is computed from."""
        return read(self.steps, out)


@dataclass(frozen=True)
class Axis:
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
    for number, step in enumerate(steps):
        if number:
            out = clip(out, steps[number - 1].length)
        out = step.read(out)
    return out


def partition(length: int, tiles: int) -> tuple[Span, ...]:
    """Cut [0, length) into `tiles` spans that differ by one at most; some are empty if tiles > length."""
    return tuple((length * i // tiles, length * (i + 1) // tiles) for i in range(tiles))


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
    readers: list[list[Link]] = [[] for _ in lengths]
    for link in links:
        if not link.source < link.reader:
            raise ValueError(f"map {link.reader} reads map {link.source}, which does not come before it")
        readers[link.source].append(link)
    axes: list[Axis] = []
    for number in reversed(range(len(lengths))):
        length = lengths[number]
        demands: list[list[Span]] = [[] for _ in range(tiles)]  # padding included
        for link in readers[number]:
            for tile, span in enumerate(axes[len(lengths) - 1 - link.reader].spans):
                if span[0] < span[1]:
                    demands[tile].append(link.read(span))
        if not readers[number] or (number in whole and not cached):
            for tile, span in enumerate(partition(length, tiles)):
                if span[0] < span[1]:
                    demands[tile].append(span)
        axes.append(_cached(length, demands) if cached else _recomputed(length, demands))
    axes.reverse()
    return axes


def _cached(length: int, demands: Sequence[Sequence[Span]]) -> Axis:
    """Every position once, as soon as a tile asks for it; the last tile computes what nobody asked for."""
    spans: list[Span] = []
    done = 0
    for tile, wanted in enumerate(demands):
        end = max([done] + [clip(span, length)[1] for span in wanted])
        if tile == len(demands) - 1:
            end = length
        spans.append((done, end))
        done = end
    first, low = [0] * len(spans), [0] * len(spans)
    first_later, low_later = length, length
    for tile in reversed(range(len(spans))):
        starts = [span[0] for span in demands[tile]]
        # What is computed here must be stored here, even if only a later tile (or nobody) reads it.
        low_later = min([low_later, spans[tile][0]] + starts)
        first_later = min([first_later, spans[tile][0]] + [max(start, 0) for start in starts])
        first[tile], low[tile] = first_later, low_later
    high = [max([span[1]] + [s[1] for s in wanted]) for span, wanted in zip(spans, demands)]
    return Axis(tuple(spans), tuple(first), tuple(low), tuple(high))


def _recomputed(length: int, demands: Sequence[Sequence[Span]]) -> Axis:
    """Per tile, all that it asks for."""
    spans: list[Span] = []
    low, high = [], []
    for wanted in demands:
        inside = [clip(span, length) for span in wanted]
        inside = [span for span in inside if span[0] < span[1]]
        at = spans[-1][1] if spans else 0
        span = (min(s[0] for s in inside), max(s[1] for s in inside)) if inside else (at, at)
        spans.append(span)
        low.append(min([span[0]] + [s[0] for s in wanted]))
        high.append(max([span[1]] + [s[1] for s in wanted]))
    return Axis(tuple(spans), tuple(span[0] for span in spans), tuple(low), tuple(high))
