"""[activation]: a function of every value, as a layer of its own."""

from __future__ import annotations

from darkfuse.graph.activations import activation
from darkfuse.graph.ir import Options, Window
from darkfuse.graph.registry import layer
from darkfuse.host.record import dataclass
from darkfuse.model.cfg import Section


@layer("activation", short="act")
@dataclass(frozen=True)
class ActivationOptions(Options):
    """Which function."""

    activation: str

    @classmethod
    def parse(cls, section: Section, index: int) -> ActivationOptions:
        """Read the section."""
        return cls(activation(section, "linear"))

    def window(self) -> Window:
        """Value by value."""
        return Window(1, 1, 0)
