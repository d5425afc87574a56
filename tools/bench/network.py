"""A Darknet network with folded float32 weights: what every peer's model is built from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from darkfuse.errors import DarkfuseError
from darkfuse.graph import Graph, Node, load_graph
from darkfuse.graph.weights import weight_offsets
from tools.bench.peer import Job

HEADS = ("region", "yolo")  # decoded by none of the peers: all stop at what these read


@dataclass(frozen=True)
class Network:
    """A graph up to its heads, with weights.

    Attributes
    ----------
    graph : Graph
        The network.
    nodes : tuple of Node
        Its layers in order, heads left out.
    outputs : tuple of int
        Layers the heads read, or the graph's own outputs where there is no head.
    folded : dict
        By convolutional layer: kernels (filters, channels / groups, size, size) and biases (filters,), both
        float32 with batch normalisation folded in.
    """

    graph: Graph
    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
    folded: dict[int, tuple[np.ndarray, np.ndarray]]

    def readers(self, index: int) -> int:
        """How many inputs of layers (heads aside) read layer `index`; -1 is the image."""
        return sum(node.inputs.count(index) for node in self.nodes)


def without_heads(graph: Graph) -> tuple[tuple[Node, ...], tuple[int, ...]]:
    """The layers that are no heads, and the layers whose maps the heads read."""
    nodes = tuple(node for node in graph.nodes if node.kind not in HEADS)
    heads = [node for node in graph.nodes if node.kind in HEADS]
    return nodes, tuple(node.inputs[0] for node in heads) or graph.outputs


def shortcut_fit(node: Node) -> tuple[int, int]:
    """What a shortcut's added map needs to have the other's shape: every how many-th row and column of it are
    taken, and how many channels of zeros come behind its own.

    Raises
    ------
    DarkfuseError
        For sums of other kinds.
    """
    here, there = node.in_shapes[0], node.in_shapes[-1]
    step = there.h // here.h
    sum_of_two = len(node.in_shapes) == 2 and node.weights is None
    if not sum_of_two or getattr(node.options, "activation", "") not in ("linear", "leaky") \
            or (there.h, there.w) != (here.h * step, here.w * step) or there.c > here.c:
        raise DarkfuseError(f"layer {node.index}: peers are not given shortcuts like this one")
    return step, here.c - there.c


def read_network(cfg: str, weights: str, size: int) -> Network:
    """Read a cfg for a square input of `size` pixels, and its weights.

    Raises
    ------
    DarkfuseError
        For a cfg or weights file that cannot be used.
    """
    graph = load_graph(cfg, size, size)
    nodes, outputs = without_heads(graph)
    index = weight_offsets(graph, weights)
    folded = {}
    for node, start in zip(graph.nodes, index.offsets):
        if node.kind == "convolutional" and node.weights and start is not None:
            folded[node.index] = _fold(node, np.fromfile(weights, "<f4", node.weights.total, offset=start),
                                       graph.dialect.epsilons)
    return Network(graph, nodes, outputs, folded)


def _fold(node: Node, values: np.ndarray, epsilons: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    layout = node.weights
    assert layout is not None

    def part(name: str) -> np.ndarray:
        start = layout.offset(name)
        return values[start : start + getattr(layout, name)]

    size = node.options.size  # type: ignore[attr-defined]
    kernels, biases = part("kernels").reshape(layout.biases, -1, size, size), part("biases")
    if not layout.scales:
        return kernels, biases
    in_root, beside = map(np.float32, epsilons)
    scale = part("scales") / (np.sqrt(part("variances") + in_root) + beside)
    return kernels * scale[:, None, None, None], biases - part("means") * scale


def input_array(graph: Graph, seed: int) -> np.ndarray:
    """A picture of noise, (channels, height, width) float32 in [0, 1): the same in every process."""
    rng = np.random.Generator(np.random.PCG64(seed))
    return rng.random((graph.input.c, graph.input.h, graph.input.w), np.float32)


def input_arrays(graph: Graph, job: Job) -> np.ndarray:
    """As many of them as a job has at a time, (pictures, channels, height, width)."""
    return np.repeat(input_array(graph, job.seed)[None], job.batch, axis=0)
