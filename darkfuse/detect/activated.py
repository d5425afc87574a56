"""The map a detection layer leaves behind in Darknet: the raw one with logistic and softmax applied.

Only `forward` and the tests want it whole; decoding never builds it. It is the one module of this room that
uses numpy, imported inside the function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from darkfuse.graph.ir import Node
from darkfuse.graph.layers.detection import DetectionOptions
from darkfuse.graph.layers.gaussian_yolo import GaussianYoloOptions
from darkfuse.graph.layers.region import RegionOptions
from darkfuse.graph.layers.yolo import YoloOptions
from darkfuse.model.tree import Tree

if TYPE_CHECKING:
    import numpy as np


def activated(node: Node, raw: np.ndarray, tree: Tree | None = None) -> np.ndarray:
    """Output of a detection layer as Darknet stores it.

    Parameters
    ----------
    node : Node
        The detection layer.
    raw : ndarray
        (channels, height, width) float32, the output of the layer before it.
    tree : Tree, optional
        The word tree of a [region] that has one: each set of siblings has a softmax of its own.

    Returns
    -------
    ndarray
        Same shape, a new array. Region: logistic on x, y and objectness, softmax or logistic on the classes;
        w and h as they come. Yolo, Gaussian_yolo: logistic on all but w and h, and `scale_x_y` applied to x
        and y. Detection: softmax on the classes where the cfg says so.
    """
    import numpy as np

    def logistic(values: np.ndarray) -> np.ndarray:
        # Past +-80 float32's logistic is exactly 0 or 1 to 35 digits; clipping keeps exp from overflowing.
        result: np.ndarray = 1.0 / (1.0 + np.exp(-np.clip(values, -80.0, 80.0)))
        return result

    def softmax(values: np.ndarray) -> None:
        np.exp(values - values.max(axis=1, keepdims=True), out=values)
        values /= values.sum(axis=1, keepdims=True)

    options, shape = node.options, node.out_shape
    if isinstance(options, DetectionOptions):
        flat = np.array(raw, np.float32).reshape(-1)
        if options.softmax:
            softmax(flat[: options.side**2 * options.classes].reshape(-1, options.classes))
        return flat.reshape(shape.c, shape.h, shape.w)
    if not isinstance(options, (RegionOptions, YoloOptions, GaussianYoloOptions)):
        raise TypeError(f"layer {node.index} is [{node.kind}], not a detection layer")
    entries = 9 if isinstance(options, GaussianYoloOptions) else 5
    out = np.array(raw, np.float32).reshape(len(options.anchors), entries + options.classes, shape.h, shape.w)
    if isinstance(options, RegionOptions):
        out[:, :2] = logistic(out[:, :2])
        if not options.background:
            out[:, 4] = logistic(out[:, 4])
        if tree is not None:
            for first, count in tree.groups:
                softmax(out[:, 5 + first : 5 + first + count])
        elif options.softmax:
            softmax(out[:, 4 if options.background else 5 :])
        else:
            out[:, 5:] = logistic(out[:, 5:])
    elif isinstance(options, GaussianYoloOptions):
        sizes = out[:, 4:7:2].copy()
        out = logistic(out)
        out[:, 4:7:2] = sizes
        out[:, 0:3:2] = out[:, 0:3:2] * options.scale_x_y - 0.5 * (options.scale_x_y - 1.0)
    else:
        if not options.new_coords:
            out[:, :2] = logistic(out[:, :2])
            out[:, 4:] = logistic(out[:, 4:])
        if options.scale_x_y != 1.0:
            out[:, :2] = out[:, :2] * options.scale_x_y - 0.5 * (options.scale_x_y - 1.0)
    return out.reshape(shape.c, shape.h, shape.w)
