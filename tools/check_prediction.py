#!/usr/bin/env python3
"""Predicted against measured memory: many plans of several networks, each run by `darkfuse detect`.

    check_prediction.py --weights DIR --json docs/results/prediction.json > table.txt

Every network (of cfg/, or of `shapes`) gets budgets from the least that works to everything resident. The
plan goes into a cfg, a fresh process detects in two photos with it and draws them, or classifies them, and
says its peak (VmHWM). Exits with 1 when a peak is
above its prediction, or more than 3% and a megabyte below.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a plain checkout is enough to run this

import shapes

from darkfuse.cli.main import Parser
from darkfuse.errors import DarkfuseError
from darkfuse.graph import load_graph
from darkfuse.host import process
from darkfuse.host.interrupt import end_cleanly
from darkfuse.plan.price.device import load_device
from darkfuse.plan.show.annotate import annotate
from darkfuse.session.whatif import Answer, Planner

ROOT = Path(__file__).resolve().parent.parent
NETWORKS = ("darkfuse-voc7", "yolov2-tiny", "yolov3-tiny", "yolov4-tiny", "yolov7-tiny", "enet-coco",
            "resnet50", "alexnet", "yolov2", "yolov3", "vgg-16", "yolov4")
MB = 1 << 20


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the table; returns the exit status."""
    parser = Parser(prog="check_prediction", description=__doc__,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NAME", help=f"default: {' '.join(NETWORKS)}")
    parser.add_argument("--weights", metavar="DIR", action="append", default=[],
                        help="folder of NAME.weights, again for more (default: random ones are made)")
    parser.add_argument("--plans", type=int, default=10, metavar="N", help="plans a network (default 10)")
    parser.add_argument("--threads", type=int, metavar="N", help="default: one a core")
    parser.add_argument("--json", type=Path, metavar="FILE",
                        help="keep the bytes there, beside those of networks not asked for this time")
    args = parser.parse_args(argv)
    kept = json.loads(args.json.read_text()) if args.json and args.json.exists() else {}
    wrong = total = 0
    worst = 0.0
    print(f"{'network':14} {'budget':>9} {'arena':>9} {'predicted':>10} {'measured':>9} {'difference':>11}")
    try:
        with tempfile.TemporaryDirectory(prefix="darkfuse-") as folder:
            for name in args.networks or NETWORKS:
                kept[name] = []
                for answer, measured in checked(name, Path(folder), args):
                    plan = answer.plan
                    spare = plan.predicted_peak_bytes - measured
                    bad = not 0 <= spare <= 0.03 * measured + MB
                    wrong, total, worst = wrong + bad, total + 1, max(worst, spare / measured)
                    budget = f"{plan.budget_bytes / MB:.1f}M" if plan.budget_bytes else "none"
                    print(f"{name:14} {budget:>9} {plan.arena_bytes / MB:8.2f}M "
                          f"{plan.predicted_peak_bytes / MB:9.2f}M {measured / MB:8.2f}M {spare / MB:+10.2f}M"
                          f"{'  WRONG' if bad else ''}", flush=True)
                    kept[name].append([plan.budget_bytes, plan.arena_bytes, plan.predicted_peak_bytes,
                                       measured])
                if args.json:
                    args.json.write_text(to_text(kept), encoding="utf-8")
    except DarkfuseError as error:
        print(f"check_prediction: {error}", file=sys.stderr)
        return 2
    print(f"{total} plans, {wrong} outside; at most {100 * worst:.1f}% below the prediction")
    return 1 if wrong else 0


def to_text(kept: dict[str, list[list[int]]]) -> str:
    """JSON with a line for each plan: bytes of the budget, the arena, the peak predicted, the peak."""
    networks = [f' "{name}": [\n' + ",\n".join(f"  {json.dumps(row)}" for row in rows) + "\n ]"
                for name, rows in sorted(kept.items())]
    return "{\n" + ",\n".join(networks) + "\n}\n"


def checked(name: str, folder: Path, args: argparse.Namespace) -> Iterator[tuple[Answer, int]]:
    """Plans of one network and the peak of a process that ran each."""
    written = ROOT / "cfg" / f"{name}.cfg"
    if not written.is_file() and name in shapes.NETWORKS:
        written = folder / f"{name}.cfg"
        written.write_text(shapes.cfg(name), encoding="utf-8")
    graph = load_graph(str(written))
    weights = weights_of(written, folder, args.weights)
    detects = any(graph.node(n).kind in ("yolo", "region", "detection") for n in graph.outputs)
    planner = Planner(graph, load_device(), args.threads or process.cpu_count())
    photo = make_photo(folder / f"{name}.png", graph.input.w, graph.input.h)
    for answer in plans(planner, args.plans):
        cfg = folder / f"{name}.planned.cfg"
        cfg.write_text(annotate(graph.cfg, answer.plan), encoding="utf-8", errors="surrogateescape")
        yield answer, peak_of(cfg, weights, photo, folder if detects else None)


def plans(planner: Planner, count: int) -> Iterator[Answer]:
    """The fastest plan at budgets from the least to everything resident, spaced evenly by ratio."""
    everything = planner.fastest("resident")
    least = planner.least_budget()
    ratio = (everything.plan.predicted_peak_bytes / least) ** (1 / max(1, count - 1))
    for number in range(count - 1):
        yield planner.fastest(int(least * ratio**number))
    yield everything


def peak_of(cfg: Path, weights: Path, photo: Path, drawn: Path | None) -> int:
    """VmHWM of a process that detects and draws twice, or classifies where there is no folder to draw in, as
    it says itself after the second photo. One photo at a time: for both together it would plan otherwise."""
    words = ["classify"]
    if drawn:  # random weights see tens of thousands of objects; people do not
        words = ["detect", "--out", str(drawn / "drawn"), "--thresh", "1"]
    files = [str(path) for path in (cfg, weights, photo, photo)]
    done = subprocess.run([sys.executable, "-m", "darkfuse", words[0], *files, "--batch", "1", "--json", "-",
                           *words[1:]], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise DarkfuseError(f"{words[0]} failed: {done.stderr.strip()}")
    return int(json.loads(done.stdout)[-1]["stats"]["peak_rss_bytes"])


def weights_of(cfg: Path, folder: Path, known: Sequence[str]) -> Path:
    """The network's weights: trained ones, those in the folders given, or random ones."""
    name = cfg.stem
    for place in [ROOT / "weights", *map(Path, known)]:
        if (place / f"{name}.weights").is_file():
            return place / f"{name}.weights"
    made = folder / f"{name}.weights"
    subprocess.run([sys.executable, str(ROOT / "tools" / "make_weights.py"),
                    str(cfg), str(made)], check=True, stdout=subprocess.DEVNULL)
    return made


def make_photo(path: Path, width: int, height: int) -> Path:
    """Something to look at, of just the network's size: what a prediction is for."""
    from PIL import Image

    picture = Image.radial_gradient("L").resize((width, height))
    mirrored = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    Image.merge("RGB", (picture, picture.rotate(90), mirrored)).save(path)
    return path


if __name__ == "__main__":
    end_cleanly()
    sys.exit(main())
