"""[region] decoding: YOLOv2's boxes, after Darknet's `forward_region_layer` and `get_region_detections`.

For each anchor the map holds, as planes of (height, width): x, y, w, h, objectness, then the classes. With
YOLO9000's word tree a box has one class, the most special that is still probable, and objectness is its
score. Where the words of a set of classes are given (`map=` of a .data file, for `map` and `valid`), a box
has each of these classes that is probable enough instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from darkfuse.detect.candidate import Candidate, exp32, float_view, logistic, logit, passing
from darkfuse.detect.tree import among_siblings, most_special, products
from darkfuse.detect.types import Box
from darkfuse.graph.ir import Shape
from darkfuse.graph.layers.region import RegionOptions
from darkfuse.model.tree import Tree

# Darknet's default for `hier`.
WORD_THRESH = 0.5


def decode_region(options: RegionOptions, shape: Shape, raw: Any, thresh: float,
                  tree: Tree | None = None, words: Sequence[int] = (), hier: float = WORD_THRESH,
                  classless: bool = False) -> Iterator[Candidate]:
    """Boxes above the threshold, relative to the network's input; and those that are not finite.

    Parameters
    ----------
    options : RegionOptions
    shape : Shape
        Of the map, (anchors * (5 + classes), height, width).
    raw : buffer
        float32 values of the layer *before* the region layer, in that order.
    thresh : float
        Objectness must exceed it, and so must objectness times class probability.
    tree : Tree, optional
        The word tree whose words the classes are.
    words : sequence of int
        Of each class asked for, its word.
    hier : float
        How probable a word of the tree must be for more special ones to be looked at: Darknet's `-hier`.
    classless : bool
        Keep boxes whose objectness exceeds it, whatever their classes are.
    """
    values = float_view(raw, shape)
    plane = shape.h * shape.w
    # With `background` there is no objectness: every box counts as 1 and the plane joins the softmax.
    limit = logit(thresh) if not options.background else (-float("inf") if thresh < 1.0 else float("inf"))
    for n, (anchor_w, anchor_h) in enumerate(options.anchors):
        base = n * (5 + options.classes) * plane
        for cell in passing(values, base + 4 * plane, plane, limit):
            at = base + cell
            scale = 1.0 if options.background else logistic(values[at + 4 * plane])
            if tree is None:
                probs = _class_scores(options, values, at, plane, scale, thresh)
            elif words:
                whole = _words(tree, options, values, at, plane)
                scores = (scale * whole[word] for word in words)
                probs = {number: score for number, score in enumerate(scores) if not score <= thresh}
            else:
                probs = {most_special(tree, _words(tree, options, values, at, plane), hier): scale}
            if not (probs or classless):
                continue
            row, col = divmod(cell, shape.w)
            box = Box(
                (col + logistic(values[at])) / shape.w,
                (row + logistic(values[at + plane])) / shape.h,
                exp32(values[at + 2 * plane]) * anchor_w / shape.w,
                exp32(values[at + 3 * plane]) * anchor_h / shape.h,
            )
            yield Candidate(box, probs, scale)


def _words(tree: Tree, options: RegionOptions, values: memoryview[float], at: int, plane: int) -> list[float]:
    """How probable each word is for one box."""
    first = at + 5 * plane
    raw = values[first : first + (options.classes - 1) * plane + 1 : plane].tolist()
    return products(tree, among_siblings(tree, raw))


def _class_scores(options: RegionOptions, values: memoryview[float], at: int, plane: int, scale: float,
                  thresh: float) -> dict[int, float]:
    """Classes of one box whose `scale * probability` exceeds the threshold."""
    first = at + 5 * plane
    raw = values[first : first + (options.classes - 1) * plane + 1 : plane].tolist()
    if not options.softmax:
        scores = (scale * logistic(value) for value in raw)
    else:
        whole = [values[at + 4 * plane], *raw] if options.background else raw
        largest = max(whole)
        scale /= math.fsum(math.exp(value - largest) for value in whole)
        scores = (scale * math.exp(value - largest) for value in raw)
    return {number: score for number, score in enumerate(scores) if not score <= thresh}
