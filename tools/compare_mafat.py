#!/usr/bin/env python3
"""Our search against the paper's, MAFAT (arXiv 2107.06960), on the layers it was made for, both really run.

    compare_mafat.py [table] [pixels] [photos] --weights DIR

Layers 0 to 15 of YOLOv2 at 608x608, budgets of the whole process from 16 to 256 MB. Both plans run in our
engine, which is kind to the paper's: Darknet under it would keep whole float images, unroll every convolution
(im2col) and compute halos again, where ours has line buffers. A dash: nothing fits.

Then each search's smallest plan runs in memory cgroups without swap, ever smaller ones, until it is killed or
a frame takes more than 1.1 times as long as in a group of its budget and 12 MB (no swap either): once with
frames handed over as pixels, as from a camera, and once by `darkfuse detect` with photos, which a second
process decodes. Pages of program files that were in the page cache before are not charged to these groups.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a plain checkout is enough to run this

from darkfuse.cli.main import Parser
from darkfuse.errors import BudgetError, DarkfuseError
from darkfuse.graph import load_graph
from darkfuse.graph.weights import weight_offsets
from darkfuse.host import process
from darkfuse.host.interrupt import end_cleanly
from darkfuse.plan.price.device import load_device
from darkfuse.plan.search.mafat import configurations, mafat_smallest, predicted_bytes
from darkfuse.plan.search.search import plan_for
from darkfuse.plan.show.annotate import annotate
from darkfuse.plan.show.notation import format_plan
from darkfuse.session.budget import HELPER_BYTES
from darkfuse.session.whatif import Answer, Planner
from tools.check_latency import Bench, Run
from tools.check_prediction import make_photo, weights_of
from tools.memory_limit import run as run_limited

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("table", "pixels", "photos")
BUDGETS = (16, 20, 24, 28, 32, 40, 48, 64, 96, 128, 192, 256)
MB = 1 << 20
STEP = MB // 8  # how closely the least limit is looked for
SLOWER = 1.1  # a frame that takes longer than this in a smaller group is short of memory
FRAMES = 7
# Frames from a buffer that is there already: (608, 608, 3) uint8 handed to a network as its cfg plans it
PIXELS = """
import json, sys, warnings
sys.path.insert(0, sys.argv[1])
from darkfuse.host.lazy import lazy
lazy("inspect")
from darkfuse.session.network import load
from darkfuse.engine._engine import give_back
warnings.simplefilter("ignore")
give_back()
net = load(sys.argv[2], sys.argv[3], video_bytes=0)
size = net.graph.input
frame = memoryview(bytes(size.h * size.w * 3)).cast("B", (size.h, size.w, 3))
found = []
for _ in range(int(sys.argv[4])):
    net.detect(frame)
    found.append({"stats": net.stats})
