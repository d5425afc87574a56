"""[yolo]: the detection layer of YOLOv3 and later (decoding lives in `detect/yolo.py`)."""

from __future__ import annotations

from darkfuse.graph.ir import UNPLANNED, Options, Shape
from darkfuse.graph.registry import layer
from darkfuse.host.record import dataclass, field
from darkfuse.model.cfg import Section
from darkfuse.model.dialect import NMS_KINDS

# Half of an anchor that `num=` promises and `anchors=` does not list: what Darknet fills its table with.
MISSING_ANCHOR = 0.5


@layer("yolo")
@dataclass(frozen=True)
class YoloOptions(Options):
    """`anchors` are (width, height) pairs in pixels of the network input, those `mask` picks, in its order.

    `scale_x_y` and `new_coords` are AlexeyAB's: the first stretches x and y about the middle of a cell, the
    second takes the values as they come (the convolution before already applied the logistic) and squares
    width and height instead of raising e to them. So are `nms_kind` ('plain' where the cfg says nothing or
    'default') and `beta_nms`, which choose how boxes are thinned out.
    """

    classes: int
    anchors: tuple[tuple[float, float], ...]
    mask: tuple[int, ...]
    scale_x_y: float
    new_coords: bool
    nms_kind: str = field(default="plain", repr=False, metadata=UNPLANNED)
    beta_nms: float = field(default=0.6, repr=False, metadata=UNPLANNED)

    @classmethod
    def parse(cls, section: Section, index: int) -> YoloOptions:
        """Read the section; without `mask` every anchor is used."""
        anchors, mask = picked_anchors(section)
        section.refuse("map")
        return cls(
            classes=section.integer("classes", None, 1, 1 << 16),
            anchors=anchors,
            mask=mask,
            scale_x_y=section.number("scale_x_y", 1.0, 0.01, 100.0),
            new_coords=section.integer("new_coords", 0, 0, 1) == 1,
            nms_kind=nms_kind(section),
            beta_nms=section.number("beta_nms", 0.6, 0.0, 100.0),
        )

    def output(self, inputs: tuple[Shape, ...], section: Section) -> Shape:
        """Shape unchanged; its channels must be len(mask) * (4 + 1 + classes)."""
        wanted = len(self.anchors) * (5 + self.classes)
        if inputs[0].c != wanted:
            section.fail(f"[yolo] with {len(self.anchors)} anchors and classes={self.classes} needs {wanted} "
                         f"channels, the layer before it gives {inputs[0].c}", "classes")
        return inputs[0]

    @property
    def passes(self) -> bool:
        """Boxes are read from the map before."""
        return True


def nms_kind(section: Section) -> str:
    """`nms_kind=` of a detection layer, one of `model.dialect.NMS_KINDS`."""
    kind = section.text("nms_kind", "default")
    if kind == "default":
        return "plain"
    if kind not in NMS_KINDS:
        section.fail(f"nms_kind={kind} is none of default, {', '.join(NMS_KINDS)}", "nms_kind")
    return kind


def picked_anchors(section: Section) -> tuple[tuple[tuple[float, float], ...], tuple[int, ...]]:
    """((width, height) of the anchors `mask` picks, the mask); without `mask` all of `num`.

    Read as Darknet reads them: spaces mean nothing, so that two numbers without a comma between them are one
    (cspx-p7-mish_hp has such a pair); anchors that `num` promises and the list lacks are 0.5. A list longer
    than `num` may be picked from as a whole (cspx-p7-mish does), where Darknet reads on in its memory.
    """
    count = section.integer("num", None, 1, 256)
    values = list(section.numbers("anchors", 0.0, 1e6)) if section.find("anchors") else []
    values += [MISSING_ANCHOR] * (2 * count - len(values))
    mask = section.integers("mask", tuple(range(count)))
    for number in mask:
        if not 0 <= number < len(values) // 2:
            section.fail(f"mask names anchor {number}, but num={count}", "mask")
    return tuple((values[2 * i], values[2 * i + 1]) for i in mask), mask
