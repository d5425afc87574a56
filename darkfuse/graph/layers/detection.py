"""[detection]: YOLOv1's detection layer (decoding lives in `detect/detection.py`)."""

from __future__ import annotations

from darkfuse.graph.ir import Options, Shape
from darkfuse.graph.registry import layer
from darkfuse.host.record import dataclass
from darkfuse.model.cfg import Section


@layer("detection")
@dataclass(frozen=True)
class DetectionOptions(Options):
    """The values are flat: class scores of every cell, then objectness of every box, then its (x, y, w, h).

    A picture is cut into side x side cells of `num` boxes each; `sqrt` says that w and h are square roots.
    """

    classes: int
    side: int
    num: int
    sqrt: bool
    softmax: bool

    @classmethod
    def parse(cls, section: Section, index: int) -> DetectionOptions:
        """Read the section."""
        if section.integer("coords", 1) != 4:
            section.fail("coords other than 4 in [detection] is not supported", "coords")
        return cls(
            classes=section.integer("classes", 1, 1, 1 << 16),
            side=section.integer("side", 7, 1, 1 << 10),
            num=section.integer("num", 1, 1, 256),
            sqrt=section.integer("sqrt", 0, 0, 1) == 1,
            softmax=section.integer("softmax", 0, 0, 1) == 1,
        )

    def output(self, inputs: tuple[Shape, ...], section: Section) -> Shape:
        """Shape unchanged; side^2 * (num * 5 + classes) values in all."""
        wanted = self.side**2 * (self.num * 5 + self.classes)
        if inputs[0].values != wanted:
            section.fail(f"[detection] with side={self.side} num={self.num} classes={self.classes} needs "
                         f"{wanted} values, the layer before it gives {inputs[0].values}", "side")
        return inputs[0]

    @property
    def passes(self) -> bool:
        """Boxes are read from the values before."""
        return True
