"""`darkfuse info CFG [WEIGHTS]`: what a network is made of, without running it."""

from __future__ import annotations

import argparse
from typing import Any

from darkfuse.cli import arguments


def add(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser("info")
    parser.add_argument("cfg", metavar="CFG", help="the network's .cfg")
    parser.add_argument("weights", metavar="WEIGHTS", nargs="?", help="its .weights, to check that they fit")
    arguments.add_dialect(parser)
    parser.add_argument("--width", type=int, help="network width in place of the cfg's")
    parser.add_argument("--height", type=int, help="network height in place of the cfg's")


def run(args: argparse.Namespace) -> int:
    """Print the layer table, and when weights are given what their file says."""
    from darkfuse.graph import load_graph
    from darkfuse.graph.table import layer_table
    from darkfuse.graph.weights import weight_offsets

    width, height = args.size or (args.width, args.height)
    graph = load_graph(args.cfg, width, height, args.dialect)
    index = weight_offsets(graph, args.weights) if args.weights else None
    for line in layer_table(graph):
        print(line)
    for line in graph.dialect.lines():
        print(line)
    if index:
        header = index.header
        print(f"{index.path}: {index.size:,} bytes, {header.bytes} of them header: version {header.major}."
              f"{header.minor}.{header.revision}, {header.seen:,} images seen")
    return 0
