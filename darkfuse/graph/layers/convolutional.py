"""[convolutional]: grouped, dilated, optionally batch-normalised convolution with an activation."""

from __future__ import annotations

from darkfuse.graph.activations import activation
from darkfuse.graph.ir import MAX_VALUES, Options, Shape, WeightLayout, Window
from darkfuse.graph.layers.strides import strides
from darkfuse.graph.registry import layer
from darkfuse.host.record import dataclass, field
from darkfuse.model.cfg import Section


@layer("convolutional", short="conv")
@dataclass(frozen=True)
class ConvOptions(Options):
    """`stride_x` is the stride along rows where it is another than `stride`, the one from row to row; else 0.

    `share_index` >= 0 is the earlier layer whose biases, batch normalisation and kernels this one uses too.
    `xnor`, `binary` and `bin_output` are passed over: the network runs on its weights as they are stored.

    `pad` is in pixels a side, as it acts: Darknet's `size/2` (pad=1) or `padding=`, times the dilation.

    Batch normalisation is (x - mean) / (sqrt(variance + e) + f) * scale + bias, with e and f the dialect's.
    """

    filters: int
    size: int
    stride: int
    pad: int
    dilation: int
    groups: int
    activation: str
    batch_normalize: bool
    stride_x: int = field(default=0, repr=False)
    share_index: int = field(default=-1, repr=False)

    @classmethod
    def parse(cls, section: Section, index: int) -> ConvOptions:
        """Read the section; keys of Darknet branches that change the arithmetic are refused."""
        size = section.integer("size", 1, 1, 255)
        stride, stride_x = strides(section)
        shared = -1
        if section.find("share_index"):
            shared = section.integer("share_index", None, -(2**31), 2**31 - 1)
            shared += index if shared < 0 else 0
            if not 0 <= shared < index:
                section.fail(f"share_index names layer {shared}, which does not come before layer {index}",
                             "share_index")
        # Darknet ignores the dilation of a 1x1 kernel.
        dilation = section.integer("dilation", 1, 1, 255) if size > 1 else 1
        padding = section.integer("padding", 0, 0, 255)
        if section.integer("pad", 0, 0, 255):
            padding = size // 2
        if dilation > 1 and padding * 2 != size - 1:
            section.fail(f"dilation={dilation} needs an odd size and pad=1: Darknet's own output size is "
                         "wrong otherwise", "dilation")
        section.refuse("flipped", "antialiasing", "deform", "sway", "rotate", "stretch", "stretch_sway",
                       "coordconv", "dontloadscales")
        return cls(
            filters=section.integer("filters", None, 1, 1 << 16),
            size=size,
            stride=stride,
            pad=padding * dilation,
            dilation=dilation,
            groups=section.integer("groups", 1, 1, 1 << 16),
            activation=activation(section, "logistic"),
            batch_normalize=section.integer("batch_normalize", 0, 0, 1) == 1,
            stride_x=stride_x,
            share_index=shared,
        )

    def output(self, inputs: tuple[Shape, ...], section: Section) -> Shape:
        """(in + 2*pad - extent) / stride + 1, rounded down."""
        source = inputs[0]
        for key, count in (("channels", source.c), ("filters", self.filters)):
            if count % self.groups:
                section.fail(f"{count} {key} do not divide into groups={self.groups}", "groups")
        extent = self.window().extent
        height, width = source.h + 2 * self.pad - extent, source.w + 2 * self.pad - extent
        if height < 0 or width < 0:
            section.fail(f"a {self.size}x{self.size} window does not fit the {source} map before it", "size")
        if self.filters * (source.c // self.groups) * self.size**2 > MAX_VALUES:
            section.fail(f"filters={self.filters} of {source.c} channels make too many weights", "filters")
        return Shape(self.filters, height // self.stride + 1, width // (self.stride_x or self.stride) + 1)

    def weights(self, inputs: tuple[Shape, ...]) -> WeightLayout:
        """biases, then scales, means and variances if batch_normalize, then the kernels."""
        norm = self.filters if self.batch_normalize else 0
        kernels = self.filters * (inputs[0].c // self.groups) * self.size**2
        return WeightLayout(self.filters, norm, norm, norm, kernels)

    def macs(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        """Filters x taps x output pixels; taps that fall on padding are counted, as Darknet does."""
        return output.values * (inputs[0].c // self.groups) * self.size**2

    def window(self) -> Window:
        """Rows y*stride - pad + t*dilation."""
        return Window(self.size, self.stride, self.pad, self.dilation)

    def columns_window(self) -> Window:
        """Columns x*stride_x - pad + t*dilation."""
        return Window(self.size, self.stride_x or self.stride, self.pad, self.dilation)
