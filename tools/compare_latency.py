#!/usr/bin/env python3
"""Frame times of two built checkouts, in turns: the same cfg, random weights of a seed, the same pixels.

    compare_latency.py BEFORE [--cfg CFG] [--sizes 416,608] [--mem resident,48M] [--threads 1,2] [--turns 15]

Each checkout's own Python (`.venv/bin/python`) loads the network in a process of its own; both stay loaded
and run a few frames in turn, so that a slow moment of the machine meets both. Prints the median of the turns'
fastest frames, and the median and spread of the ratios within a turn: below 1 the second one is faster.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a plain checkout is enough to run this

from darkfuse.graph import load_graph
from tools.bench_peers import resized_cfg
from tools.make_weights import make_weights

ROOT = Path(__file__).resolve().parent.parent
FRAMES = 4  # of a turn, of which the fastest counts
# Runs in a checkout's own process: a line in asks for a turn, a line out says its fastest frame's seconds
TURNS = f"""
import sys, time, numpy, darkfuse
cfg, weights, mem, threads = sys.argv[1:]
with darkfuse.load(cfg, weights, mem=mem, threads=int(threads)) as net:
    source = net.graph.input
    pixels = numpy.random.default_rng(1).random((source.c, source.h, source.w), numpy.float32)
    net.forward(pixels)
    for _ in sys.stdin:
        best = 1e9
        for _ in range({FRAMES}):
            start = time.perf_counter()
            net.forward(pixels)
            best = min(best, time.perf_counter() - start)
        print(best, flush=True)
"""


def start(checkout: Path, *words: object) -> subprocess.Popen[str]:
    command = [str(checkout / ".venv" / "bin" / "python"), "-c", TURNS, *map(str, words)]
    return subprocess.Popen(command, cwd=checkout, env={**os.environ, "PYTHONPATH": str(checkout)},
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def turn(process: subprocess.Popen[str]) -> float:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def compare(before: Path, after: Path, turns: int, *words: object) -> str:
    """One line's figures."""
    both = [start(before, *words), start(after, *words)]
    try:
        for process in both:  # the first turn also reads the weights and maps the arena
            turn(process)
        times = [[turn(process) for process in both] for _ in range(turns)]
    finally:
        for process in both:
            process.communicate()
    old, new = (statistics.median(column) * 1e3 for column in zip(*times))
    ratios = sorted(now / then for then, now in times)
    return f"{old:9.1f} {new:9.1f} {statistics.median(ratios):7.3f} {ratios[0]:6.2f} to {ratios[-1]:.2f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="a checkout, built in place, with its .venv")
    parser.add_argument("after", type=Path, nargs="?", default=ROOT, help="default: this one")
    parser.add_argument("--cfg", type=Path, default=ROOT / "cfg" / "yolov2.cfg")
    parser.add_argument("--sizes", default="416,608")
    parser.add_argument("--mem", default="resident,48M")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--turns", type=int, default=15)
    args = parser.parse_args()
    print(f"{args.cfg.stem:12} {'size':>5} {'memory':>9} threads  ms before  ms after  ratio  in turns")
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "random.weights"
        make_weights(load_graph(str(args.cfg)), str(weights), 1)
        for size in map(int, args.sizes.split(",")):
            cfg = Path(folder) / f"{args.cfg.stem}-{size}.cfg"
            cfg.write_text(resized_cfg(str(args.cfg), size))
            for mem in args.mem.split(","):
                for threads in args.threads.split(","):
                    words = (cfg, weights, mem, threads)
                    said = compare(args.before.resolve(), args.after.resolve(), args.turns, *words)
                    print(f"{'':12} {size:5} {mem:>9} {threads:>7} {said}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
