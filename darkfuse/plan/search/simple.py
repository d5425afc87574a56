"""The simplest plans: every layer on its own, whole maps. And the rule of thumb for kernels they share."""

from __future__ import annotations

from darkfuse.graph import Graph, Node
from darkfuse.graph.layers.convolutional import ConvOptions
from darkfuse.plan.layout.weights import able_kernels
from darkfuse.plan.types import Group, LayerPlan, Plan

READ_BYTES = 256 << 10  # large enough that a read costs its bytes and no more


def choose_kernel(graph: Graph, node: Node, exact: bool = False) -> str:
    """Kernel for one layer by rule of thumb; 'none' for a layer without one.

    Winograd pays from four 4x4 tiles per filter read, and needs channels to hide its transforms
    behind. It rounds differently from the other kernels, so `exact` leaves it out.
    """
    options = node.options
    if not isinstance(options, ConvOptions):
        return "none"
    if node.inputs[0] == -1 and graph.input.c == 3 and _only_convolutions_read_input(graph):
        return "first"
    able = able_kernels(options, False)
    shape = node.out_shape
    tiles = -(-shape.h // 4) * -(-shape.w // 4)
    if not exact and "winograd" in able and tiles >= 4 and node.in_shapes[0].c >= 16 and shape.c >= 32:
        return "winograd"
    return able[0]


def _only_convolutions_read_input(graph: Graph) -> bool:
    for index in graph.consumers(-1):
        options = graph.node(index).options
        if not isinstance(options, ConvOptions) or not able_kernels(options, True):
            return False
    return True


def choose_strip(node: Node) -> int:
    """Winograd tile rows at a time: few where the map is large, all of them where the filters are."""
    if node.in_shapes[0].c > 128:
        return 0
    return 4 if node.out_shape.w <= 76 else 2


def choose_raw(node: Node, block: int = 32) -> int:
    """Filters in one read: up to `READ_BYTES`, 8 at least; a block is a whole number of reads."""
    if node.weights is None or not node.has_kernels:
        return 16
    per_filter = 4 * node.weights.kernels // node.weights.biases
    raw = block
    while raw % 16 == 0 and raw * per_filter > READ_BYTES:
        raw //= 2
    return raw


def plan_layer(graph: Graph, node: Node, residency: str, exact: bool = False, block: int = 32) -> LayerPlan:
    """A `LayerPlan` with kernel, strip and reads by rule of thumb.

    `residency` counts for layers with weights; the others get 'none'.
    """
    kernel = choose_kernel(graph, node, exact)
    raw = choose_raw(node, block)
    return LayerPlan(
        node=node.index,
        kernel=kernel,
        residency=residency if node.has_kernels else "none",
        block=block,
        raw=raw,
        slots=1 + block // raw if kernel == "winograd" else 2,  # Winograd computes from a whole block of them
        strip=choose_strip(node) if kernel == "winograd" else 0,
    )


def layer_by_layer(graph: Graph, threads: int = 1, residency: str = "pinned", exact: bool = False) -> Plan:
    """Each layer a group of its own, whole maps, in the order of the cfg.

    Parameters
    ----------
    graph : Graph
    threads : int
    residency : str
        'pinned' (all weights stay packed), 'loaded' or 'streamed'.
    exact : bool
        Leave out Winograd.
    """
    groups = tuple(Group((plan_layer(graph, node, residency, exact),)) for node in graph.nodes)
    return Plan(graph.name, graph.fingerprint(), groups, threads, exact)
