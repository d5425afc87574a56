"""[Gaussian_yolo] decoding, after AlexeyAB's `get_gaussian_yolo_detections`.

For each anchor the map holds, as planes of (height, width): x, y, w and h, each followed by how uncertain it
is, then objectness and the classes. A score is lowered by the mean of the four uncertainties.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from darkfuse.detect.candidate import Candidate, exp32, float_view, logistic, logit, passing
from darkfuse.detect.types import Box
from darkfuse.graph.ir import Shape
from darkfuse.graph.layers.gaussian_yolo import GaussianYoloOptions

# Where in a box its x and y lie, in halves of its size from the centre.
POINTS = {"center": 0.0, "left_top": 0.5, "right_bottom": -0.5}


def decode_gaussian_yolo(options: GaussianYoloOptions, shape: Shape, raw: Any, thresh: float, net_w: int,
                         net_h: int, classless: bool = False) -> Iterator[Candidate]:
    """Boxes above the threshold, relative to the network's input; and those that are not finite.

    Parameters
    ----------
    options : GaussianYoloOptions
    shape : Shape
        Of the map, (anchors * (9 + classes), height, width).
    raw : buffer
        float32 values of the layer *before* the Gaussian_yolo layer, in that order.
    thresh : float
        Objectness must exceed it, and so must objectness times class probability times certainty.
    net_w, net_h : int
        Network input in pixels, the unit of the anchors.
    classless : bool
        Keep boxes whose objectness exceeds it, whatever their classes are.
    """
    values = float_view(raw, shape)
    plane = shape.h * shape.w
    shift, half = 0.5 * (options.scale_x_y - 1.0), POINTS[options.yolo_point]
    for n, (anchor_w, anchor_h) in enumerate(options.anchors):
        base = n * (9 + options.classes) * plane
        for cell in passing(values, base + 8 * plane, plane, logit(thresh)):
            at = base + cell
            x, x_unsure, y, y_unsure, w, w_unsure, h, h_unsure, objectness = (
                values[at + k * plane] for k in range(9))
            unsure = sum(map(logistic, (x_unsure, y_unsure, w_unsure, h_unsure))) / 4.0
            scale = logistic(objectness) * (1.0 - unsure)
            first = at + 9 * plane
            classes = values[first : first + (options.classes - 1) * plane + 1 : plane].tolist()
            scores = {number: scale * logistic(value) for number, value in enumerate(classes)}
            probs = {number: score for number, score in scores.items() if not score <= thresh}
            if not (probs or classless):
                continue
            row, col = divmod(cell, shape.w)
            width, height = exp32(w) * anchor_w / net_w, exp32(h) * anchor_h / net_h
            yield Candidate(Box(
                (col + logistic(x) * options.scale_x_y - shift) / shape.w + half * width,
                (row + logistic(y) * options.scale_x_y - shift) / shape.h + half * height,
                width,
                height,
            ), probs, logistic(objectness))
