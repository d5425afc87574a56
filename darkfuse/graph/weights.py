"""Which bytes of a `.weights` file belong to which node."""

from __future__ import annotations

from dataclasses import replace

from darkfuse.graph.ir import Graph, Node
from darkfuse.graph.layers.convolutional import ConvOptions
from darkfuse.model.weights import WeightsIndex, load_weights_index


def weight_offsets(graph: Graph, weights_path: str) -> WeightsIndex:
    """Lay a graph over its `.weights` file; reads the header only.

    `offsets[i]` is the absolute byte offset of node i's first float, in the order of its `WeightLayout`; None
    for a node without weights, and for one whose weights are not in the file: `dontload=1` in its section, or
    an index not below `cutoff=` in `[net]`. Such a layer's weights count as zeros.

    Raises
    ------
    WeightsError
        Unreadable, nonsense header, or too short (names the layer and the bytes missing).

    Warns
    -----
    WeightsWarning
        The file is longer than the network needs.
    """
    cutoff = graph.cfg.net.integer("cutoff", len(graph.nodes))
    counts, labels = [], []
    for node, section in zip(graph.nodes, graph.cfg.layers):
        stored = node.index < cutoff and not section.integer("dontload", 0) and shared_from(node) < 0
        counts.append(node.weights.total if node.weights and stored else 0)
        labels.append(f"layer {node.index} ({node.kind}, {graph.path}:{node.line})")
    index = load_weights_index(weights_path, counts, labels)
    offsets = list(index.offsets)
    for node in graph.nodes:
        if shared_from(node) >= 0:
            offsets[node.index] = offsets[shared_from(node)]
    return replace(index, offsets=tuple(offsets))


def shared_from(node: Node) -> int:
    """The layer whose weights a convolution uses (AlexeyAB's `share_index`), or -1 for weights of its own."""
    return node.options.share_index if isinstance(node.options, ConvOptions) else -1
