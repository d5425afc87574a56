"""[detection] decoding: YOLOv1's boxes, after Darknet's `get_detection_detections`.

The values are flat: class probabilities of every cell, objectness of every box, then its x, y, w and h.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from darkfuse.detect.candidate import Candidate, float_view
from darkfuse.detect.types import Box
from darkfuse.graph.ir import Shape
from darkfuse.graph.layers.detection import DetectionOptions


def decode_detection(options: DetectionOptions, shape: Shape, raw: Any, thresh: float,
                     classless: bool = False) -> Iterator[Candidate]:
    """Boxes above the threshold, relative to the network's input; and those that are not finite.

    Parameters
    ----------
    options : DetectionOptions
    shape : Shape
        Of the map; only how many values it has counts.
    raw : buffer
        float32 values of the layer *before* the detection layer.
    thresh : float
        Objectness times class probability must exceed it.
    classless : bool
        Keep boxes whose objectness exceeds it, whatever their classes are.
    """
    values = float_view(raw, shape)
    side, num, classes = options.side, options.num, options.classes
    cells = side * side
    for cell in range(cells):
        likely = [float(value) for value in values[cell * classes : (cell + 1) * classes]]
        if options.softmax:
            largest = max(likely)
            powers = [math.exp(value - largest) for value in likely]
            likely = [power / math.fsum(powers) for power in powers]
        row, col = divmod(cell, side)
        for n in range(cell * num, (cell + 1) * num):
            scale = values[cells * classes + n]
            scores = {number: scale * value for number, value in enumerate(likely)}
            probs = {number: score for number, score in scores.items() if not score <= thresh}
            if not (probs or (classless and scale > thresh)):
                continue
            at = cells * (classes + num) + 4 * n
            x, y, w, h = values[at : at + 4].tolist()
            if options.sqrt:
                w, h = w * w, h * h
            yield Candidate(Box((x + col) / side, (y + row) / side, w, h), probs, scale)
