"""AlexeyAB's `darknet.py`, function by function: `from darkfuse import darknet`.

    >>> from darkfuse import darknet                       # was: import darknet
    >>> net, names, colours = darknet.load_network("yolov4-tiny.cfg", "coco.data", "yolov4-tiny.weights")
    >>> picture = darknet.make_image(darknet.network_width(net), darknet.network_height(net), 3)
    >>> darknet.copy_image_from_bytes(picture, frame_rgb.tobytes())
    >>> darknet.detect_image(net, names, picture, thresh=.25)
    [('dog', '81.25', (70.1, 119.4, 78.2, 177.0))]

As there: pictures are stretched to the network, overlap is plain IoU, boxes are (centre x, centre y, width,
height) in pixels of the picture handed over, and results are sorted by the *text* of their score, ascending.
`DARKFUSE_MEM` is the budget of the process.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from darkfuse.errors import DarkfuseError, ImageError
from darkfuse.host.record import dataclass, field

if TYPE_CHECKING:
    from darkfuse.detect.candidate import Candidate
    from darkfuse.session.network import Network

__all__ = [
    "BOX", "DETECTION", "DETNUMPAIR", "IMAGE", "METADATA", "bbox2points", "class_colors",
    "copy_image_from_bytes", "decode_detection", "detect", "detect_image", "do_nms_obj", "do_nms_sort",
    "draw_boxes", "free_batch_detections", "free_detections", "free_image", "free_network_ptr",
    "get_network_boxes", "init_cpu", "load_image", "load_image_color", "load_meta", "load_net",
    "load_net_custom", "load_network", "make_image", "network_height", "network_predict_batch",
    "network_width", "predict_image", "predict_image_letterbox", "print_detections", "remove_negatives",
    "reset_rnn", "rgbgr_image", "set_gpu",
]

Detection = tuple[str, str, tuple[float, float, float, float]]


@dataclass
class IMAGE:
    """A picture: `pixels` is (h, w, c) uint8, RGB, where Darknet holds planar floats.

    For `network_predict_batch` it may be what Darknet's own scripts make: a pointer to floats 0..1, planar,
    several pictures after one another.
    """

    w: int
    h: int
    c: int
    pixels: Any = field(repr=False)


@dataclass
class BOX:
    """Centre and size in pixels."""

    x: float
    y: float
    w: float
    h: float


@dataclass
class DETECTION:
    """One box: `prob` holds each class's score, 0 below the threshold or once suppressed."""

    bbox: BOX
    classes: int
    prob: list[float]
    objectness: float


@dataclass
class DETNUMPAIR:
    """Boxes of one picture of a batch, and how many."""

    num: int
    dets: list[DETECTION]


@dataclass
class METADATA:
    """Class names of a `.data` file."""

    classes: int
    names: list[str]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else os.fspath(value)


def load_net_custom(cfg: Any, weights: Any, clear: int = 0, batch: int = 1) -> Network:
    """Load a network; paths may be bytes, as ctypes wanted them. `clear` and `batch` are for training."""
    from darkfuse.session.network import load

    return load(_text(cfg), _text(weights), mem=os.environ.get("DARKFUSE_MEM") or None, dialect="alexeyab")


def load_net(cfg: Any, weights: Any, clear: int = 0) -> Network:
    """Load a network, as `load_net_custom` with a batch of 1."""
    return load_net_custom(cfg, weights, clear)


def load_meta(data: Any) -> METADATA:
    """Class names of a `.data` file."""
    from darkfuse.model.names import read_data, read_names

    path = _text(data)
    found = read_data(path).names
    if not found:
        raise DarkfuseError(f"{path}: has no names= line")
    names = list(read_names(found))
    return METADATA(len(names), names)


def load_network(config_file: Any, data_file: Any, weights: Any,
                 batch_size: int = 1) -> tuple[Network, list[str], dict[str, tuple[int, int, int]]]:
    """A network, its class names, and a colour for each."""
    names = load_meta(data_file).names
    return load_net_custom(config_file, weights, 0, batch_size), names, class_colors(names)


