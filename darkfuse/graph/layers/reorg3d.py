"""[reorg3d]: AlexeyAB's reorg, a true space-to-depth."""

from __future__ import annotations

from darkfuse.graph.ir import Options, Shape, Window
from darkfuse.graph.registry import layer
from darkfuse.host.record import dataclass
from darkfuse.model.cfg import Section


@layer("reorg3d")
@dataclass(frozen=True)
class Reorg3dOptions(Options):
    """Every `stride` x `stride` square of pixels becomes one pixel of stride^2 times the channels.

    `out[k, j, i] = in[k mod C, j*s + (k div C) div s, i*s + (k div C) mod s]`, C the input's channels: what
    the fork's program computes (unlike [reorg], which rereads the flat buffer).
    """

    stride: int

    @classmethod
    def parse(cls, section: Section, index: int) -> Reorg3dOptions:
        """Read the section."""
        section.refuse("reverse")
        return cls(section.integer("stride", 1, 1, 255))

    def output(self, inputs: tuple[Shape, ...], section: Section) -> Shape:
        """(C*s^2, H/s, W/s); the sides must come out whole."""
        source, stride = inputs[0], self.stride
        if source.h % stride or source.w % stride:
            section.fail(f"reorg3d stride={stride} needs sides divisible by {stride}, not {source}", "stride")
        return Shape(source.c * stride**2, source.h // stride, source.w // stride)

    def window(self) -> Window:
        """The square of pixels."""
        return Window(self.stride, self.stride, 0)
