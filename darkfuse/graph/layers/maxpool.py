"""[maxpool]: maximum over a window; cells outside the map do not take part."""

from __future__ import annotations

from darkfuse.graph.ir import Options, Shape, Window
from darkfuse.graph.layers.strides import strides
from darkfuse.graph.registry import layer
from darkfuse.host.record import dataclass, field
from darkfuse.model.cfg import Section


@layer("maxpool", short="max")
@dataclass(frozen=True)
class MaxpoolOptions(Options):
    """`padding` is the total over both sides; half of it, rounded down, comes before the first row.

    `stride_x` is the stride along rows where it is another than `stride`, the one from row to row; else 0.
    Darknet's default, size - 1, keeps the map's size at stride 1 (the tiny models rely on it).
    """

    size: int
    stride: int
    padding: int
    stride_x: int = field(default=0, repr=False)

    @classmethod
    def parse(cls, section: Section, index: int) -> MaxpoolOptions:
        """Read the section; `size` defaults to `stride` and `padding` to `size - 1`."""
        stride, stride_x = strides(section)
        section.refuse("maxpool_depth", "antialiasing")
        size = section.integer("size", stride, 1, 255)
        return cls(size, stride, section.integer("padding", size - 1, 0, 510), stride_x)

    def output(self, inputs: tuple[Shape, ...], section: Section) -> Shape:
        """(in + padding - size) / stride + 1, rounded down."""
        source = inputs[0]
        sides = []
        for length, stride in ((source.h, self.stride), (source.w, self.stride_x or self.stride)):
            count = (length + self.padding - self.size) // stride + 1
            last = (count - 1) * stride - self.padding // 2
            if count < 1 or self.padding // 2 >= self.size or last >= length:
                section.fail(f"size={self.size} stride={self.stride} padding={self.padding} leaves windows "
                             f"without a pixel of the {source} map", "padding")
            sides.append(count)
        return Shape(source.c, sides[0], sides[1])

    def window(self) -> Window:
        """Rows y*stride - padding/2 onwards."""
        return Window(self.size, self.stride, self.padding // 2)

    def columns_window(self) -> Window:
        """Columns x*stride_x - padding/2 onwards."""
        return Window(self.size, self.stride_x or self.stride, self.padding // 2)