print(json.dumps(found))
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the table; returns the exit status."""
    parser = Parser(prog="compare_mafat", description=__doc__,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help="table, pixels, photos (default: all three)")
    parser.add_argument("--weights", metavar="DIR", action="append", default=[],
                        help="folder of yolov2-16.weights (default: random ones are made)")
    parser.add_argument("--threads", type=int, metavar="N", help="default: one a core")
    parser.add_argument("--rounds", type=int, default=4, metavar="N", help="times each is run (default 4)")
    args = parser.parse_args(argv)
    if not set(args.parts) <= set(PARTS):
        parser.error(f"{' '.join(args.parts)}: the parts are {', '.join(PARTS)}")
    warnings.simplefilter("ignore")  # yolov2's weights hold more than these layers
    try:
        with tempfile.TemporaryDirectory(prefix="darkfuse-") as folder:
            return compare(Path(folder), args)
    except DarkfuseError as error:
        print(f"compare_mafat: {error}", file=sys.stderr)
        return 2


def compare(folder: Path, args: argparse.Namespace) -> int:
    """The parts asked for, and the least memory of each search; returns the exit status."""
    graph = load_graph(str(ROOT / "cfg" / "yolov2-16.cfg"))
    device, threads = load_device(), args.threads or process.cpu_count()
    index = weight_offsets(graph, str(weights_of(ROOT / "cfg" / "yolov2-16.cfg", folder, args.weights)))
    planner, parts = Planner(graph, device, threads), args.parts or PARTS
    slower = table(Bench(graph, index, device), planner, args.rounds) if "table" in parts else 0
    ours, theirs = plan_for(graph, 0, threads, False, device), mafat_smallest(graph, threads)
    print(f"least arena: ours {ours.arena_bytes / MB:.1f} M, MAFAT's {theirs.arena_bytes / MB:.1f} M "
          f"({theirs.arena_bytes / ours.arena_bytes:.1f}x)")
    sizes = [planner.budget_of(plan.arena_bytes) for plan in (ours, theirs)]
    print(f"least --mem: ours {sizes[0] / MB:.1f} M, MAFAT's in our engine {sizes[1] / MB:.1f} M "
          f"({sizes[1] / sizes[0]:.2f}x), by the paper's own estimate of its own "
          f"{min(predicted_bytes(graph, c) for c in configurations(graph)) / MB:.1f} M")
    photo = make_photo(folder / "photo.png", graph.input.w, graph.input.h)
    for what in (part for part in parts if part != "table"):
        limits = []
        for name, chosen, size in zip(("ours", "MAFAT's"), (ours, theirs), sizes):
            cfg = folder / f"{name}.cfg"
            chosen = dataclasses.replace(chosen, budget_bytes=size)
            cfg.write_text(annotate(graph.cfg, chosen), encoding="utf-8", errors="surrogateescape")
            least = Process(what, cfg, index.path, photo).least(size + HELPER_BYTES)
            print(f"least cgroup without swap, {what}, {name}: {least}", flush=True)
            limits.append(least.limit)
        print(f"least cgroup without swap, {what}: {limits[1] / limits[0]:.2f}x")
    return 1 if slower else 0


def table(bench: Bench, planner: Planner, rounds: int) -> int:
    """Milliseconds a frame of both at each budget; returns at how many of them ours is slower."""
    slower = 0
    print(f"{'budget':>7} {'ours':>10} {'MAFAT':>10}   MAFAT's plan")
    for budget in BUDGETS:
        found = {name: plan(planner, budget * MB, name) for name in ("exact", "mafat")}
        runs = {name: Run(a.plan, a.prediction.ms, float("inf")) for name, a in found.items() if a}
        for _ in range(rounds):
            for run in runs.values():  # in turns: a noisy moment hits both
                run.measured = min(run.measured, bench.run(run.plan, 4).measured)
        shown = {name: f"{runs[name].measured:.1f} ms" if name in runs else "-" for name in found}
        slower += len(runs) == 2 and runs["exact"].measured > 1.02 * runs["mafat"].measured
        text = format_plan(runs["mafat"].plan, planner.graph) if "mafat" in runs else ""
        print(f"{budget:>5} M {shown['exact']:>10} {shown['mafat']:>10}   {text}", flush=True)
    return slower


@dataclasses.dataclass(frozen=True)
class Least:
    """The smallest limit a process runs in, milliseconds a frame there and with room, peak there (VmHWM)."""

    limit: int
    ms: float
    roomy_ms: float
    peak: int

    def __str__(self) -> str:
        return (f"{self.limit / MB:.2f} M ({self.ms:.1f} ms a frame there, {self.roomy_ms:.1f} with room; "
                f"process peak {self.peak / MB:.1f} M)")


@dataclasses.dataclass(frozen=True)
class Process:
    """A process that runs frames of a network as its cfg plans them, in a memory cgroup without swap."""

    what: str
    cfg: Path
    weights: str
    photo: Path

    def least(self, room: int) -> Least:
        """Bisects below `room` bytes; raises DarkfuseError where it does not even run in those."""
        roomy = self.frame(room)
        if roomy is None:
            raise DarkfuseError(f"{self.cfg.name}: {self.what}: killed in a group of {room / MB:.1f} M")
        low, high, best = 4 * MB, room, roomy
        while high - low > STEP:
            limit = (low + high) // 2 // 4096 * 4096
            there = self.frame(limit)
            for _ in range(2):
                if there and there[0] > SLOWER * roomy[0]:  # or only a noisy moment
                    there = self.frame(limit)
            if there and there[0] <= SLOWER * roomy[0]:
                high, best = limit, there
            else:
                low = limit
        return Least(high, best[0], roomy[0], best[1])

    def frame(self, limit: int) -> tuple[float, int] | None:
        """Milliseconds of the fastest frame after the first, and the peak; None when it did not survive."""
        if self.what == "pixels":
            command = [sys.executable, "-c", PIXELS, str(ROOT), str(self.cfg), self.weights, str(FRAMES)]
        else:
            command = [sys.executable, "-m", "darkfuse", "detect", str(self.cfg), self.weights,
                       *[str(self.photo)] * FRAMES, "--no-draw", "--json", "-"]
        usage = run_limited(command, limit, cold=[self.weights], capture=True, cwd=str(ROOT), timeout=120)
        if usage.timed_out or usage.oom_kills or usage.status:
            return None
        stats = [frame["stats"] for frame in json.loads(usage.stdout)]
        return min(one["latency_ms"] for one in stats[1:]), stats[-1]["peak_rss_bytes"]


def plan(planner: Planner, budget: int, algorithm: str) -> Answer | None:
    """The plan for a budget; None when nothing fits."""
    try:
        return planner.fastest(budget, algorithm)
    except BudgetError:
        return None


if __name__ == "__main__":
    end_cleanly()
    sys.exit(main())
