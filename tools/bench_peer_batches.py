#!/usr/bin/env python3
"""Pictures a second of darkfuse against runtimes that take several pictures at a time, at their best.

    bench_peer_batches.py --cfg cfg/yolov2.cfg --size 608 --batches 1,2,4,8 --threads 2 --rounds 5

Every runtime runs in a process of its own, one for each batch, and they take turns as those of
`bench_peers.py` do. With its weights resident darkfuse takes its pictures one after another.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

# For tools.bench; last, so that an installed darkfuse comes before a checkout that is not built.
sys.path.append(str(Path(__file__).resolve().parent.parent))

from darkfuse.errors import DarkfuseError
from darkfuse.graph import load_graph
from darkfuse.host.files import write_whole
from tools.bench.peer import Job
from tools.bench.race import Lane, ask_worker, race, write_job
from tools.bench.registry import PEERS
from tools.bench_peers import difference, end_cleanly_on_sigterm, installed, numbers, resized_cfg
from tools.make_weights import make_weights

OURS = "darkfuse"
MUST, MUST_MEMORY = 1.6, 0.4  # times the pictures a second of the fastest, and the memory it takes for them


def lanes_of(names: Sequence[str], batch: int, weights: str, options: argparse.Namespace) -> list[Lane]:
    """Those that ran, with so many pictures at a time."""
    with tempfile.TemporaryDirectory(prefix="darkfuse-batches-") as folder:
        job = Job(str(Path(folder, "net.cfg")), weights, folder, options.size, 1, batch)
        Path(job.cfg).write_text(resized_cfg(options.cfg, options.size), errors="surrogateescape")
        write_job(job, job.file("job.json"))
        failed = {name: ask_worker(name, job.file("job.json"), "--prepare").get("error") for name in names}
        lanes = race([name for name in names if not failed[name]], options.threads, options.rounds, job)
    for name, reason in [*failed.items(), *((lane.name, lane.error) for lane in lanes)]:
        if reason:
            print(f"{name}: failed: {reason}", file=sys.stderr)
    return [lane for lane in lanes if not lane.error]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; 1 where darkfuse falls short of what it must reach."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cfg", default="cfg/yolov2.cfg")
    parser.add_argument("--size", type=int, default=608)
    parser.add_argument("--batches", type=numbers, default=[1, 2, 4, 8])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help=f"which of {','.join(n for n, peer in PEERS.items() if peer.batches)}")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args(argv)
    wanted = options.only.split(",") if options.only else [OURS, "onnxruntime", "openvino"]
    unable = [name for name in wanted if name not in PEERS or not PEERS[name].batches]
    if unable:
        parser.error(f"{unable[0]} takes no batches")
    end_cleanly_on_sigterm()
    rows = []
    try:
        versions = installed(wanted, "-")
        with tempfile.TemporaryDirectory(prefix="darkfuse-batches-") as folder:
            weights = str(Path(folder, "random.weights"))
            make_weights(load_graph(options.cfg, options.size, options.size), weights, 1)
            for batch in options.batches:
                lanes = lanes_of(list(versions), batch, weights, options)
                for lane in lanes:
                    each = lane.median_ms / batch
                    rows.append({"name": lane.name, "batch": batch, "peak_bytes": lane.peak_bytes,
                                 "ms_a_picture": each, "difference": difference(lane, lanes[0])})
                    print(f"{lane.name} {versions[lane.name]}, {batch} at a time: {each:.1f} ms a picture, "
                          f"{lane.peak_bytes >> 20} MB, difference {rows[-1]['difference']:.1e}", flush=True)
    except DarkfuseError as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        write_whole(options.json, json.dumps(rows, indent=1) + "\n")
    ours, theirs = (sorted([row for row in rows if (row["name"] == OURS) == own],
                           key=lambda row: row["ms_a_picture"]) for own in (True, False))
    if not ours or not theirs:
        return 0
    best, peer = ours[0], theirs[0]
    times, memory = peer["ms_a_picture"] / best["ms_a_picture"], best["peak_bytes"] / peer["peak_bytes"]
    print(f"{times:.2f} times the pictures a second of {peer['name']} with {peer['batch']} at a time (must "
          f"{MUST}), at {memory:.2f} times its memory (must {MUST_MEMORY})")
    return 0 if times >= MUST and memory <= MUST_MEMORY else 1


if __name__ == "__main__":
    sys.exit(main())
