"""[reorg]: moves pixels into channels, in the order Darknet's `reorg_cpu` does (not space-to-depth)."""

from __future__ import annotations

from darkfuse.graph.ir import Options, Shape
from darkfuse.graph.registry import layer
from darkfuse.host.record import dataclass
from darkfuse.model.cfg import Section


@layer("reorg")
@dataclass(frozen=True)
class ReorgOptions(Options):
    """The flat buffer is reread as (C/s^2, H*s, W*s).

    Flat output position (k, j, i), counted in the *input's* dimensions, takes the value at
    (k mod C/s^2, j*s + (k div C/s^2) div s, i*s + (k div C/s^2) mod s) of that reading; the result is then
    called (C*s^2, H/s, W/s) without moving anything further.
    """

    stride: int

    @classmethod
    def parse(cls, section: Section, index: int) -> ReorgOptions:
        """Read the section."""
        if section.integer("extra", 0):
            section.fail("extra= in [reorg] is not supported: it makes the Go player's move to pass", "extra")
        section.refuse("reverse", "flatten")
        return cls(section.integer("stride", 1, 1, 255))

    def output(self, inputs: tuple[Shape, ...], section: Section) -> Shape:
        """(C*s^2, H/s, W/s); all three must come out whole."""
        source, stride = inputs[0], self.stride
        if source.c % stride**2 or source.h % stride or source.w % stride:
            section.fail(f"reorg stride={stride} needs channels divisible by {stride**2} and sides by "
                         f"{stride}, not {source}", "stride")
        return Shape(source.c * stride**2, source.h // stride, source.w // stride)
