"""Which bytes of a `.weights` file belong to which node."""

from __future__ import annotations

from darkfuse.graph.ir import Graph
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
        stored = node.index < cutoff and not section.integer("dontload", 0)
        counts.append(node.weights.total if node.weights and stored else 0)
        labels.append(f"layer {node.index} ({node.kind}, {graph.path}:{node.line})")
    return load_weights_index(weights_path, counts, labels)
