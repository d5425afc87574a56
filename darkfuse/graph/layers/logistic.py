"""[logistic]: the logistic function of every value; its loss is for training."""

from __future__ import annotations

from darkfuse.graph.ir import Options, Window
from darkfuse.graph.registry import layer
from darkfuse.host.record import dataclass
from darkfuse.model.cfg import Section


@layer("logistic")
@dataclass(frozen=True)
class LogisticOptions(Options):
    """Nothing to choose."""

    activation: str = "logistic"

    @classmethod
    def parse(cls, section: Section, index: int) -> LogisticOptions:
        """There is nothing to read."""
        return cls()

    def window(self) -> Window:
        """Value by value."""
        return Window(1, 1, 0)
