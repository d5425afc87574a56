"""[cost]: the training loss; at inference the map passes through untouched."""

from __future__ import annotations

from darkfuse.graph.ir import Options
from darkfuse.graph.registry import layer
from darkfuse.host.record import dataclass


@layer("cost")
@dataclass(frozen=True)
class CostOptions(Options):
    """Nothing that matters at inference."""

    @property
    def passes(self) -> bool:
        """A loss is for training."""
        return True
