"""[dropout]: a training device; at inference the map passes through untouched."""

from __future__ import annotations

from dataclasses import dataclass

from darkfuse.graph.ir import Options
from darkfuse.graph.registry import layer


@layer("dropout")
@dataclass(frozen=True)
class DropoutOptions(Options):
    """Nothing that matters at inference."""

    @property
    def passes(self) -> bool:
        """Dropout is for training."""
        return True
