"""A detection layer's map as OpenCV's Region layer gives it: one row a box."""

from __future__ import annotations

from typing import TYPE_CHECKING

from darkfuse.compat.boxes import chosen
from darkfuse.graph import Graph, Node
from darkfuse.graph.layers.region import RegionOptions
from darkfuse.graph.layers.yolo import YoloOptions

if TYPE_CHECKING:
    import numpy as np

# Scores at or below it are 0 where the section has no `thresh=`; what OpenCV 4.14 leaves standing
LEAST = {"yolo": 0.2, "region": 0.001}
# A [region] layer thins its boxes out by itself; a [yolo] layer leaves that to the caller.
REGION_NMS = 0.4


def rows(graph: Graph, node: Node, activated: np.ndarray, suppress: bool = True) -> np.ndarray:
    """Boxes of a region or yolo layer.

    Parameters
    ----------
    graph : Graph
    node : Node
        The detection layer.
    activated : ndarray
        (anchors * (5 + classes), height, width) float32, from `detect.activated`.
    suppress : bool
        Whether a region layer thins its boxes out.

    Returns
    -------
    ndarray
        (height * width * anchors, 5 + classes) float32, anchors fastest: centre x, centre y, width and height
        as parts of the input, objectness, and each class's score, which is its probability times objectness.
    """
    import numpy as np

    options, shape = node.options, node.out_shape
    assert isinstance(options, (RegionOptions, YoloOptions))
    anchors = np.array(options.anchors, np.float32)
    values = activated.reshape(len(anchors), -1, shape.h, shape.w).transpose(2, 3, 0, 1)
    out = np.ascontiguousarray(values, np.float32)
    unit = (shape.w, shape.h)
    size = out[..., 2:4]
    if isinstance(options, YoloOptions):
        unit = (graph.input.w, graph.input.h)
        size = size * size * 4 if options.new_coords else np.exp(size)
    else:
        size = np.exp(size)
    out[..., 0] = (out[..., 0] + np.arange(shape.w, dtype=np.float32)[None, :, None]) / shape.w
    out[..., 1] = (out[..., 1] + np.arange(shape.h, dtype=np.float32)[:, None, None]) / shape.h
    out[..., 2:4] = size * anchors / np.array(unit, np.float32)
    scores = out[..., 5:] * out[..., 4:5]
    least = graph.cfg.layers[node.index].number("thresh", LEAST[node.kind])
    out[..., 5:] = np.where(scores > np.float32(least), scores, 0)
    flat = out.reshape(-1, out.shape[-1])
    if node.kind == "region" and suppress:
        _suppress(flat, graph.cfg.layers[node.index].number("nms_threshold", REGION_NMS))
    return flat


def _suppress(flat: np.ndarray, most: float) -> None:
    """Set scores to 0, class by class, where a better box of that class overlaps by more than `most`."""
    import numpy as np

    corner = np.concatenate([flat[:, :2] - flat[:, 2:4] / 2, flat[:, 2:4]], axis=1).tolist()
    for scores in flat[:, 5:].T if most > 0 else ():
        there = np.flatnonzero(scores)
        kept = chosen([corner[at] for at in there], scores[there].tolist(), 0.0, most)
        scores[np.delete(there, kept)] = 0
