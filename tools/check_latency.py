#!/usr/bin/env python3
"""The chosen plan against many others, all of them really run.

    check_latency.py --weights DIR

For yolov2-16 at 608 and yolov2-tiny, three budgets each: plans at random (cuts, grids, cache modes, kernels,
residencies) that fit the budget, the paper's choice among them, every one run in the engine. Says how the
chosen plan compares with the fastest of all, and how well the times were predicted. A first round runs each
plan for two frames; the fastest few and the chosen one are then run in turns, so that a noisy moment hits
all.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import statistics
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a plain checkout is enough to run this

from darkfuse import process
from darkfuse.cli.main import Parser
from darkfuse.errors import BudgetError, DarkfuseError, PlanError
from darkfuse.graph import Graph, load_graph
from darkfuse.graph.weights import weight_offsets
from darkfuse.model.weights import WeightsIndex
from darkfuse.plan.device import Device, load_device
from darkfuse.plan.lower import lower
from darkfuse.plan.mafat import mafat_plan
from darkfuse.plan.notation import parse_plan
from darkfuse.plan.predict import predict
from darkfuse.plan.search import plan_for
from darkfuse.plan.types import Group, Plan
from tools.check_prediction import weights_of

ROOT = Path(__file__).resolve().parent.parent
BUDGETS = {"yolov2-16": (12, 24, 48), "yolov2-tiny": (5, 16, 40)}  # MB of arena
HEIGHTS = (1, 2, 3, 4, 6, 8, 12, 16, 32)  # rows of a tile
MB = 1 << 20


@dataclass
class Run:
    """One plan: predicted and measured milliseconds a frame."""

    plan: Plan
    predicted: float
    measured: float


class Bench:
    """Runs plans of one network on one photo."""

    def __init__(self, graph: Graph, index: WeightsIndex, device: Device) -> None:
        self.graph, self.index, self.device = graph, index, device
        self.width, self.height = 768, 576
        self.photo = bytes(n * 7 % 251 for n in range(self.width * self.height * 3))

    def run(self, plan: Plan, frames: int) -> Run:
        """Fastest of some frames, after one that does not count."""
        from darkfuse.engine._engine import Engine

        program = lower(self.graph, plan, (), self.index)
        engine = Engine(program, self.index.path, plan.threads)
        times = []
        try:
            for _ in range(frames + 1):
                engine.run_image(self.photo, self.width, self.height)
                times.append(engine.stats()["latency_ms"])
        finally:
            engine.close()
        return Run(plan, predict(self.graph, plan, self.device, program=program).ms, min(times[1:]))


def random_plans(graph: Graph, mem: int, threads: int, count: int, seed: int) -> Iterator[Plan]:
    """`count` different plans whose arena fits `mem`."""
    dice = random.Random(seed)
    seen: set[Plan] = set()
    tries = 0
    while len(seen) < count and tries < 60 * count:
        tries += 1
        try:
            plan = vary(parse_plan(random_text(graph, dice), graph, threads), graph, dice)
            arena = lower(graph, plan).arena_bytes
        except PlanError:
            continue
        if arena <= mem and plan not in seen:
            seen.add(plan)
            yield replace(plan, arena_bytes=arena)


def random_text(graph: Graph, dice: random.Random) -> str:
    """Cuts, grids and residencies in the paper's notation, extended."""
    cuts = sorted(dice.sample(range(1, len(graph.nodes)), dice.randint(0, 5)))
    lean = dice.random() < 0.6  # little of it pinned: nearly nothing else fits a small budget
    words = []
    for number, last in enumerate([*cuts, len(graph.nodes)]):
        shape = graph.node(last - 1).out_shape
        down = dice.choice([-(-shape.h // rows) for rows in HEIGHTS if rows <= shape.h])
        across = dice.choice([1, 1, 1, 1, 2, 3, 5])
        grid = f"{down}x{min(across, shape.w)}{dice.choice(['', '', '', 'n'])}"
        grid += "l" if lean and last > len(graph.nodes) // 2 else dice.choice(["", "l"])
        words.append(dice.choice([grid, grid, "s", "s", "l"] if lean else [grid, grid, "s", "l", "p", "p"]))
        if number < len(cuts):
            words.append(str(last))
    return "/".join(words)


def vary(plan: Plan, graph: Graph, dice: random.Random) -> Plan:
    """Other kernels, strips and reads than the rule of thumb's, here and there."""
    groups = []
    for group in plan.groups:
        layers = []
        for layer in group.layers:
            if layer.kernel == "winograd":
                strip = dice.choice([0, 0, 1, 2, 4, 4, 8])
                kernel = dice.choice(["winograd", "winograd", "winograd", "direct"])
                layer = replace(layer, kernel=kernel, strip=strip if kernel == "winograd" else 0)
            if layer.residency == "streamed":
                block, raw, slots = dice.choice([(32, 16, 2), (32, 8, 2), (32, 16, 4), (64, 16, 6)])
                layer = replace(layer, block=block, raw=raw, slots=slots)
            layers.append(layer)
        groups.append(Group(tuple(layers), group.grid, group.cache))
    return replace(plan, groups=tuple(groups))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print; returns the exit status."""
    parser = Parser(prog="check_latency", description=__doc__,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NAME", help=f"default: {' '.join(BUDGETS)}")
    parser.add_argument("--weights", metavar="DIR", action="append", default=[],
                        help="folder of NAME.weights, again for more (default: random ones are made)")
    parser.add_argument("--plans", type=int, default=200, metavar="N", help="plans a network (default 200)")
    parser.add_argument("--threads", type=int, metavar="N", help="default: one a core")
    parser.add_argument("--device", metavar="NAME", help="the profile to plan with")
    parser.add_argument("--budgets", metavar="MB[,MB]", help="of the arena (default: three for each network)")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    warnings.simplefilter("ignore")  # yolov2-16 leaves most of its file
    errors: list[float] = []
    try:
        with tempfile.TemporaryDirectory(prefix="darkfuse-") as folder:
            for name in args.networks or BUDGETS:
                errors += network(name, Path(folder), args)
    except DarkfuseError as error:
        print(f"check_latency: {error}", file=sys.stderr)
        return 2
    print(f"median prediction error over {len(errors)} plans: {100 * statistics.median(errors):.1f}%")
    return 0


def network(name: str, folder: Path, args: argparse.Namespace) -> list[float]:
    """All budgets of one network; returns the relative errors of the predictions."""
    graph, device = load_graph(str(ROOT / "cfg" / f"{name}.cfg")), load_device(args.device)
    index = weight_offsets(graph, str(weights_of(name, folder, args.weights)))
    bench, threads = Bench(graph, index, device), args.threads or process.cpu_count()
    errors = []
    budgets = [int(word) for word in args.budgets.split(",")] if args.budgets else BUDGETS.get(name, (16, 64))
    for number, budget in enumerate(budgets):
        mem = budget * MB
        chosen = plan_for(graph, mem, threads, False, device)
        count = args.plans // len(budgets) + 1
        plans = list(random_plans(graph, mem, threads, count, args.seed + number))
        with contextlib.suppress(BudgetError):
            plans.append(mafat_plan(graph, mem, threads))
        runs = [bench.run(plan, 2) for plan in plans]
        best = sorted(runs, key=lambda run: run.measured)[:4]
        errors += [abs(run.predicted / run.measured - 1) for run in runs]
        finals = [replace_time(run) for run in (Run(chosen, 0.0, 0.0), *best)]
        for _ in range(6):
            for run in finals:
                again = bench.run(run.plan, 3)
                run.predicted, run.measured = again.predicted, min(run.measured, again.measured)
        ours, others = finals[0], min(finals[1:], key=lambda run: run.measured)
        errors.append(abs(ours.predicted / ours.measured - 1))
        behind = 100 * (ours.measured / others.measured - 1)
        error = 100 * statistics.median(errors[-len(runs) - 1:])
        print(f"{name:12} {budget:3} MB: chosen {ours.measured:6.1f} ms (predicted {ours.predicted:6.1f}), "
              f"fastest of {len(runs)} others {others.measured:6.1f} ms: {behind:+.1f}%; "
              f"median error {error:.1f}%", flush=True)
    return errors


def replace_time(run: Run) -> Run:
    """The same plan, not measured yet."""
    return Run(run.plan, run.predicted, float("inf"))


if __name__ == "__main__":
    sys.exit(main())
