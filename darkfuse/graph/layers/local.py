"""[local]: a convolution whose filters are others at every place of the map."""

from __future__ import annotations

from darkfuse.graph.activations import activation
from darkfuse.graph.ir import MAX_VALUES, Options, Shape, WeightLayout
from darkfuse.graph.registry import layer
from darkfuse.host.record import dataclass
from darkfuse.model.cfg import Section


@layer("local")
@dataclass(frozen=True)
class LocalOptions(Options):
    """With `pad` the window of output (y, x) begins one pixel before (y*stride, x*stride), else right there.

    Darknet computes the number of places from (side - 1) / stride with pad and (side - size) / stride
    without; values outside the map count as zeros.
    """

    filters: int
    size: int
    stride: int
    pad: bool
    activation: str

    @classmethod
    def parse(cls, section: Section, index: int) -> LocalOptions:
        """Read the section."""
        if section.integer("pad", 0, 0, 1) and section.integer("size", None, 1, 255) != 3:
            section.fail("pad=1 in [local] needs size=3: Darknet's own output size is wrong otherwise", "pad")
        return cls(section.integer("filters", None, 1, 1 << 16), section.integer("size", None, 1, 255),
                   section.integer("stride", 1, 1, 255), section.integer("pad", 0, 0, 1) == 1,
                   activation(section, "logistic"))

    def output(self, inputs: tuple[Shape, ...], section: Section) -> Shape:
        """(filters, places down, places across)."""
        source, less = inputs[0], 1 if self.pad else self.size
        if min(source.h, source.w) < less:
            section.fail(f"a {self.size}x{self.size} window does not fit the {source} map before it", "size")
        out = Shape(self.filters, (source.h - less) // self.stride + 1, (source.w - less) // self.stride + 1)
        if out.values * source.c * self.size**2 > MAX_VALUES:
            section.fail(f"filters={self.filters} at {out.h * out.w} places make too many weights", "filters")
        return out

    def weights(self, inputs: tuple[Shape, ...]) -> WeightLayout:
        """biases (filters, rows, columns), then kernels (rows, columns, filters, channels, size, size)."""
        source, less = inputs[0], 1 if self.pad else self.size
        places = ((source.h - less) // self.stride + 1) * ((source.w - less) // self.stride + 1)
        count = self.filters * places
        return WeightLayout(count, 0, 0, 0, count * source.c * self.size**2)

    def macs(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        """One per weight."""
        return output.values * inputs[0].c * self.size**2
