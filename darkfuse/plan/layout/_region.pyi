from collections.abc import Collection, Iterable, Sequence

from darkfuse.plan.layout.region import Link, Step

Span = tuple[int, int]
Found = tuple[tuple[Span, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]

def read(steps: Sequence[Step], spans: Iterable[Span]) -> list[Span]:
    """Follow `steps` back from each of some non-empty spans of outputs."""

def axes(lengths: Sequence[int], links: Sequence[Link], tiles: int, cached: bool,
         whole: Collection[int]) -> list[Found]:
    """`region.solve`; each found as a `region.Axis`."""
