"""What detection gives back: `Box`, `Detection`, `Result`; and the size of a letterboxed image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, overload

from darkfuse.host.record import dataclass, field

if TYPE_CHECKING:
    import numpy as np


class Box(NamedTuple):
    """Centre and size as fractions of the image; may reach past its edges, as Darknet's do.

    `Result.xyxy` has the same boxes as corners in pixels, within the image.
    """

    cx: float
    cy: float
    w: float
    h: float


class Label(NamedTuple):
    """One class of a picture as a whole, and the network's output for it."""

    class_id: int
    name: str
    confidence: float


@dataclass(frozen=True)
class Detection:
    """One label on one box; a box that passes for several classes makes several detections.

    Attributes
    ----------
    class_id : int
    name : str
        The class's name, or its number where the network has no names.
    confidence : float
        Objectness times class probability, 0..1.
    box : Box
    """

    class_id: int
    name: str
    confidence: float
    box: Box


R = TypeVar("R", bound="Result")


@dataclass(frozen=True, repr=False)
class Result:
    """All detections of one image: a sequence of `Detection`, and what is done with them.

    Labels of the same box stand next to each other; boxes and labels run from most to least confident. What
    `Network.detect` gives has its picture too, for `plot`, `save`, `show` and `crop`.

        >>> found = net.detect("dog.jpg")
        >>> found
        <Result of dog.jpg, 768x576: dog 84%, truck 78%, bicycle 60%, car 46%>
        >>> [(d.name, round(d.confidence, 2)) for d in found.filter(min=0.7)]
        [('dog', 0.84), ('truck', 0.78)]
        >>> found.save("boxes.jpg")
        'boxes.jpg'

    Attributes
    ----------
    detections : tuple of Detection
    width, height : int
        Size of the image in pixels.
    path : str
        Where the image came from, empty for an array.
    seconds : float
        Time the network took.
    not_finite : int
        Boxes above the threshold that the network gave as infinities or NaN. They are not among the
        detections; more than none means wrong weights, or a damaged file of them.
    """

    detections: tuple[Detection, ...]
    width: int
    height: int
    path: str = ""
    seconds: float = field(default=0.0, compare=False)
    not_finite: int = 0

    def __len__(self) -> int:
        return len(self.detections)

    def __iter__(self) -> Iterator[Detection]:
        return iter(self.detections)

    def __contains__(self, what: object) -> bool:
        """Whether a class was found, by its name; or whether a detection is one of these."""
        return what in self.names if isinstance(what, str) else what in self.detections

    @overload
    def __getitem__(self, at: int) -> Detection: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Detection, ...]: ...

    def __getitem__(self, at: int | slice) -> Detection | tuple[Detection, ...]:
        return self.detections[at]

    def __repr__(self) -> str:
        said = ", ".join(f"{d.name} {d.confidence * 100:.0f}%" for d in self.detections[:8])
        more = f", and {len(self) - 8} more" if len(self) > 8 else ""
        what = self.path or "a picture"
        return f"<Result of {what}, {self.width}x{self.height}: {said or 'nothing'}{more}>"

    def filter(self: R, classes: Sequence[str | int] | str | int | None = None, min: float = 0.0) -> R:
        """Those detections that are of one of `classes` (names or numbers) and score at least `min`."""
        wanted = None if classes is None else {classes} if isinstance(classes, (str, int)) else set(classes)
        kept = tuple(d for d in self.detections if d.confidence >= min
                     and (wanted is None or d.name in wanted or d.class_id in wanted))
        return replace(self, detections=kept)

    def counts(self) -> dict[str, int]:
        """How many boxes each class has, by its best label; most first."""
        seen: dict[str, int] = {}
        for _, labels in self.by_box():
            seen[labels[0].name] = seen.get(labels[0].name, 0) + 1
        return dict(sorted(seen.items(), key=lambda item: -item[1]))

    def to_dict(self) -> dict[str, Any]:
        """Path, size and detections as plain values; boxes as left, top, right, bottom in pixels."""
        from darkfuse.detect.export import as_dict

        return as_dict(self)

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        from darkfuse.detect.export import as_json

        return as_json(self)

    def to_csv(self) -> str:
        """A header, then a line a detection: class_id, name, confidence, xmin, ymin, xmax, ymax."""
        from darkfuse.detect.export import as_csv

        return as_csv(self)

    def to_coco(self, image_id: int = 0) -> list[dict[str, Any]]:
        """COCO's results format, boxes as left, top, width, height in pixels."""
        from darkfuse.detect.export import as_coco

        return as_coco(self, image_id)

    def to_yolo(self) -> str:
        """Darknet's label file: class, centre x, centre y, width, height as fractions, a line a box."""
        from darkfuse.detect.report import label_lines

        return "".join(line + "\n" for line in label_lines(self))

    def to_pandas(self) -> Any:
        """A DataFrame with `to_csv`'s columns. Raises `DarkfuseError` when pandas is not installed."""
        from darkfuse.detect.export import as_pandas

        return as_pandas(self)

    def to_supervision(self) -> Any:
        """`supervision.Detections`. Raises `DarkfuseError` when supervision is not installed."""
        from darkfuse.detect.export import as_supervision

        return as_supervision(self)

    @property
    def xyxy(self) -> list[tuple[float, float, float, float]]:
        """Left, top, right, bottom in pixels, cut off at the edges of the image."""
        return [pixel_corners(d.box, self.width, self.height) for d in self.detections]

    @property
    def confidence(self) -> list[float]:
        """Score of each detection, 0..1."""
        return [d.confidence for d in self.detections]

    @property
    def class_id(self) -> list[int]:
        """Class number of each detection."""
        return [d.class_id for d in self.detections]

    @property
    def names(self) -> list[str]:
        """Class name of each detection."""
        return [d.name for d in self.detections]

    def by_box(self) -> list[tuple[Box, list[Detection]]]:
        """Detections gathered by the box they share, for drawing one frame with all its labels."""
        groups: list[tuple[Box, list[Detection]]] = []
        for detection in self.detections:
            if not groups or groups[-1][0] is not detection.box:
                groups.append((detection.box, []))
            groups[-1][1].append(detection)
        return groups

    def marks(self) -> list[tuple[int, str, float, float, float, float]]:
        """What is drawn of each box: class of its colour, labels, left, top, right, bottom as fractions."""
        return [(labels[0].class_id,
                 ", ".join(f"{label.name} {label.confidence * 100:.0f}%" for label in labels),
                 box.cx - box.w / 2, box.cy - box.h / 2, box.cx + box.w / 2, box.cy + box.h / 2)
                for box, labels in self.by_box()]

    def numpy(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`xyxy` (n, 4) float32, `confidence` (n,) float32 and `class_id` (n,) int32; imports numpy."""
        from darkfuse.host.extras import need

        np: Any = need("numpy", "Result.numpy")
        return (
            np.array(self.xyxy, np.float32).reshape(-1, 4),
            np.array(self.confidence, np.float32),
            np.array(self.class_id, np.int32),
        )


def pixel_corners(box: Box, width: int, height: int) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of a relative box in pixels, within 0..width and 0..height."""
    return (
        min(max((box.cx - box.w / 2) * width, 0.0), float(width)),
        min(max((box.cy - box.h / 2) * height, 0.0), float(height)),
        min(max((box.cx + box.w / 2) * width, 0.0), float(width)),
        min(max((box.cy + box.h / 2) * height, 0.0), float(height)),
    )


def letterbox_size(image_w: int, image_h: int, net_w: int, net_h: int) -> tuple[int, int]:
    """Width and height of an image scaled to fit the network with its aspect kept.

    As Darknet's `letterbox_image`: the side that fits exactly is the network's, the other one comes from an
    integer division. The scaled image is pasted at ((net_w - w) // 2, (net_h - h) // 2).
    """
    if net_w * image_h < net_h * image_w:
        return net_w, max(1, image_h * net_w // image_w)
    return max(1, image_w * net_h // image_h), net_h
