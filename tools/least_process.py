#!/usr/bin/env python3
"""The least process that runs each network: in memory cgroups without swap, against the answers of a process
that keeps everything.

    python tools/least_process.py --scratch DIR          # all networks, a table
    python tools/least_process.py --scratch DIR yolov3   # one

Every network runs in three fresh processes: with no limit and everything resident; to plan it for the least
memory (`--mem min`), which writes the plan into a cfg, as a search takes more than the least there is; then
with that cfg in a memory cgroup of the size given, without swap, weights dropped from the page cache first.
Columns: the cgroup's limit; what the plan promises; the process's peak (VmHWM); the cgroup's own peak, page
cache and kernel included; seconds of the frame; and whether the boxes (or the best five classes) are those of
the resident run, each number within 1e-4. Exits with 1 where a process was killed, took more, or answered
otherwise.

Weights are seeded random ones, made once in the scratch folder; NAME.weights there are used as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a plain checkout is enough to run this

from darkfuse.errors import DarkfuseError
from darkfuse.graph import Graph, load_graph
from darkfuse.host.units import parse_bytes
from tools import memory_limit
from tools.make_weights import BOX_TERMS, make_weights
from tools.public.names import written

ROOT = Path(__file__).resolve().parent.parent
MB = 1 << 20
CLOSE = 1e-4
HEADER_BYTES = 20  # what make_weights writes ahead of the first layer


@dataclass(frozen=True)
class Case:
    """A network, the limit that its process has to keep to, its input's side (0: the cfg's), the threshold
    for its boxes, of which random weights give many, and how much more decided their scores are made where
    random weights give none."""

    name: str
    limit: str
    size: int = 0
    thresh: float = 0.9
    decided: float = 1.0


CASES = {
    "vgg-16": Case("vgg-16", "64M"),
    "alexnet": Case("alexnet", "48M"),
    "resnet50": Case("resnet50", "25M"),
    "yolov4-tiny": Case("yolov4-tiny", "20M", thresh=0.25, decided=1.5),
    "yolov3": Case("yolov3", "25M"),
    "yolov4-416": Case("yolov4", "28M", 416, decided=16.0),
    "yolov4-608": Case("yolov4", "48M", 608, decided=16.0),
}

# In a process of its own. The answer as JSON: boxes, or the best classes, with what the process took.
RUN = """
import json, sys
import darkfuse
from darkfuse.graph.build import DETECTION
from darkfuse.host.process import peak_rss_bytes

cfg, weights, mem, photo, thresh, threads = sys.argv[1:]
with darkfuse.load(cfg, weights, mem=mem or None, threads=int(threads)) as net:
    if any(node.kind in DETECTION for node in net.graph.nodes):
        found = [[d.class_id, float(d.confidence), *map(float, d.box)]
                 for d in net.detect(photo, thresh=float(thresh)).detections]
    else:
        found = [[c.class_id, float(c.confidence)] for c in net.classify(photo, top=5)]
    print(json.dumps({"found": found, "total": net.budget.total, "peak": peak_rss_bytes(),
                      "ms": net.stats["latency_ms"], "plan": net.plan_origin}))
"""
# Another: the plan for the least memory, written into a cfg.
PLAN = """
import sys
import darkfuse

cfg, weights, threads, planned = sys.argv[1:]
with darkfuse.load(cfg, weights, mem="min", threads=int(threads)) as net:
    from darkfuse.plan.show.annotate import annotate  # its code is not part of what is promised

    text = annotate(net.graph.cfg, net.plan)
with open(planned, "w", encoding="utf-8") as file:
    file.write(text)
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: {' '.join(CASES)}")
    parser.add_argument("--scratch", required=True, metavar="DIR", help="folder for cfgs and weights")
    parser.add_argument("--image", default=str(ROOT / "tests" / "golden" / "cat.png"), help="picture to show")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(argv)
    unknown = [name for name in args.names if name not in CASES]
    if unknown:
        parser.error(f"no network {unknown[0]!r}; there are {', '.join(CASES)}")
    scratch = Path(args.scratch)
    wrong = 0
    print(f"{'network':12} {'limit':>6} {'promised':>9} {'VmHWM':>7} {'cgroup':>7} {'seconds':>8}  answers")
    for name in args.names or CASES:
        try:
            line, good = checked(name, scratch, args.image, args.threads)
        except DarkfuseError as error:
            line, good = str(error), False
        wrong += not good
        print(f"{name:12} {line}{'' if good else '  WRONG'}", flush=True)
    return int(wrong > 0)


