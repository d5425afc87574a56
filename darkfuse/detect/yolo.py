"""[yolo] decoding: YOLOv3's boxes, after Darknet's `forward_yolo_layer` and `get_yolo_detections`.

For each anchor the map holds, as planes of (height, width): x, y, w, h, objectness, then the classes.
`scale_x_y` and `new_coords` follow AlexeyAB's branch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from darkfuse.detect.candidate import Candidate, exp32, float_view, logistic, logit, passing
from darkfuse.detect.types import Box
from darkfuse.graph.ir import Shape
from darkfuse.graph.layers.yolo import YoloOptions


def decode_yolo(options: YoloOptions, shape: Shape, raw: Any, thresh: float, net_w: int,
                net_h: int, classless: bool = False) -> Iterator[Candidate]:
    """Boxes above the threshold, relative to the network's input; and those that are not finite.

    Parameters
    ----------
    options : YoloOptions
    shape : Shape
        Of the map, (anchors * (5 + classes), height, width).
    raw : buffer
        float32 values of the layer *before* the yolo layer, in that order.
    thresh : float
        Objectness must exceed it, and so must objectness times class probability.
    net_w, net_h : int
        Network input in pixels, the unit of the anchors.
    classless : bool
        Keep boxes whose objectness exceeds it, whatever their classes are.
    """
    values = float_view(raw, shape)
    plane = shape.h * shape.w
    direct = options.new_coords
    for n, (anchor_w, anchor_h) in enumerate(options.anchors):
        base = n * (5 + options.classes) * plane
        for cell in passing(values, base + 4 * plane, plane, thresh if direct else logit(thresh)):
            at = base + cell
            scale = values[at + 4 * plane] if direct else logistic(values[at + 4 * plane])
            first = at + 5 * plane
            last = first + (options.classes - 1) * plane
            # A class can only pass if its raw value exceeds this: most never reach the exponential.
            least = float("inf") if scale <= 0.0 else thresh / scale
            if not direct:
                least = logit(least)
            scores = {
                number: scale * (value if direct else logistic(value))
                for number, value in enumerate(values[first : last + 1 : plane].tolist())
                if not value < least
            }
            probs = {number: score for number, score in scores.items() if not score <= thresh}
            if not (probs or classless):
                continue
            row, col = divmod(cell, shape.w)
            x, y, w, h = (values[at + k * plane] for k in range(4))
            if direct:
                w, h = 4.0 * w * w, 4.0 * h * h
            else:
                x, y, w, h = logistic(x), logistic(y), exp32(w), exp32(h)
            shift = 0.5 * (options.scale_x_y - 1.0)
            box = Box(
                (col + x * options.scale_x_y - shift) / shape.w,
                (row + y * options.scale_x_y - shift) / shape.h,
                w * anchor_w / net_w,
                h * anchor_h / net_h,
            )
            yield Candidate(box, probs, scale)
