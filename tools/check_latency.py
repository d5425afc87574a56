#!/usr/bin/env python3
"""The chosen plan against many others, all of them really run.

    check_latency.py --weights DIR

For yolov2-16 at 608 and yolov2-tiny, three budgets each: plans at random (cuts, grids, cache modes, kernels,
residencies) that fit the budget, the paper's choice among them, every one run in the engine. Says how the
chosen plan compares with the fastest of all, and how well the times were predicted. Every plan is run twice,
some frames each, first all of them and then all again, and the faster median counts: a moment in which the
machine was busy with something else seldom comes back for the same plan. The fastest few and the chosen one
are then run in turns.
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

from darkfuse.cli.main import Parser
from darkfuse.errors import BudgetError, DarkfuseError, PlanError
from darkfuse.graph import Graph, load_graph
from darkfuse.graph.weights import weight_offsets
from darkfuse.host import process
from darkfuse.host.interrupt import end_cleanly
from darkfuse.model.weights import WeightsIndex
from darkfuse.plan.layout.lower import lower
from darkfuse.plan.price.device import Device, load_device
from darkfuse.plan.price.predict import predict
from darkfuse.plan.search.mafat import mafat_plan
from darkfuse.plan.search.search import plan_for
from darkfuse.plan.show.notation import parse_plan
from darkfuse.plan.types import Group, Plan
from darkfuse.session.calibrate import calibrate
from tools.check_prediction import weights_of

ROOT = Path(__file__).resolve().parent.parent
BUDGETS = {"yolov2-16": (12, 24, 48), "yolov2-tiny": (5, 16, 40)}  # MB of arena
HEIGHTS = (1, 2, 3, 4, 6, 8, 12, 16, 32)  # rows of a tile
MB = 1 << 20


@dataclass
class Run:
    """One plan: predicted and measured milliseconds a frame, and how far apart the last two turns were."""

    plan: Plan
    predicted: float
    measured: float
    apart: float = 0.0


class Bench:
    """Runs plans of one network on one photo."""

    def __init__(self, graph: Graph, index: WeightsIndex, device: Device) -> None:
        self.graph, self.index, self.device = graph, index, device
        self.width, self.height = 768, 576
        self.photo = bytes(n * 7 % 251 for n in range(self.width * self.height * 3))

    def run(self, plan: Plan, frames: int) -> Run:
        """The median of some frames, after one that does not count."""
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
        return Run(plan, predict(self.graph, plan, self.device, program=program).ms,
                   statistics.median(times[1:]))

    def turns(self, plans: Sequence[Plan], turns: int, frames: int) -> list[Run]:
        """All plans in turns; the faster median of each counts."""
        runs = [self.run(plan, frames) for plan in plans]
        for _ in range(turns - 1):
            for run in runs:
                again = self.run(run.plan, frames).measured
                run.apart = abs(again / run.measured - 1)
                run.measured = min(run.measured, again)
        return runs


@dataclass(frozen=True)
class Genes:
    """Layers behind which groups end, and how each group runs, in the paper's notation, extended."""

    cuts: tuple[int, ...]
    words: tuple[str, ...]

    def text(self) -> str:
        return "/".join(f"{word}/{cut}" for word, cut in zip(self.words, self.cuts)) \
            + "/" * bool(self.cuts) + self.words[-1]


def random_plans(graph: Graph, mem: int, threads: int, count: int, seed: int) -> Iterator[Plan]:
    """`count` different plans whose arena fits `mem`: at random, and changed from those found so far, as few
    made at random fit a small budget."""
    dice = random.Random(seed)
    seen: set[Plan] = set()
    found: list[Genes] = []
    tries = 0
    while len(seen) < count and tries < 60 * count:
        tries += 1
        parent = dice.choice(found) if found and dice.random() < 0.6 else None
        genes = changed(parent, graph, dice) if parent else random_genes(graph, dice)
        try:
            plan = vary(parse_plan(genes.text(), graph, threads), graph, dice)
            arena = lower(graph, plan).arena_bytes
        except PlanError:
            continue
        if arena <= mem and plan not in seen:
            seen.add(plan)
            found.append(genes)
            yield replace(plan, arena_bytes=arena)


def random_genes(graph: Graph, dice: random.Random) -> Genes:
    """Cuts, grids and residencies."""
    cuts = sorted(dice.sample(range(1, len(graph.nodes)), dice.randint(0, 5)))
    lean = dice.random() < 0.6  # little of it pinned: nearly nothing else fits a small budget
    words = [random_word(graph, last, lean, dice) for last in (*cuts, len(graph.nodes))]
    return Genes(tuple(cuts), tuple(words))


