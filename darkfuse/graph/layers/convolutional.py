"""[convolutional]: grouped, dilated, optionally batch-normalised convolution with an activation."""

from __future__ import annotations

from dataclasses import dataclass

from darkfuse.graph.activations import activation
from darkfuse.graph.ir import MAX_VALUES, Options, Shape, WeightLayout, Window
from darkfuse.graph.registry import layer
from darkfuse.model.cfg import Section


@layer("convolutional", "conv", short="conv")
@dataclass(frozen=True)
class ConvOptions(Options):
    """`pad` is in pixels a side, as it acts: Darknet's `size/2` (pad=1) or `padding=`, times the dilation.

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

    @classmethod
    def parse(cls, section: Section, index: int) -> ConvOptions:
        """Read the section; keys of Darknet branches that change the arithmetic are refused."""
        size = section.integer("size", 1, 1, 255)
        stride = section.integer("stride", 1, 1, 255)
        for key in ("stride_x", "stride_y"):
            if section.integer(key, stride, 1, 255) != stride:
                section.fail(f"{key} differs from stride={stride}: uneven strides are not supported", key)
        # Darknet ignores the dilation of a 1x1 kernel.
        dilation = section.integer("dilation", 1, 1, 255) if size > 1 else 1
        padding = section.integer("padding", 0, 0, 255)
        if section.integer("pad", 0, 0, 255):
            padding = size // 2
        if dilation > 1 and padding * 2 != size - 1:
            section.fail(f"dilation={dilation} needs an odd size and pad=1: Darknet's own output size is "
                         "wrong otherwise", "dilation")
        section.refuse("binary", "xnor", "flipped", "antialiasing", "share_index", "deform", "sway", "rotate",
                       "stretch", "stretch_sway", "coordconv", "assisted_excitation", "dontloadscales")
        return cls(
            filters=section.integer("filters", None, 1, 1 << 16),
            size=size,
            stride=stride,
            pad=padding * dilation,
            dilation=dilation,
            groups=section.integer("groups", 1, 1, 1 << 16),
            activation=activation(section, "logistic"),
            batch_normalize=section.integer("batch_normalize", 0, 0, 1) == 1,
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
        return Shape(self.filters, height // self.stride + 1, width // self.stride + 1)

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
