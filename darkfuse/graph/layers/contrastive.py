"""[contrastive]: a loss that only training reads."""

from __future__ import annotations

from darkfuse.graph.ir import Options
from darkfuse.graph.registry import layer
from darkfuse.host.record import dataclass


@layer("contrastive")
@dataclass(frozen=True)
class ContrastiveOptions(Options):
    """The contrastive loss of AlexeyAB's re-identification networks; nothing is computed at inference."""

    @property
    def passes(self) -> bool:
        """At inference."""
        return True
