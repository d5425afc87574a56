"""[avgpool]: mean of each whole channel; the output is one pixel."""

from __future__ import annotations

from darkfuse.graph.ir import Options, Shape
from darkfuse.graph.registry import layer
from darkfuse.host.record import dataclass
from darkfuse.model.cfg import Section


@layer("avgpool", short="avg")
@dataclass(frozen=True)
class AvgpoolOptions(Options):
    """Nothing to choose."""

    def output(self, inputs: tuple[Shape, ...], section: Section) -> Shape:
        """(channels, 1, 1)."""
        return Shape(inputs[0].c, 1, 1)
