#!/usr/bin/env python3
"""A huge picture within a budget against the same network with all memory it wants: what a frame takes.

    bench_huge.py cfg/yolov2.cfg yolov2.weights photo.jpg --size 2432 --mem 64M

Each turn starts two processes, one in a memory cgroup of the budget without swap and one without a limit,
that look at the picture twice; the second frame counts, of which decoding the picture is a part. Processor
time is compared, and time by the clock is told: on a machine that others use too it says little.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a plain checkout is enough to run this

from darkfuse.errors import DarkfuseError
from darkfuse.host.interrupt import end_cleanly
from darkfuse.host.units import format_bytes, parse_bytes
from tools import memory_limit

MUST = 1.3
FRAMES = """
import json, sys, time
import darkfuse
cfg, weights, photo, size, mem, threads, thresh = sys.argv[1:]
with darkfuse.load(cfg, weights, width=int(size), height=int(size), mem=mem, threads=int(threads)) as net:
    for frame in range(2):
        began = time.process_time()
        found = net.detect(photo, float(thresh))
        seconds = time.process_time() - began
    print(json.dumps({**net.stats, "seconds": seconds, "boxes": len(found),
                      "wait_ms": net.engine_stats["wait_ms"]}))
"""


def frame(options: argparse.Namespace, mem: str, limit: int) -> dict[str, float]:
    """What the second frame took, in a process of its own. Raises `DarkfuseError`."""
    words = [options.cfg, options.weights, options.photo, options.size, mem, options.threads, options.thresh]
    usage = memory_limit.run([sys.executable, "-c", FRAMES, *map(str, words)], limit, capture=True,
                             env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)})
    if usage.status:
        raise DarkfuseError(f"within {mem}: {usage.stderr.strip() or 'killed'}")
    return {**json.loads(usage.stdout), "cgroup": usage.peak_bytes}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; 1 where the budget costs more than it may, or is not kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("cfg", metavar="CFG")
    parser.add_argument("weights", metavar="WEIGHTS")
    parser.add_argument("photo", metavar="PHOTO")
    parser.add_argument("--size", type=int, default=2432)
    parser.add_argument("--mem", default="64M")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--thresh", type=float, default=0.9)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args(argv)
    most = parse_bytes(options.mem)
    pairs = []
    for _ in range(options.turns):
        pairs.append((frame(options, options.mem, most), frame(options, "resident", 1 << 40)))
        for told, what in zip(pairs[-1], (options.mem, "no limit")):
            read, process, cgroup = (format_bytes(int(told[name])) for name in (
                "bytes_read", "peak_rss_bytes", "cgroup"))
            print(f"{what}: {told['seconds']:.2f} s of processor time, {told['latency_ms'] / 1000:.2f} s by "
                  f"the clock, {read} read, {told['boxes']} boxes, process {process}, cgroup {cgroup}",
                  flush=True)
    ratios = sorted(within["seconds"] / free["seconds"] for within, free in pairs)
    clock = sorted(within["latency_ms"] / free["latency_ms"] for within, free in pairs)
    middle = len(pairs) // 2
    print(f"{options.mem} against no limit: {ratios[middle]:.2f} times the processor time (must be {MUST}), "
          f"{clock[middle]:.2f} times by the clock; {options.threads} threads")
    kept = max(within["peak_rss_bytes"] for within, _ in pairs) <= most
    return 0 if ratios[middle] <= MUST and kept else 1


if __name__ == "__main__":
    end_cleanly()
    sys.exit(main())
