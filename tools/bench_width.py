#!/usr/bin/env python3
"""Arena of a network by the width of its input: the least that plans.

    bench_width.py cfg/yolov2-16.cfg cfg/yolov2.cfg [--widths 416 608 1216 2432]

Plans only: needs no weights and runs nothing. The first four columns keep the cfg's height: twice the width
is twice the area; the last four are of inputs as high as they are wide. "Outputs" are the maps handed over,
which grow with the area whatever is done; "all maps" is what a program that keeps every layer's output would
take. Prints Markdown tables, in MiB.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a plain checkout is enough to run this

from darkfuse.errors import DarkfuseError
from darkfuse.graph import load_graph
from darkfuse.host.interrupt import end_cleanly
from darkfuse.plan.search.search import plan_for

MIB = 1 << 20


def row(cfg: str, width: int, height: int) -> str:
    """One input size's cells."""
    graph = load_graph(cfg, width, height)
    arena = plan_for(graph, 0, 1, False, None).arena_bytes
    outputs = sum(4 * graph.node(index).out_shape.values for index in graph.outputs)
    maps = sum(4 * node.out_shape.values for node in graph.nodes)
    return f"{width}x{height} | {arena / MIB:.2f} | {(arena - outputs) / MIB:.2f} | {maps / MIB:.0f}"


def main(argv: list[str] | None = None) -> int:
    """Print the tables; 2 for a cfg that cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cfg", nargs="+")
    parser.add_argument("--widths", type=int, nargs="+", default=[416, 608, 1216, 2432], metavar="W")
    args = parser.parse_args(argv)
    try:
        for cfg in args.cfg:
            height = load_graph(cfg).input.h
            cells = "input | least arena | without outputs | all maps"
            print(f"\n{os.path.basename(cfg)}\n\n| {cells} | {cells} |\n" + "|---" * 8 + "|")
            for width in args.widths:
                print(f"| {row(cfg, width, height)} | {row(cfg, width, width)} |", flush=True)
    except DarkfuseError as error:
        print(f"bench_width: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    end_cleanly()
    sys.exit(main())
