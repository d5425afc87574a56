from darkfuse.plan.search._ways import Ways
from darkfuse.plan.search.option import Option

# milliseconds, stage bytes, pinned bytes, and numbers of the ways it is made of
Found = tuple[float, int, int, list[int]]

class Paths:
    """Ways from cut to cut: how the whole network may be run. `many` is how many ways there are, `count` the
    last cut; the first is 0."""

    many: int
    known: Found | None  # the fastest path seen so far that fits what was asked for, and its milliseconds
    known_ms: float

    def __init__(self, count: int, ways: Ways) -> None: ...

    def option(self, number: int) -> Option:
        """A way by its number."""

    def span(self, a: int, b: int) -> range:
        """Numbers of the ways from one cut to another, fastest first."""

    def floors(self) -> list[int]:
        """Per cut, the least the largest stage from there to the end can be (minimax)."""

    def ask(self, limit: int, easy: int) -> None:
        """Begin a question: paths of up to `limit` bytes, their largest stage and all that they pin, by ways
        of up to `easy` stage bytes, unless all other ways between the same cuts take as many bytes of some
        kind. What follows is about these until the next question."""

    def bound(self, low: int, high: int) -> tuple[float, float, list[float]]:
        """Milliseconds that no path with a largest stage of `low` to `high` bytes falls below, infinity where
        none fits; the price of a pinned byte they are found at; and per cut, what is still to come at it.

        The bound is the highest of Lagrange's: at its price, in milliseconds a byte, the cheapest path turns
        from one that pins too much into one that fits. Paths that begin as the one does and end as the other
        are looked at, too, for most networks repeat layers, which all change at the same price: the fastest
        of these that fits may become `known`."""

    def rest(self, price: float) -> list[float]:
        """Per cut, what the cheapest path to the end costs with a pinned byte at `price`."""

    def drop(self, price: float, rest: list[float]) -> None:
        """Leave out ways of which a bound for all stages says that no path by them is faster than `known`."""

    def labels(self, keep: int, price: float, slowest: float, rest: list[float], low: int,
               high: int) -> list[Found]:
        """Paths that no other beats in time, stage and pinned bytes at once, fastest first.

        Parameters
        ----------
        keep : int
            Labels kept at a cut, at most; those that are cheap with bytes at `price` are kept first.
        slowest : float
            No path is wanted whose time and bytes beyond the limit, at `price`, come to more.
        rest : list of float
            Per cut, what is still to come at this price, or less.
        low, high : int
            Bytes of the largest stage: less counts as `low`.
        """

    def smallest(self, limit: int, keep: int, lean: bool) -> list[Found]:
        """Paths that no other beats in stage and pinned bytes, those with the fewest bytes first. Lean: made
        of groups smaller than they must be, for an easier packing; else these are rather fast."""
