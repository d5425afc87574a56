#!/usr/bin/env python3
"""Write seeded random weights for any cfg.

    make_weights.py cfg/yolov2.cfg yolov2-random.weights --seed 1

The numbers are random but well behaved: activations keep their scale through the whole depth, batch
normalisation is never the identity (so that folding it wrongly shows), and detection layers find few objects,
as trained ones do. One cfg and one seed give the same bytes on every machine; the size of the network's input
does not matter.
"""

from __future__ import annotations

import argparse
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a plain checkout is enough to run this

from darkfuse.errors import DarkfuseError
from darkfuse.graph import Graph, Node, WeightLayout, load_graph
from darkfuse.host.files import WholeFile
from darkfuse.host.interrupt import end_cleanly

IMAGES_SEEN = 32013312  # 500200 batches of 64 and a little: how long YOLOv2 was trained
BOX_TERMS = 4  # x, y, w, h come before objectness


def make_weights(graph: Graph, path: str, seed: int = 1) -> int:
    """Write random weights for `graph` in Darknet's layout, version 0.2 (8 bytes of images seen).

    Parameters
    ----------
    graph : Graph
        The network.
    path : str
        File to write; complete or not there at all.
    seed : int
        Zero or more.

    Returns
    -------
    int
        Bytes written.

    Raises
    ------
    DarkfuseError
        When the file cannot be written.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    with WholeFile(path, "the weights") as out:
        out.write(struct.pack("<iiiQ", 0, 2, 5, IMAGES_SEEN))
        for node in graph.nodes:
            for values in _layer(graph, node, rng):
                out.write(values.astype("<f4").tobytes())
        size = out.file.tell()
    return size


def _layer(graph: Graph, node: Node, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """The arrays of one layer in file order. The order of the draws is part of the format: keep it."""
    layout = node.weights
    if layout is None or getattr(node.options, "share_index", -1) >= 0:
        return
    if not layout.kernels:
        yield from _parameters(node, layout, rng)
        return
    filters = layout.biases
    inputs = layout.kernels // filters  # values that one output sums over
    biases = rng.normal(0.0, 0.1, filters)
    kernels = rng.normal(0.0, np.sqrt(2.0 / inputs), (filters, inputs))  # He: keeps the scale through ReLUs
    parts = {"biases": biases, "kernels": kernels}
    if layout.scales:
        parts["scales"] = rng.uniform(0.7, 1.3, filters)
        if _ends_a_residual(graph, node):
            parts["scales"] *= 0.35  # a sum of twenty such layers keeps its scale as well
        parts["means"] = rng.normal(0.0, 0.2, filters)
        parts["variances"] = rng.uniform(0.6, 1.6, filters)
    else:
        # No batch norm: a layer of scores, which should be decided; maps have grown a little with every sum
        sums = sum(other.kind == "shortcut" for other in graph.nodes[: node.index])
        parts["kernels"] *= 2.5 * 0.885**sums
        _make_sparse(graph, node, parts)
    for name in layout.order:
        if name in parts:
            yield parts[name]


def _ends_a_residual(graph: Graph, node: Node) -> bool:
    """Whether a layer's map goes straight into a sum."""
    after = graph.nodes[node.index + 1] if node.index + 1 < len(graph.nodes) else None
    return after is not None and after.kind == "shortcut"


def _parameters(node: Node, layout: WeightLayout, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Of a layer without kernels: a batch norm of its own, or how a shortcut weights its maps."""
    if not layout.scales:
        yield rng.normal(0.5, 0.3, layout.biases)
        return
    if layout.biases:
        yield rng.normal(0.0, 0.1, layout.biases)
    yield rng.uniform(0.7, 1.3, layout.scales)
    yield rng.normal(0.0, 0.2, layout.means)
    yield rng.uniform(0.6, 1.6, layout.variances)


def _make_sparse(graph: Graph, node: Node, parts: dict[str, np.ndarray]) -> None:
    """Ahead of a region or yolo layer: boxes near their anchors, objects in few of them."""
    after = graph.nodes[node.index + 1] if node.index + 1 < len(graph.nodes) else None
    if after is None or after.kind not in ("region", "yolo"):
        return
    terms = BOX_TERMS + 1 + after.options.classes  # type: ignore[attr-defined]
    objectness = slice(BOX_TERMS, None, terms)
    parts["biases"][objectness] -= 4.0
    is_box = np.arange(len(parts["biases"])) % terms < BOX_TERMS
    parts["kernels"][is_box] *= 0.2


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("cfg", metavar="CFG")
    parser.add_argument("out", metavar="OUT.weights")
    parser.add_argument("--seed", type=int, default=1, help="zero or more (default 1)")
    options = parser.parse_args(argv)
    if options.seed < 0:
        parser.error(f"--seed {options.seed} is negative")
    try:
        size = make_weights(load_graph(options.cfg), options.out, options.seed)
    except DarkfuseError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{options.out}: {size} bytes")
    return 0


if __name__ == "__main__":
    end_cleanly()
    sys.exit(main())
