"""[Gaussian_yolo]: yolo boxes that say how sure they are (decoding lives in `detect/gaussian_yolo.py`)."""

from __future__ import annotations

from darkfuse.graph.ir import Options, Shape
from darkfuse.graph.layers.yolo import picked_anchors
from darkfuse.graph.registry import layer
from darkfuse.host.record import dataclass
from darkfuse.model.cfg import Section

POINTS = ("center", "left_top", "right_bottom")


@layer("Gaussian_yolo", short="gyolo")
@dataclass(frozen=True)
class GaussianYoloOptions(Options):
    """As [yolo], with a standard deviation after each of x, y, w and h.

    `yolo_point` says which point of a box x and y are: its centre, or a corner.
    """

    classes: int
    anchors: tuple[tuple[float, float], ...]
    mask: tuple[int, ...]
    scale_x_y: float
    yolo_point: str

    @classmethod
    def parse(cls, section: Section, index: int) -> GaussianYoloOptions:
        """Read the section; without `mask` every anchor is used."""
        anchors, mask = picked_anchors(section)
        section.refuse("map")
        point = section.text("yolo_point", "center")
        if point not in POINTS:
            section.fail(f"yolo_point={point} is not one of {', '.join(POINTS)}", "yolo_point")
        return cls(section.integer("classes", None, 1, 1 << 16), anchors, mask,
                   section.number("scale_x_y", 1.0, 0.01, 100.0), point)

    def output(self, inputs: tuple[Shape, ...], section: Section) -> Shape:
        """Shape unchanged; its channels must be len(mask) * (8 + 1 + classes)."""
        wanted = len(self.anchors) * (9 + self.classes)
        if inputs[0].c != wanted:
            section.fail(f"[Gaussian_yolo] with {len(self.anchors)} anchors and classes={self.classes} needs "
                         f"{wanted} channels, the layer before it gives {inputs[0].c}", "classes")
        return inputs[0]

    @property
    def passes(self) -> bool:
        """Boxes are read from the map before."""
        return True
