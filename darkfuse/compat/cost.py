"""What OpenCV says a network costs: `getFLOPS` and `getMemoryConsumption`, by its own way of counting."""

from __future__ import annotations

from darkfuse.compat.layers import Layer
from darkfuse.graph import Graph

# Operations for each value of a layer's output (Region: of its input); measured from OpenCV 4.14's answers.
# A multiply-add is two, so a convolution's are 2 for each tap and 1 for the bias.
_EACH = {"BatchNorm": 3, "ReLU": 1, "ReLU6": 2, "Sigmoid": 3, "Swish": 3, "Mish": 3, "TanH": 1, "ELU": 2,
         "Softmax": 4, "Reorg": 21, "Eltwise": 1, "Scale": 2}
_REGION = 60
FLOAT = 4


def flops(graph: Graph, layers: list[Layer], pictures: int) -> int:
    """Operations of one pass over that many pictures."""
    total = 0
    for layer in layers:
        node = graph.node(layer.node)
        values = node.out_shape.values
        if layer.type in ("Convolution", "InnerProduct"):
            # OpenCV counts every input channel, also where groups leave most of them out
            total += 2 * node.macs * getattr(node.options, "groups", 1)
            total += values if layer.type == "Convolution" else 0
        elif layer.type == "Pooling":
            window = node.window  # of an average over the whole map OpenCV knows no size, and counts 2
            total += values * (window.kernel ** 2 if window and node.kind == "maxpool" else 2)
        elif layer.type == "Region":  # a [yolo] layer has the picture as a second input
            total += _REGION * (values + (graph.input.values if node.kind == "yolo" else 0))
        else:
            total += 2 * node.out_shape.c if layer.type == "Scale" else 0  # of the channels' factors
            total += _EACH.get(layer.type, 0) * values * (len(node.inputs) if layer.type == "Eltwise" else 1)
    return total * pictures


def memory(graph: Graph, layers: list[Layer], pictures: int) -> tuple[int, int]:
    """Bytes of all weights, and of all outputs and the input together."""
    weights, maps = 0, graph.input.values
    for layer in layers:
        node = graph.node(layer.node)
        if layer.type == "Region":
            weights += 2 * len(getattr(node.options, "anchors", ()))
        elif node.weights and layer.type in ("Convolution", "InnerProduct"):
            weights += node.weights.total  # with those of the BatchNorm layer after it
        if layer.type == "Concat":
            maps += sum(shape.values for shape in node.in_shapes)
        else:
            maps += node.out_shape.values
    return weights * FLOAT, maps * FLOAT * pictures
