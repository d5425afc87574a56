"""[softmax]: over the flattened map, in `groups` equal runs."""

from __future__ import annotations

from darkfuse.graph.ir import Options, Shape
from darkfuse.graph.registry import layer
from darkfuse.host.record import dataclass, field
from darkfuse.model.cfg import Section


@layer("softmax")
@dataclass(frozen=True)
class SoftmaxOptions(Options):
    """exp((x - max) / temperature) over its sum, each of `groups` runs of values on its own.

    With `tree`, the file of a word tree, each set of siblings is such a run: this is done where classes are
    read (`detect/classes.py`), and while a picture runs the map passes through.
    """

    groups: int
    temperature: float
    tree: str = field(default="", repr=False)

    @classmethod
    def parse(cls, section: Section, index: int) -> SoftmaxOptions:
        """Read the section."""
        section.refuse("spatial")
        return cls(section.integer("groups", 1, 1), section.number("temperature", 1.0, 1e-6, 1e6),
                   section.text("tree", ""))

    def output(self, inputs: tuple[Shape, ...], section: Section) -> Shape:
        """Shape unchanged; the groups must come out whole."""
        if inputs[0].values % self.groups:
            section.fail(f"{inputs[0].values} values do not divide into groups={self.groups}", "groups")
        return inputs[0]

    @property
    def passes(self) -> bool:
        """With a word tree."""
        return bool(self.tree)
