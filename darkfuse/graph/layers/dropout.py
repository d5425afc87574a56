"""[dropout]: a training device; at inference the map passes through untouched."""

from __future__ import annotations

from darkfuse.graph.ir import Options
from darkfuse.graph.registry import layer
from darkfuse.host.record import dataclass


@layer("dropout")
@dataclass(frozen=True)
class DropoutOptions(Options):
    """Nothing that matters at inference."""

    @property
    def passes(self) -> bool:
        """Dropout is for training."""
        return True
