from collections.abc import Sequence
from typing import Any

# milliseconds, stage bytes, pinned bytes, and numbers of the ways it is made of
Found = tuple[float, int, int, list[int]]

class Paths:
    """Ways from cut to cut, numbered in the order of `spans`.

    Parameters
    ----------
    count : int
        The last cut; the first is 0.
    spans : list of (a, b, options)
        By a, then b. Options begin with stage bytes, pinned bytes and milliseconds, the fastest first.
    """

    def __init__(self, count: int, spans: Sequence[tuple[int, int, Sequence[tuple[Any, ...]]]]) -> None: ...

    def floors(self) -> list[int]:
        """Per cut, the least the largest stage from there to the end can be (minimax)."""

    def rest(self, price: float) -> list[float]:
        """Per cut, the least time from there to the end with a pinned byte at `price`, whatever it takes."""

    def fastest(self, price: float, rest: list[float]) -> Found | None:
        """The path that is fastest at a price of pinned bytes, whatever it takes; `rest` is of that price."""

    def labels(self, limit: int, keep: int, price: float, slowest: float, rest: list[float]) -> list[Found]:
        """Paths that no other beats in time, stage and pinned bytes at once, fastest first.

        Parameters
        ----------
        limit : int
            Bytes no path may exceed: its largest stage and all that it pins.
        keep : int
            Labels kept at a cut, at most; those that are cheap with bytes at `price` are kept first.
        slowest : float
            No path is wanted whose time and bytes beyond `limit`, at `price`, come to more.
        rest : list of float
            `rest(price)`, or zeros.
        """

    def smallest(self, limit: int, keep: int) -> list[Found]:
        """Paths that no other beats in stage and pinned bytes, those with the fewest bytes first."""