def class_colors(names: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    """A colour for each class, the same in every run (Darknet's script rolls dice)."""
    from darkfuse.media.palette import class_colour

    return {name: class_colour(number) for number, name in enumerate(names)}


def network_width(net: Network) -> int:
    """Width the network sees, in pixels."""
    return net.graph.input.w


def network_height(net: Network) -> int:
    """Height the network sees, in pixels."""
    return net.graph.input.h


def make_image(w: int, h: int, c: int) -> IMAGE:
    """A black picture."""
    return IMAGE(w, h, c, bytearray(w * h * c))


def copy_image_from_bytes(image: IMAGE, data: Any) -> None:
    """Fill a picture from (h, w, c) uint8 RGB. Raises `ImageError` when it is another number of bytes."""
    view = memoryview(data).cast("B")
    if view.nbytes != len(image.pixels):
        raise ImageError(f"a picture of {image.w}x{image.h}x{image.c} takes {len(image.pixels)} bytes, "
                         f"not {view.nbytes}")
    image.pixels[:] = view


def load_image(filename: Any, w: int = 0, h: int = 0) -> IMAGE:
    """A picture file; `w` and `h` are ignored, for a network brings it to its own size."""
    from darkfuse.media.decode import decode

    picture = decode(_text(filename), as_stb=True)
    return IMAGE(picture.width, picture.height, 3, bytearray(picture.pixels))


def load_image_color(filename: Any, w: int = 0, h: int = 0) -> IMAGE:
    """A picture file, as `load_image`: always in colour."""
    return load_image(filename, w, h)


def free_image(image: IMAGE) -> None:
    """Let go of a picture's pixels."""
    image.pixels = bytearray()


def predict_image(net: Network, image: IMAGE) -> None:
    """Name the picture `get_network_boxes` is to look at; the network runs there, once."""
    net.pending = image, False  # type: ignore[attr-defined]


def predict_image_letterbox(net: Network, image: IMAGE) -> None:
    """`predict_image`, with the picture's aspect kept."""
    net.pending = image, True  # type: ignore[attr-defined]


def get_network_boxes(net: Network, w: int, h: int, thresh: float, hier: float = 0.5, map: Any = None,
                      relative: int = 0, num: Any = None, letter: int = 0) -> list[DETECTION]:
    """Boxes of the picture named before, in pixels of one of that width and height; none suppressed.

    With `relative` they are fractions of it. A list, where ctypes gave a pointer and a count; `num`, a
    `c_int` or a pointer to one, gets the count.
    """
    image, letterbox = net.pending  # type: ignore[attr-defined]
    net.hier = hier
    found = _boxes(net, image, thresh, letterbox or bool(letter), *((1, 1) if relative else (w, h)))
    if hasattr(num, "value"):
        num.value = len(found)
    elif num is not None:
        num[0] = len(found)
    return found


def _boxes(net: Network, image: IMAGE, thresh: float, letterbox: bool, w: int, h: int) -> list[DETECTION]:
    from darkfuse.detect.decode import class_count

    view = memoryview(image.pixels).cast("B", (image.h, image.w, image.c))
    classes = class_count(net.graph)
    return [DETECTION(BOX(c.box.cx * w, c.box.cy * h, c.box.w * w, c.box.h * h), classes,
                      [c.probs.get(at, 0.0) for at in range(classes)], c.objectness)
            for c in net.candidates(view, thresh, letterbox)]


def network_predict_batch(net: Network, images: IMAGE, batch_size: int, w: int, h: int, thresh: float,
                          hier: float = 0.5, map: Any = None, relative: int = 0,
                          letter: int = 0) -> list[DETNUMPAIR]:
    """Boxes, as `get_network_boxes` gives them, of several pictures that follow one another in `images`."""
    from darkfuse.host.extras import need

    np: Any = need("numpy", "network_predict_batch")
    net.hier = hier
    planar = np.ctypeslib.as_array(images.pixels, (batch_size, images.c, images.h, images.w))
    found = []
    for picture in np.rint(planar * 255).clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1):
        one = IMAGE(images.w, images.h, images.c, bytearray(picture.tobytes()))
        dets = _boxes(net, one, thresh, bool(letter), *((1, 1) if relative else (w, h)))
        found.append(DETNUMPAIR(len(dets), dets))
    return found


def _candidates(detections: Sequence[DETECTION]) -> list[Candidate]:
    from darkfuse.detect.candidate import Candidate
    from darkfuse.detect.types import Box

    return [Candidate(Box(d.bbox.x, d.bbox.y, d.bbox.w, d.bbox.h),
                      {c: p for c, p in enumerate(d.prob) if p > 0}, d.objectness) for d in detections]


def do_nms_obj(detections: list[DETECTION], num: int, classes: int, nms: float) -> None:
    """Set to 0 all scores of boxes that one with more objectness overlaps by more than `nms`, whatever their
    classes are."""
    from darkfuse.detect.decode import by_objectness

    given = _candidates(detections[:num])
    kept = {id(one) for one in by_objectness(given, nms)}
    for detection, candidate in zip(detections, given):
        if id(candidate) not in kept:
            detection.objectness, detection.prob = 0.0, [0.0] * detection.classes


