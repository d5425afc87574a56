"""[route]: concatenation on channels, or (AlexeyAB) a slice of each input's channels."""

from __future__ import annotations

from darkfuse.graph.ir import Options, Shape
from darkfuse.graph.registry import layer
from darkfuse.host.record import dataclass
from darkfuse.model.cfg import Section


@layer("route")
@dataclass(frozen=True)
class RouteOptions(Options):
    """`layers` are absolute indices. Of every input, channels [group_id*c/groups, (group_id+1)*c/groups)."""

    layers: tuple[int, ...]
    groups: int
    group_id: int

    @classmethod
    def parse(cls, section: Section, index: int) -> RouteOptions:
        """Read the section and make its indices absolute (negative ones count back from this layer)."""
        written = section.integers("layers")
        absolute = tuple(i if i >= 0 else index + i for i in written)
        for number, target in zip(written, absolute):
            if not 0 <= target < index:
                section.fail(f"route to nowhere: layers={number} in layer {index} means layer {target}, "
                             f"but only 0..{index - 1} come before it" if index else
                             "route to nowhere: no layer comes before it", "layers")
        groups = section.integer("groups", 1, 1, 1 << 16)
        section.refuse("stream")
        return cls(absolute, groups, section.integer("group_id", 0, 0, groups - 1))

    def producers(self, index: int) -> tuple[int, ...]:
        """The layers named."""
        return self.layers

    def output(self, inputs: tuple[Shape, ...], section: Section) -> Shape:
        """Channels add up; rows and columns must agree."""
        first = inputs[0]
        for number, shape in zip(self.layers, inputs):
            if (shape.h, shape.w) != (first.h, first.w):
                section.fail(f"route joins maps of different size: layer {self.layers[0]} is {first}, "
                             f"layer {number} is {shape}", "layers")
            if shape.c % self.groups:
                section.fail(f"{shape.c} channels of layer {number} do not divide into groups={self.groups}",
                             "groups")
        return Shape(sum(shape.c // self.groups for shape in inputs), first.h, first.w)
