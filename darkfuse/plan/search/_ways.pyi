from collections.abc import Iterable

from darkfuse.plan.search.option import Option

class Ways:
    """Ways to run each span of pieces [a, b) as one group: those that no other beats in stage bytes, pinned
    bytes and time at once. There are ten thousands of a network, of which a plan takes some ten."""

    def add(self, a: int, b: int, options: Iterable[Option]) -> None:
        """Options of a span beside those that are there."""

    def within(self, limit: int) -> Ways:
        """Those that take no more bytes, for others to be added to."""
