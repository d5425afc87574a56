#!/usr/bin/env python3
"""Pictures a second of batches against one by one, in memory cgroups, from slow storage.

    bench_batch.py --limits 48M,128M --rates 22M,90M --pictures 64 --json batch.json

For every limit and rate of storage two whole `darkfuse detect --mem LIMIT --read-bandwidth RATE` run in a
cgroup of that size, swap forbidden: one with --batch 1, the best plan for one picture, and one with --batch
auto. `--before CHECKOUT` has the one by one run by another, built checkout (its .venv), whose storage the
cgroup holds (blkio), as it may not know the option. The weights are random, of a seed; the pictures are
generated. What is counted is the time that the pictures of whole batches took, reading and all, as the engine
says; a last batch of fewer pictures, which reads as much for them, is told apart.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a plain checkout is enough to run this

from darkfuse.errors import DarkfuseError
from darkfuse.graph import load_graph
from darkfuse.host.files import write_whole
from darkfuse.host.units import format_bytes, parse_bytes
from tools.bench_memory import make_picture
from tools.bench_peers import resized_cfg
from tools.make_weights import make_weights
from tools.memory_limit import run

ROOT = Path(__file__).resolve().parent.parent
# What the batches of yolov2 at 608x608 must reach: times the pictures a second of one by one
MUST = {("48M", "22M"): 6.0, ("48M", "90M"): 4.0, ("128M", "22M"): 17.0, ("128M", "90M"): 6.0}


def detect(files: Sequence[str], limit: str, rate: str, batch: str, threads: int, out: str,
           before: Path | None = None) -> dict[str, Any]:
    """One run's numbers: pictures at a time, milliseconds a picture, bytes read for it, what pictures took
    that did not make a whole batch, peaks, boxes."""
    words = ["-m", "darkfuse", "detect", *files, "--no-draw", "--mem", limit, "--threads", str(threads),
             "--json", out]
    if before:
        usage = run([str(before / ".venv" / "bin" / "python"), *words], parse_bytes(limit), capture=True,
                    cwd=str(before), cold=[files[1]], read_rate=parse_bytes(rate))
    else:
        words += ["--read-bandwidth", rate, "--batch", batch]
        usage = run([sys.executable, *words], parse_bytes(limit), capture=True, cwd=str(ROOT))
    if usage.status:
        raise DarkfuseError(f"darkfuse detect --mem {limit} --batch {batch}: {usage.stderr.strip()[-300:]}")
    frames = json.loads(Path(out).read_text())
    stats = [frame["stats"] for frame in frames]
    whole = [s for s in stats if s.get("batch", 1) == stats[0].get("batch", 1)]
    mean = {name: sum(s[name] for s in whole) / len(whole) for name in ("latency_ms", "bytes_read")}
    mean["rest_ms"] = sum(s["latency_ms"] for s in stats) - len(whole) * mean["latency_ms"]
    most = {name: max(s[name] for s in stats) for name in ("arena_bytes", "peak_rss_bytes")}
    boxes = [frame["objects"] for frame in frames]
    return {**mean, **most, "batch": stats[0].get("batch", 1), "boxes": boxes}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print a line for each limit and rate, tell what falls short."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cfg", default=str(ROOT / "cfg" / "yolov2.cfg"))
    parser.add_argument("--size", type=int, default=608)
    parser.add_argument("--limits", default="48M,128M")
    parser.add_argument("--rates", default="22M,90M")
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--alone", type=int, default=3, help="pictures of the runs one by one")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="runs them one by one")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args(argv)
    rows, short = [], 0
    with tempfile.TemporaryDirectory(prefix="darkfuse-batch-", dir="/var/tmp") as folder:
        cfg = str(Path(folder) / "network.cfg")
        Path(cfg).write_text(resized_cfg(options.cfg, options.size))
        weights = str(Path(folder) / "random.weights")
        make_weights(load_graph(cfg), weights, 1)
        pictures = [str(Path(folder) / f"{number:04d}.jpg") for number in range(options.pictures)]
        make_picture(pictures[0])
        for copy in pictures[1:]:
            Path(copy).symlink_to(pictures[0])
        print("limit  rate   one by one ms  batch  ms a picture  times  must  MB read a picture  peak")
        for limit in options.limits.split(","):
            for rate in options.rates.split(","):
                out = str(Path(folder) / "out.json")
                few, team = pictures[: options.alone], options.threads
                one = detect([cfg, weights, *few], limit, rate, "1", team, out, options.before)
                many = detect([cfg, weights, *pictures], limit, rate, "auto", team, out)
                # Plans may differ in kernels, which round differently; the tests compare bits
                counts = [sum(map(len, run["boxes"][: len(few)])) for run in (one, many)]
                if abs(counts[0] - counts[1]) > 0.02 * counts[0] + 1:
                    raise DarkfuseError(f"--mem {limit}: {counts[1]} boxes, {counts[0]} one by one")
                times, must = one["latency_ms"] / many["latency_ms"], MUST.get((limit, rate), 1.0)
                short += times < must
                print(f"{limit:6s} {rate:6s} {one['latency_ms']:13.0f} {many['batch']:6d} "
                      f"{many['latency_ms']:13.0f} {times:6.2f} {must:5.1f} "
                      f"{many['bytes_read'] / 2**20:18.1f}  {format_bytes(many['peak_rss_bytes'])}",
                      flush=True)
                numbers = [{k: v for k, v in run.items() if k != "boxes"} for run in (one, many)]
                rows.append({"limit": limit, "rate": rate, "times": times, "must": must,
                             "one": numbers[0], "many": numbers[1]})
    if options.json:
        write_whole(options.json, json.dumps(rows, indent=1) + "\n")
    return 1 if short else 0


if __name__ == "__main__":
    raise SystemExit(main())
