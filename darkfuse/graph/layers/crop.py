"""[crop]: the middle of the picture, and its values from 0..1 to -1..1."""

from __future__ import annotations

from darkfuse.graph.ir import Options, Shape, Window
from darkfuse.graph.registry import layer
from darkfuse.host.record import dataclass
from darkfuse.model.cfg import Section
from darkfuse.model.dialect import Dialect


@layer("crop")
@dataclass(frozen=True)
class CropOptions(Options):
    """What Darknet's crop does outside training: no flip, angle or change of colours.

    `out[k, j, i] = in[k, j + top, i + left] * 2 - 1`, or without the `* 2 - 1` where `noadjust=1`; top and
    left are half of what is cut off, rounded down.
    """

    crop_height: int
    crop_width: int
    noadjust: bool
    top: int = 0
    left: int = 0

    @classmethod
    def parse(cls, section: Section, index: int) -> CropOptions:
        """Read the section; `top` and `left` follow from the map that is cropped."""
        return cls(section.integer("crop_height", 1, 1, 1 << 16),
                   section.integer("crop_width", 1, 1, 1 << 16),
                   section.integer("noadjust", 0, 0, 1) == 1)

    def fitted(self, inputs: tuple[Shape, ...], dialect: Dialect) -> CropOptions:
        """With the offsets for this input."""
        source = inputs[0]
        return CropOptions(self.crop_height, self.crop_width, self.noadjust,
                           (source.h - self.crop_height) // 2, (source.w - self.crop_width) // 2)

    def output(self, inputs: tuple[Shape, ...], section: Section) -> Shape:
        """(channels, crop_height, crop_width); the map must be as large."""
        source = inputs[0]
        if self.crop_height > source.h or self.crop_width > source.w:
            section.fail(f"cannot crop {self.crop_width}x{self.crop_height} out of a {source} map",
                         "crop_height")
        return Shape(source.c, self.crop_height, self.crop_width)

    def window(self) -> Window:
        """One row, `top` further down."""
        return Window(1, 1, -self.top)

    def columns_window(self) -> Window:
        """One column, `left` further right."""
        return Window(1, 1, -self.left)
