"""A camera that stands still: what did not change in its picture is not computed again.

The network runs on the picture as it was last seen, into which only those squares of a new frame are taken
that differ from it by more than the noise that is to be passed over; at 0, which is the default, that is the
new frame, bit for bit. Parts of maps that a change does not reach are not computed (`plan.layout.still`).
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, floor
from typing import Any

from darkfuse.graph import Graph
from darkfuse.host.extras import need
from darkfuse.plan.layout.lower import lay_out
from darkfuse.plan.layout.still import Rect, reach_of, together
from darkfuse.plan.types import Plan

SQUARE = 8  # pixels of the picture that are taken over together
BAND = 16 * SQUARE  # rows of it that are compared at a time
BESIDE = 3  # pixels around those that a position of the input is scaled from, at most
SEVERAL = 400  # squares that are told apart; of more, two by two count as one


class Still:
    """What the last frame was, and what of the next one has to be computed.

    Parameters
    ----------
    graph : Graph
    plan : Plan
        Of `plan.search.still`; any other plan runs whole frames, but for those in which nothing changed.
    noise : int
        Levels of 255 by which a pixel may differ from what was last seen, and count as the same.

    Attributes
    ----------
    ran : bool
        Whether the last frame was different, and anything had to be run.
    """

    def __init__(self, graph: Graph, plan: Plan, noise: int = 0) -> None:
        self._np: Any = need("numpy", "still cameras")
        self._reach = reach_of(lay_out(graph, plan)) if plan.still else None
        self._input, self.plan, self.noise = graph.input, plan, noise
        self._engine: Any = None
        self._seen: Any = None
        self._fit = ""
        self.ran = True

    def run(self, engine: Any, picture: Any, fit: str, run: Callable[[Any], None]) -> None:
        """Run the engine on a frame with `run(picture)`, as much of it as has to be."""
        np = self._np
        shape = picture.height, picture.width, picture.channels
        new = np.frombuffer(picture.pixels, np.uint8).reshape(shape)
        fresh = engine is not self._engine or fit != self._fit or self._seen.shape != shape
        if fresh:
            self._seen, self._fit = new.copy(), fit
        squares = None if fresh else self._changed(new)
        self._engine = None  # whatever goes wrong: the next frame runs whole
        self.ran = squares is None or bool(squares.any())
        if self.ran:
            if self._reach is not None:
                engine.only(None if squares is None else self._reach.parts(self._rects(squares)))
            run(picture._replace(pixels=memoryview(self._seen).cast("B")))
        self._engine = engine

    def forget(self, engine: Any) -> None:
        """The engine runs a picture that is not kept: the frame after it runs whole."""
        engine.only(None)
        self._engine = None

    def _changed(self, new: Any) -> Any:
        """Which squares have changed; they are taken over."""
        np, seen = self._np, self._seen
        height, width = seen.shape[:2]
        squares = np.zeros((-(-height // SQUARE), -(-width // SQUARE)), bool)
        # Squares are told apart only in those rows of them where anything differs
        rows = np.logical_or.reduceat(self._rows_differ(new), np.arange(0, height, SQUARE))
        for top in range(0, len(rows), BAND // SQUARE):
            some = np.flatnonzero(rows[top : top + BAND // SQUARE]).tolist()
            if some:
                first, end = top + some[0], top + some[-1] + 1
                at = slice(first * SQUARE, end * SQUARE)
                squares[first:end] = self._differs(new[at], seen[at])
                if not self.noise:  # what is outside those squares is the same
                    seen[at] = new[at]
        if self.noise:
            for row, column in np.argwhere(squares):
                part = slice(row * SQUARE, (row + 1) * SQUARE), slice(column * SQUARE, (column + 1) * SQUARE)
                seen[part] = new[part]
        return squares

    def _rows_differ(self, new: Any) -> Any:
        """Which rows of pixels differ at all."""
        np, height = self._np, len(new)
        one, other = new.reshape(height, -1), self._seen.reshape(height, -1)
        if one.shape[1] % 8 == 0:  # eight bytes at a time
            one, other = one.view(np.uint64), other.view(np.uint64)
        return np.concatenate([(one[top : top + BAND] != other[top : top + BAND]).any(1)
                               for top in range(0, height, BAND)])

    def _differs(self, new: Any, seen: Any) -> Any:
        """Which squares differ, of some rows."""
        np, wide = self._np, SQUARE * seen.shape[2]
        one, other = new.reshape(len(new), -1), seen.reshape(len(seen), -1)
        if self.noise:
            one = (np.maximum(one, other) - np.minimum(one, other) > self.noise).view(np.uint8)
        else:
            one = one ^ other
        if one.shape[1] % 8 == 0:  # eight bytes at a time
            one, wide = one.view(np.uint64), wide // 8
        rows = np.bitwise_or.reduceat(one, np.arange(0, len(one), SQUARE), 0) != 0
        return np.logical_or.reduceat(rows, np.arange(0, rows.shape[1], wide), 1)

    def _rects(self, squares: Any) -> list[Rect]:
        """The parts of the network's input that are scaled from squares which have changed."""
        np, side = self._np, SQUARE
        while np.count_nonzero(squares) > SEVERAL:
            squares, side = _halved(np, squares), 2 * side
        height, width = self._seen.shape[:2]
        down, across = _scales(height, width, self._input.h, self._input.w, self._fit)
        found: list[Rect] = []
        for row in np.flatnonzero(squares.any(1)).tolist():
            rows = _reached(row, row + 1, side, *down, self._input.h)
            columns = np.flatnonzero(squares[row]).tolist()
            begins = columns[0]
            for column, following in zip(columns, (*columns[1:], -1)):
                if following != column + 1:
                    found.append((*rows, *_reached(begins, column + 1, side, *across, self._input.w)))
                    begins = following
        return together(found)


def _halved(np: Any, squares: Any) -> Any:
    """Squares twice as large: those in which anything differs."""
    height, width = squares.shape
    rows = np.logical_or.reduceat(squares, np.arange(0, height, 2), 0)
    return np.logical_or.reduceat(rows, np.arange(0, width, 2), 1)


def _scales(height: int, width: int, net_height: int, net_width: int,
            fit: str) -> tuple[tuple[float, float], tuple[float, float]]:
    """Pixels of the picture to a position of the input, and the position where the picture begins; down and
    across."""
    down, across = height / net_height, width / net_width
    if fit == "stretch":
        return (down, 0.0), (across, 0.0)
    scale = max(down, across) if fit == "letterbox" else min(down, across)
    return (scale, (net_height - height / scale) / 2), (scale, (net_width - width / scale) / 2)


def _reached(one: int, end: int, side: int, scale: float, begins: float, length: int) -> tuple[int, int]:
    """Positions of the input that rows or columns [one, end) of squares may have a part in."""
    first = floor((one * side - BESIDE) / scale + begins) - 1
    last = ceil((end * side + BESIDE) / scale + begins) + 1
    return min(max(first, 0), length), min(max(last, 0), length)
