#!/usr/bin/env python3
"""Our search against the paper's, MAFAT (arXiv 2107.06960), on the layers it was made for, both really run.

    compare_mafat.py --weights DIR

Layers 0 to 15 of YOLOv2 at 608x608, budgets of the whole process from 16 to 256 MB. Both plans run in our
engine. A dash: nothing fits.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a plain checkout is enough to run this

from darkfuse import process
from darkfuse.cli.main import Parser
from darkfuse.errors import BudgetError, DarkfuseError
from darkfuse.graph import load_graph
from darkfuse.graph.weights import weight_offsets
from darkfuse.optimize import Answer, Planner
from darkfuse.plan.device import load_device
from darkfuse.plan.mafat import configurations, mafat_smallest, predicted_bytes
from darkfuse.plan.notation import format_plan
from darkfuse.plan.search import plan_for
from tools.check_latency import Bench, Run
from tools.check_prediction import weights_of

ROOT = Path(__file__).resolve().parent.parent
BUDGETS = (16, 20, 24, 28, 32, 40, 48, 64, 96, 128, 192, 256)
MB = 1 << 20


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the table; returns the exit status."""
    parser = Parser(prog="compare_mafat", description=__doc__,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", metavar="DIR", action="append", default=[],
                        help="folder of yolov2-16.weights (default: random ones are made)")
    parser.add_argument("--threads", type=int, metavar="N", help="default: one a core")
    parser.add_argument("--rounds", type=int, default=4, metavar="N", help="times each is run (default 4)")
    args = parser.parse_args(argv)
    warnings.simplefilter("ignore")  # yolov2's weights hold more than these layers
    try:
        with tempfile.TemporaryDirectory(prefix="darkfuse-") as folder:
            return compare(Path(folder), args)
    except DarkfuseError as error:
        print(f"compare_mafat: {error}", file=sys.stderr)
        return 2


def compare(folder: Path, args: argparse.Namespace) -> int:
    """The table, and the least memory of each."""
    graph = load_graph(str(ROOT / "cfg" / "yolov2-16.cfg"))
    device, threads = load_device(), args.threads or process.cpu_count()
    index = weight_offsets(graph, str(weights_of("yolov2-16", folder, args.weights)))
    bench, planner = Bench(graph, index, device), Planner(graph, device, threads)
    slower = 0
    print(f"{'budget':>7} {'ours':>10} {'MAFAT':>10}   MAFAT's plan")
    for budget in BUDGETS:
        found = {name: plan(planner, budget * MB, name) for name in ("exact", "mafat")}
        runs = {name: Run(a.plan, a.prediction.ms, float("inf")) for name, a in found.items() if a}
        for _ in range(args.rounds):
            for run in runs.values():  # in turns: a noisy moment hits both
                run.measured = min(run.measured, bench.run(run.plan, 4).measured)
        shown = {name: f"{runs[name].measured:.1f} ms" if name in runs else "-" for name in found}
        slower += len(runs) == 2 and runs["exact"].measured > 1.02 * runs["mafat"].measured
        text = format_plan(runs["mafat"].plan, graph) if "mafat" in runs else ""
        print(f"{budget:>5} M {shown['exact']:>10} {shown['mafat']:>10}   {text}", flush=True)
    ours, theirs = plan_for(graph, 0, threads, False, device), mafat_smallest(graph, threads)
    print(f"least arena: ours {ours.arena_bytes / MB:.1f} M, MAFAT's {theirs.arena_bytes / MB:.1f} M "
          f"({theirs.arena_bytes / ours.arena_bytes:.1f}x)")
    print(f"least process: ours {planner.budget_of(ours.arena_bytes) / MB:.1f} M, MAFAT's in our engine "
          f"{planner.budget_of(theirs.arena_bytes) / MB:.1f} M, by the paper's own estimate of its own "
          f"{min(predicted_bytes(graph, c) for c in configurations(graph)) / MB:.1f} M")
    return 1 if slower else 0


def plan(planner: Planner, budget: int, algorithm: str) -> Answer | None:
    """The plan for a budget; None when nothing fits."""
    try:
        return planner.fastest(budget, algorithm)
    except BudgetError:
        return None


if __name__ == "__main__":
    sys.exit(main())