def checked(name: str, scratch: Path, image: str, threads: int = 1) -> tuple[str, bool]:
    """One network's line of the table, and whether all is as it should be.

    Raises `DarkfuseError` where there are no memory cgroups to be had, or the resident run fails.
    """
    case = CASES[name]
    cfg, weights = files(case, scratch)
    planned = scratch / f"{name}.planned.cfg"
    words = [str(weights), image, str(case.thresh), str(threads)]
    resident = run([RUN, str(cfg), words[0], "resident", *words[1:]], "16G")
    expected = answer_of(resident, "resident")["found"]
    made = run([PLAN, str(cfg), words[0], words[3], str(planned)], "16G")
    if made.status != 0:
        raise DarkfuseError(f"no plan: {made.stderr.strip()[-200:]}")
    usage = run([RUN, str(planned), words[0], "", *words[1:]], case.limit, cold=[words[0]])
    answer = answer_of(usage, case.limit)
    limit, same = parse_bytes(case.limit), close(answer["found"], expected, case.thresh)
    good = all((answer["plan"] == "from the cfg", answer["peak"] <= answer["total"] <= limit, same,
                usage.oom_kills == 0, usage.swap_peak_bytes == 0, len(expected) > 0))
    what = "boxes" if len((expected or [[0]])[0]) > 2 else "classes"
    return (f"{case.limit:>6} {answer['total'] / MB:8.1f}M {answer['peak'] / MB:6.1f}M "
            f"{usage.peak_bytes / MB:6.1f}M {answer['ms'] / 1000:8.2f}  "
            f"{len(expected)} {what} {'the same' if same else 'DIFFER'}", good)


def files(case: Case, scratch: Path) -> tuple[Path, Path]:
    """The cfg, and weights beside it in the scratch folder; made where they are not there."""
    scratch.mkdir(parents=True, exist_ok=True)
    ours = ROOT / "cfg" / f"{case.name}.cfg"
    text = ours.read_text(encoding="utf-8") if ours.exists() else written()[case.name]()
    if case.size:
        text = re.sub(r"(?m)^(width|height)=.*", rf"\1={case.size}", text)
    cfg = scratch / f"{case.name}-{case.size}.cfg" if case.size else scratch / f"{case.name}.cfg"
    cfg.write_text(text, encoding="utf-8")
    weights = scratch / f"{case.name}.weights"
    if not weights.exists():
        graph = load_graph(str(cfg))
        make_weights(graph, str(weights))
        decide(graph, weights, case.decided)
    return cfg, weights


def decide(graph: Graph, weights: Path, times: float) -> None:
    """Multiply the kernels of objectness and classes ahead of [yolo] layers, so that some boxes stand out."""
    data = np.memmap(weights, dtype="<f4", mode="r+")
    start = HEADER_BYTES // 4
    for node, after in zip(graph.nodes, graph.nodes[1:]):
        layout = node.weights
        if layout is None:
            continue
        if after.kind == "yolo" and times != 1.0:
            first = start + layout.offset("kernels")
            kernels = data[first : first + layout.kernels].reshape(layout.biases, -1)
            terms = np.arange(layout.biases) % (BOX_TERMS + 1 + getattr(after.options, "classes", 0))
            kernels[terms >= BOX_TERMS] *= times
        start += layout.total
    data.flush()


def run(words: Sequence[str], limit: str, cold: Sequence[str] = ()) -> memory_limit.Usage:
    """A script and its arguments in a memory cgroup of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return memory_limit.run([sys.executable, "-c", *words], limit, cold=cold, timeout=600, capture=True,
                            env=environment)


def answer_of(usage: memory_limit.Usage, limit: str) -> Any:
    """What `RUN` printed; `DarkfuseError` where it ended otherwise."""
    if usage.status != 0:
        last = usage.stderr.strip().splitlines()[-1:] or [f"{usage.oom_kills} killed for memory"]
        raise DarkfuseError(f"{limit}: status {usage.status}: {last[0]}")
    return json.loads(usage.stdout)


def close(some: list[Any], others: list[Any], thresh: float) -> bool:
    """The same boxes or classes, every number within `CLOSE`, but for those so near to the threshold."""
    for these, those in ((some, others), (others, some)):
        for one in these:
            same = any(one[0] == other[0] and all(abs(a - b) <= CLOSE for a, b in zip(one[1:], other[1:]))
                       for other in those)
            if not same and (len(one) == 2 or one[1] > thresh + CLOSE):
                return False
    return True


if __name__ == "__main__":
    sys.exit(main())
