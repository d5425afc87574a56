"""One way to run a span of pieces as one group: what it costs, and everything it is made of."""
from __future__ import annotations

from typing import NamedTuple

from darkfuse.plan.types import LayerPlan


class Option(NamedTuple):
    """One way to run a span of pieces.

    stage : bytes in the arena while the group runs, all maps alive then included;  pinned : bytes kept over
    frames;  ms : milliseconds;  recipe : everything a `Group` is made of (see `Candidates.group`)
    """

    stage: int
    pinned: int
    ms: float
    recipe: Recipe


class Recipe(NamedTuple):
    """Pieces [a, b), and how; `single` is how the layer runs when the span is one untiled piece:
    its plan, or that of a layer like it. `streams`: so many of the layers, those with most weights, are
    streamed for every tile; `lean`: in the fewest bytes."""

    a: int
    b: int
    grid: tuple[int, int]
    cache: str
    kernels: str  # 'fast': the fastest kernel of each layer;  'direct'
    residency: str
    single: LayerPlan | None = None
    streams: int = 0
    lean: bool = False
