"""[scale_channels]: an earlier map times one number a channel (squeeze and excitation), or one a pixel."""

from __future__ import annotations

from darkfuse.graph.activations import activation
from darkfuse.graph.ir import Options, Shape
from darkfuse.graph.layers.sources import absolute
from darkfuse.graph.registry import layer
from darkfuse.host.record import dataclass
from darkfuse.model.cfg import Section


@layer("scale_channels", short="scale")
@dataclass(frozen=True)
class ScaleChannelsOptions(Options):
    """`out = activation(map of layer source * gate)`, where the previous layer is the gate.

    The gate is (channels, 1, 1), or with `scale_wh` (1, height, width); the output has the shape of the map.
    """

    source: int
    scale_wh: bool
    activation: str

    @classmethod
    def parse(cls, section: Section, index: int) -> ScaleChannelsOptions:
        """Read the section and make `from` absolute."""
        return cls(absolute(section, index), section.integer("scale_wh", 0, 0, 1) == 1,
                   activation(section, "linear"))

    def producers(self, index: int) -> tuple[int, ...]:
        """The gate (the previous layer), then the map."""
        return (index - 1, self.source)

    def output(self, inputs: tuple[Shape, ...], section: Section) -> Shape:
        """Shape of the map; the gate must fit it."""
        gate, scaled = inputs
        wanted = Shape(1, scaled.h, scaled.w) if self.scale_wh else Shape(scaled.c, 1, 1)
        if gate != wanted:
            section.fail(f"scale_channels of a {scaled} map needs a {wanted} map before it, not {gate}",
                         "from")
        return scaled
