"""A network's layers as OpenCV's importer names, numbers and types them.

The importer makes several layers of one Darknet section: `conv_7`, `bn_7`, and the activation, which counts
one further: `leaky_8`. Ids are positions from 1; 0 is the input. Found by asking OpenCV 4.14 for the layers
of ten networks.
"""

from __future__ import annotations

from typing import NamedTuple

from darkfuse.compat.fault import fault
from darkfuse.graph import Graph, Node

_ACTIVATIONS = {
    "leaky": ("leaky", "ReLU"), "relu": ("relu", "ReLU"), "logistic": ("logistic", "Sigmoid"),
    "swish": ("swish", "Swish"), "silu": ("swish", "Swish"), "mish": ("mish", "Mish"),
    "tanh": ("tanh", "TanH"), "relu6": ("relu6", "ReLU6"), "elu": ("elu", "ELU"),
}
_PLAIN = {
    "maxpool": ("pool", "Pooling"), "avgpool": ("avgpool", "Pooling"), "softmax": ("softmax", "Softmax"),
    "reorg": ("reorg", "Reorg"), "upsample": ("upsample", "Resize"), "dropout": ("identity", "Identity"),
    "shortcut": ("shortcut", "Eltwise"), "scale_channels": ("scale_channels", "Scale"),
    "sam": ("sam", "Eltwise"),
}


class Layer(NamedTuple):
    """One of OpenCV's layers.

    Attributes
    ----------
    name, type : str
        As OpenCV says them.
    node : int
        The Darknet layer it is part of; -1 for the input.
    gives : str
        'map': its output is that layer's; 'permuted': the map before a detection layer, channels last;
        'rows': the boxes of a detection layer; 'inner': a value darkfuse never holds on its own.
    """

    name: str
    type: str
    node: int
    gives: str


def layers_of(graph: Graph) -> list[Layer]:
    """All layers but the input, in OpenCV's order: `layers[i]` has the id i + 1."""
    return [layer for node in graph.nodes for layer in _of_node(graph, node)]


def _of_node(graph: Graph, node: Node) -> list[Layer]:
    index, section = node.index, graph.cfg.layers[node.index]
    if node.kind in ("region", "yolo"):
        name = "detection_out" if node.kind == "region" else f"yolo_{index}"
        steps = [(f"permute_{index}", "Permute"), (name, "Region")]
        return [Layer(*steps[-1], index, "rows") if step is steps[-1] else
                Layer(*step, index, "permuted") for step in steps]
    if node.kind == "convolutional":
        steps = [(f"conv_{index}", "Convolution")]
        if section.integer("batch_normalize", 0):
            steps.append((f"bn_{index}", "BatchNorm"))
    elif node.kind == "route":
        groups = section.integer("groups", 1)
        steps = [(f"concat_{index}", "Concat")] if len(node.inputs) > 1 else []
        if groups > 1:
            steps.append((f"slice_{index}", "Slice"))
        steps = steps or [(f"identity_{index}", "Identity")]
    elif node.kind == "connected":
        steps = [(f"connected_{index}", "InnerProduct")]
    elif node.kind == "cost":
        return []
    else:
        prefix, kind = _PLAIN.get(node.kind, (node.kind, node.kind.capitalize()))
        steps = [(f"{prefix}_{index}", kind)]
    active = section.text("activation", "linear") if section.find("activation") else "linear"
    if active in _ACTIVATIONS and node.kind in ("convolutional", "shortcut", "connected", "scale_channels"):
        prefix, kind = _ACTIVATIONS[active]
        steps.append((f"{prefix}_{index + 1}", kind))
    return [Layer(name, kind, index, "inner") for name, kind in steps[:-1]] + [
        Layer(*steps[-1], index, "map")]


def named(layers: list[Layer], name: str) -> Layer:
    """The layer of that name; the last one when it is empty. Raises `error` when there is none."""
    if not name:
        return layers[-1]
    for layer in layers:
        if layer.name == name:
            return layer
    raise fault(f'Requested layer "{name}" not found')


def unconnected(graph: Graph, layers: list[Layer]) -> list[int]:
    """Ids of the layers nobody reads, ascending."""
    ends = {n.index for n in graph.nodes if not graph.consumers(n.index)} | set(graph.outputs)
    return [at for at, layer in enumerate(layers, 1)
            if layer.node in ends and layer.gives in ("map", "rows")]
