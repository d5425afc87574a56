"""The map a detection layer leaves behind in Darknet: the raw one with logistic and softmax applied.

Only `forward` and the tests want it whole; decoding never builds it. It is the one module of this room that
uses numpy, imported inside the function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from darkfuse.graph.ir import Node
from darkfuse.graph.layers.region import RegionOptions
from darkfuse.graph.layers.yolo import YoloOptions

if TYPE_CHECKING:
    import numpy as np


def activated(node: Node, raw: np.ndarray) -> np.ndarray:
    """Output of a region or yolo layer as Darknet stores it.

    Parameters
    ----------
    node : Node
        The region or yolo layer.
    raw : ndarray
        (channels, height, width) float32, the output of the layer before it.

    Returns
    -------
    ndarray
        Same shape, a new array. Region: logistic on x, y and objectness, softmax or logistic on the classes;
        w and h as they come. Yolo: logistic on all but w and h, and `scale_x_y` applied to x and y.
    """
    import numpy as np

    def logistic(values: np.ndarray) -> np.ndarray:
        # Past +-80 float32's logistic is exactly 0 or 1 to 35 digits; clipping keeps exp from overflowing.
        result: np.ndarray = 1.0 / (1.0 + np.exp(-np.clip(values, -80.0, 80.0)))
        return result

    options = node.options
    if not isinstance(options, (RegionOptions, YoloOptions)):
        raise TypeError(f"layer {node.index} is [{node.kind}], not a detection layer")
    shape = node.out_shape
    out = np.array(raw, np.float32).reshape(len(options.anchors), 5 + options.classes, shape.h, shape.w)
    if isinstance(options, RegionOptions):
        out[:, :2] = logistic(out[:, :2])
        if not options.background:
            out[:, 4] = logistic(out[:, 4])
        if options.softmax:
            classes = out[:, 4 if options.background else 5 :]
            np.exp(classes - classes.max(axis=1, keepdims=True), out=classes)
            classes /= classes.sum(axis=1, keepdims=True)
        else:
            out[:, 5:] = logistic(out[:, 5:])
    else:
        if not options.new_coords:
            out[:, :2] = logistic(out[:, :2])
            out[:, 4:] = logistic(out[:, 4:])
        if options.scale_x_y != 1.0:
            out[:, :2] = out[:, :2] * options.scale_x_y - 0.5 * (options.scale_x_y - 1.0)
    return out.reshape(shape.c, shape.h, shape.w)
