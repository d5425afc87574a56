"""[sam]: spatial attention, an earlier map times the previous one, value by value."""

from __future__ import annotations

from darkfuse.graph.activations import activation
from darkfuse.graph.ir import Options, Shape
from darkfuse.graph.layers.sources import absolute
from darkfuse.graph.registry import layer
from darkfuse.host.record import dataclass
from darkfuse.model.cfg import Section


@layer("sam")
@dataclass(frozen=True)
class SamOptions(Options):
    """`out = activation(map of layer source * previous map)`; both maps have one shape."""

    source: int
    activation: str

    @classmethod
    def parse(cls, section: Section, index: int) -> SamOptions:
        """Read the section and make `from` absolute."""
        return cls(absolute(section, index), activation(section, "linear"))

    def producers(self, index: int) -> tuple[int, ...]:
        """The previous layer (the attention), then the map."""
        return (index - 1, self.source)

    def output(self, inputs: tuple[Shape, ...], section: Section) -> Shape:
        """Shape of both."""
        if inputs[0] != inputs[1]:
            section.fail(f"sam multiplies maps of one shape, not {inputs[1]} and {inputs[0]}", "from")
        return inputs[1]
