from darkfuse.plan.search._ways import Ways
from darkfuse.plan.search.option import Option

# milliseconds, stage bytes, pinned bytes, and numbers of the ways it is made of
Found = tuple[float, int, int, list[int]]

class Paths:
    """Ways from cut to cut: how the whole network may be run. `many` is how many ways there are, `count` the
    last cut; the first is 0."""

    many: int

    def __init__(self, count: int, ways: Ways) -> None: ...

    def option(self, number: int) -> Option:
        """A way by its number."""

    def span(self, a: int, b: int) -> range:
        """Numbers of the ways from one cut to another, fastest first."""

    def floors(self) -> list[int]:
        """Per cut, the least the largest stage from there to the end can be (minimax)."""

    def rest(self, price: float, limit: int, high: int, easy: int) -> tuple[list[float], float, int, int]:
        """What is cheapest with a pinned byte at `price`, by ways of which each fits `limit` bytes, `high` of
        them in its stage (and `easy`, where there is a smaller way): per cut, what is still to come;
        milliseconds, largest stage and pinned bytes of the whole path (which may take more than `limit`)."""

    def labels(self, limit: int, keep: int, price: float, slowest: float, rest: list[float], low: int,
               high: int, easy: int) -> list[Found]:
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
            `rest(price, limit, high, easy)`, or zeros.
        low, high : int
            Bytes of the largest stage: less counts as `low`.
        easy : int
            Bytes of a stage, unless all other ways between its cuts take as many of some kind.
        """

    def smallest(self, limit: int, keep: int, lean: bool) -> list[Found]:
        """Paths that no other beats in stage and pinned bytes, those with the fewest bytes first. Lean: made
        of groups smaller than they must be, for an easier packing; else these are rather fast."""
