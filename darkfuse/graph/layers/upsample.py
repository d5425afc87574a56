"""[upsample]: each pixel repeated stride x stride times, times `scale`."""

from __future__ import annotations

from darkfuse.graph.ir import Options, Shape
from darkfuse.graph.registry import layer
from darkfuse.host.record import dataclass
from darkfuse.model.cfg import Section


@layer("upsample")
@dataclass(frozen=True)
class UpsampleOptions(Options):
    """Nearest neighbour: output row y is input row y // stride."""

    stride: int
    scale: float

    @classmethod
    def parse(cls, section: Section, index: int) -> UpsampleOptions:
        """Read the section; Darknet's negative stride (shrinking by sums) is refused."""
        return cls(section.integer("stride", 2, 1, 255), section.number("scale", 1.0))

    def output(self, inputs: tuple[Shape, ...], section: Section) -> Shape:
        """Sides times stride."""
        source = inputs[0]
        return Shape(source.c, source.h * self.stride, source.w * self.stride)
