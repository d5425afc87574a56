"""[softmax]: over the flattened map, in `groups` equal runs."""

from __future__ import annotations

from dataclasses import dataclass

from darkfuse.graph.ir import Options, Shape
from darkfuse.graph.registry import layer
from darkfuse.model.cfg import Section


@layer("softmax", "soft")
@dataclass(frozen=True)
class SoftmaxOptions(Options):
    """exp((x - max) / temperature) over its sum, each of `groups` runs of values on its own."""

    groups: int
    temperature: float

    @classmethod
    def parse(cls, section: Section, index: int) -> SoftmaxOptions:
        """Read the section; a softmax tree is refused."""
        section.refuse("tree", "spatial")
        return cls(section.integer("groups", 1, 1), section.number("temperature", 1.0, 1e-6, 1e6))

    def output(self, inputs: tuple[Shape, ...], section: Section) -> Shape:
        """Shape unchanged; the groups must come out whole."""
        if inputs[0].values % self.groups:
            section.fail(f"{inputs[0].values} values do not divide into groups={self.groups}", "groups")
        return inputs[0]