def do_nms_sort(detections: list[DETECTION], num: int, classes: int, nms: float) -> None:
    """Set to 0, class by class, the scores of boxes that a better one overlaps by more than `nms`."""
    from darkfuse.detect.nms import Suppression, nms_sort

    given = _candidates(detections[:num])
    kept = iter(nms_sort(given, Suppression(nms)))
    survivor = next(kept, None)
    for detection, candidate in zip(detections, given):
        mine = survivor is not None and survivor.box is candidate.box
        probs = survivor.probs if mine and survivor is not None else {}
        detection.prob = [probs.get(c, 0.0) for c in range(detection.classes)]
        if mine:
            survivor = next(kept, None)


def free_detections(detections: list[DETECTION], num: int) -> None:
    """Nothing to do: they are Python's."""


def free_batch_detections(detections: list[DETNUMPAIR], num: int) -> None:
    """Nothing to do: they are Python's."""


def free_network_ptr(net: Network) -> None:
    """Give the network's memory back."""
    net.close()


def set_gpu(number: int) -> None:
    """Accepted: darkfuse computes on the processor."""


def init_cpu() -> None:
    """Accepted: there is nothing to prepare."""


def reset_rnn(net: Network) -> None:
    """Accepted: darkfuse runs no recurrent layers."""


def rgbgr_image(image: IMAGE) -> None:
    """Let red and blue change places, in place."""
    image.pixels[0::3], image.pixels[2::3] = image.pixels[2::3], image.pixels[0::3]


def remove_negatives(detections: Sequence[DETECTION], class_names: Sequence[str],
                     num: int) -> list[tuple[str, float, tuple[float, float, float, float]]]:
    """(name, score 0..1, (centre x, centre y, width, height)) of every class a box still has."""
    return [(name, d.prob[at], (d.bbox.x, d.bbox.y, d.bbox.w, d.bbox.h))
            for d in detections[:num] for at, name in enumerate(class_names) if d.prob[at] > 0]


def decode_detection(detections: Sequence[tuple[str, float, Any]]) -> list[Detection]:
    """Scores as text in per cent, '81.25'."""
    return [(str(label), str(round(confidence * 100, 2)), bbox) for label, confidence, bbox in detections]


def detect_image(network: Network, class_names: Sequence[str], image: IMAGE, thresh: float = 0.5,
                 hier_thresh: float = 0.5, nms: float = 0.45) -> list[Detection]:
    """Find objects in a picture: (name, score in per cent as text, (cx, cy, w, h)), sorted by that text."""
    network.hier = hier_thresh
    found = _boxes(network, image, thresh, False, image.w, image.h)
    if nms:
        do_nms_sort(found, len(found), len(class_names), nms)
    return sorted(decode_detection(remove_negatives(found, class_names, len(found))), key=lambda d: d[1])


def detect(net: Network, meta: METADATA, image: Any, thresh: float = 0.5, hier_thresh: float = 0.5,
           nms: float = 0.45) -> list[tuple[str, float, tuple[float, float, float, float]]]:
    """Find objects in a picture file: (name, score 0..1, (cx, cy, w, h)), the best first."""
    net.hier, picture = hier_thresh, load_image(image)
    found = _boxes(net, picture, thresh, False, picture.w, picture.h)
    do_nms_sort(found, len(found), meta.classes, nms)
    return sorted(remove_negatives(found, meta.names, len(found)), key=lambda d: -d[1])


def bbox2points(bbox: Sequence[float]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom, rounded, of (centre x, centre y, width, height)."""
    x, y, w, h = bbox
    return round(x - w / 2), round(y - h / 2), round(x + w / 2), round(y + h / 2)


def print_detections(detections: Sequence[Detection], coordinates: bool = False) -> None:
    """Print them, a line each."""
    print("\nObjects:")
    for label, confidence, (x, y, w, h) in detections:
        where = (f"    (left_x: {x:.0f}   top_y:  {y:.0f}   width:   {w:.0f}   height:  {h:.0f})"
                 if coordinates else "")
        print(f"{label}: {confidence}%{where}")


def draw_boxes(detections: Sequence[Detection], image: Any, colors: dict[str, tuple[int, int, int]]) -> Any:
    """Draw them on an array (h, w, 3), in place, with OpenCV; returns it."""
    from darkfuse.media.opencv import opencv

    cv2 = opencv(quiet=False, purpose="draw_boxes")
    for label, confidence, bbox in detections:
        left, top, right, bottom = bbox2points(bbox)
        cv2.rectangle(image, (left, top), (right, bottom), colors[label], 1)
        cv2.putText(image, f"{label} [{float(confidence):.2f}]", (left, top - 5), cv2.FONT_HERSHEY_SIMPLEX,
                    0.5, colors[label], 2)
    return image
