"""[empty], [silence]: a place that does nothing."""

from __future__ import annotations

from darkfuse.graph.ir import Options
from darkfuse.graph.registry import layer
from darkfuse.host.record import dataclass


@layer("empty")
@dataclass(frozen=True)
class EmptyOptions(Options):
    """A placeholder; the map before it goes on unchanged."""

    @property
    def passes(self) -> bool:
        """Always."""
        return True