def random_word(graph: Graph, last: int, lean: bool, dice: random.Random) -> str:
    """How a group that ends before layer `last` runs."""
    shape = graph.node(last - 1).out_shape
    down = dice.choice([-(-shape.h // rows) for rows in HEIGHTS if rows <= shape.h])
    across = dice.choice([1, 1, 1, 1, 2, 3, 5])
    grid = f"{down}x{min(across, shape.w)}{dice.choice(['', '', '', 'n'])}"
    grid += "l" if lean and last > len(graph.nodes) // 2 else dice.choice(["", "l"])
    return dice.choice([grid, grid, "s", "s", "l"] if lean else [grid, grid, "s", "l", "p", "p"])


def changed(genes: Genes, graph: Graph, dice: random.Random) -> Genes:
    """Another cut, one cut less, or another way to run one group."""
    cuts, words = list(genes.cuts), list(genes.words)
    what = dice.random()
    free = sorted(set(range(1, len(graph.nodes))) - set(cuts))
    if what < 0.25 and free and len(cuts) < 8:
        cut = dice.choice(free)
        at = sum(other < cut for other in cuts)
        cuts.insert(at, cut)
        words.insert(at, random_word(graph, cut, True, dice))
    elif what < 0.4 and cuts:
        at = dice.randrange(len(cuts))
        del cuts[at], words[at]
    else:
        at = dice.randrange(len(words))
        words[at] = random_word(graph, [*cuts, len(graph.nodes)][at], dice.random() < 0.6, dice)
    return Genes(tuple(cuts), tuple(words))


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
                ways = [(32, 16, 2), (32, 8, 5), (32, 16, 4), (64, 32, 3), (64, 32, 5)]
                block, raw, slots = dice.choice(ways)
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
    parser.add_argument("--count", type=int, default=204, metavar="N", help="plans a network (default 204)")
    parser.add_argument("--frames", type=int, default=3, metavar="N", help="frames a run (default 3)")
    parser.add_argument("--threads", type=int, metavar="N", help="default: one a core")
    parser.add_argument("--device", metavar="NAME", help="the profile to plan with")
    parser.add_argument("--measure", action="store_true",
                        help="measure this machine before and after each budget rather than take its "
                        "profile: for one whose neighbours come and go")
    parser.add_argument("--budgets", metavar="MB[,MB]", help="of the arena (default: three for each network)")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    warnings.simplefilter("ignore")  # yolov2-16 leaves most of its file
    done: dict[str, list[Budget]] = {}
    try:
        with tempfile.TemporaryDirectory(prefix="darkfuse-") as folder:
            for name in args.networks or BUDGETS:
                done[name] = list(network(name, Path(folder), args))
    except DarkfuseError as error:
        print(f"check_latency: {error}", file=sys.stderr)
        return 2
    for name, budgets in done.items():
        print(f"{name:12} {summary(budgets)}")
    print(f"{'all':12} {summary([one for budgets in done.values() for one in budgets])}")
    return 0


@dataclass
class Budget:
    """Errors of the predictions, as shares of what was measured, and how far the chosen plan is behind the
    fastest other one (negative: ahead)."""

    errors: list[float]
    behind: float


def summary(budgets: Sequence[Budget]) -> str:
    """Counts and medians over budgets."""
    errors = [error for one in budgets for error in one.errors]
    return (f"{len(errors)} plans: median prediction error {100 * statistics.median(map(abs, errors)):.1f}% "
            f"(half of them above {100 * statistics.median(errors):+.1f}%); chosen plan at most "
            f"{100 * max(one.behind for one in budgets):+.1f}% behind the fastest")


def network(name: str, folder: Path, args: argparse.Namespace) -> Iterator[Budget]:
    """One network, budget by budget."""
    graph, device = load_graph(str(ROOT / "cfg" / f"{name}.cfg")), load_device(args.device)
    index = weight_offsets(graph, str(weights_of(ROOT / "cfg" / f"{name}.cfg", folder, args.weights)))
    threads = args.threads or process.cpu_count()
    budgets = [int(word) for word in args.budgets.split(",")] if args.budgets else BUDGETS.get(name, (16, 64))
    for number, budget in enumerate(budgets):
        if args.measure:
            device = calibrate("before", [threads], 6.0)
        bench, mem = Bench(graph, index, device), budget * MB
        chosen = plan_for(graph, mem, threads, False, device)
        plans = list(random_plans(graph, mem, threads, args.count // len(budgets), args.seed + number))
        with contextlib.suppress(BudgetError):
            plans.append(mafat_plan(graph, mem, threads))
        runs = bench.turns(plans, 2, args.frames)
        best = sorted(runs, key=lambda run: run.measured)[:4]
        ours, *others = bench.turns([chosen, *(run.plan for run in best)], 6, args.frames)
        if args.measure:  # as for the plans, the faster of two turns counts
            later = calibrate("after", [threads], 6.0)
            if predict(graph, chosen, later).ms < predict(graph, chosen, device).ms:
                for run in (*runs, ours):
                    run.predicted = predict(graph, run.plan, later).ms
        errors = [run.predicted / run.measured - 1 for run in (*runs, ours)]
        fastest = min(run.measured for run in others)
        behind = ours.measured / fastest - 1
        print(f"{name:12} {budget:3} MB: chosen {ours.measured:6.1f} ms (predicted {ours.predicted:6.1f}), "
              f"fastest of {len(runs)} others {fastest:6.1f} ms: {100 * behind:+.1f}%; "
              f"median error {100 * statistics.median(map(abs, errors)):.1f}%; two turns of one plan are "
              f"{100 * statistics.median(run.apart for run in runs):.1f}% apart", flush=True)
        yield Budget(errors, behind)


if __name__ == "__main__":
    end_cleanly()
    sys.exit(main())
