"""[region]: YOLOv2's detection layer (decoding lives in `detect/region.py`)."""

from __future__ import annotations

from darkfuse.graph.ir import Options, Shape
from darkfuse.graph.registry import layer
from darkfuse.host.record import dataclass, field
from darkfuse.model.cfg import Section


@layer("region", short="detection")
@dataclass(frozen=True)
class RegionOptions(Options):
    """`anchors` are (width, height) pairs in cells of this map, one per box a cell predicts.

    `tree` is the file of a word tree whose words the classes are (YOLO9000), '' without one. Darknet reads
    `map=` of this section in training only, to number the classes of labels: it is passed over.
    """

    classes: int
    anchors: tuple[tuple[float, float], ...]
    softmax: bool
    background: bool
    tree: str = field(default="", repr=False)

    @classmethod
    def parse(cls, section: Section, index: int) -> RegionOptions:
        """Read the section; extra coordinates are refused."""
        if section.integer("coords", 4) != 4:
            section.fail("coords other than 4 in [region] is not supported", "coords")
        count = section.integer("num", None, 1, 256)
        values = section.numbers("anchors", 0.0, 1e6)
        if len(values) < 2 * count:
            section.fail(f"num={count} needs {2 * count} anchors, found {len(values)}", "anchors")
        return cls(
            classes=section.integer("classes", None, 1, 1 << 16),
            anchors=tuple(zip(values[0 : 2 * count : 2], values[1 : 2 * count : 2])),
            softmax=section.integer("softmax", 0, 0, 1) == 1,
            background=section.integer("background", 0, 0, 1) == 1,
            tree=section.text("tree", ""),
        )

    def output(self, inputs: tuple[Shape, ...], section: Section) -> Shape:
        """Shape unchanged; its channels must be num * (4 + 1 + classes)."""
        wanted = len(self.anchors) * (5 + self.classes)
        if inputs[0].c != wanted:
            section.fail(f"[region] with num={len(self.anchors)} classes={self.classes} needs {wanted} "
                         f"channels, the layer before it gives {inputs[0].c}", "classes")
        return inputs[0]

    @property
    def passes(self) -> bool:
        """Boxes are read from the map before."""
        return True
