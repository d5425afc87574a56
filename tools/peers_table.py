#!/usr/bin/env python3
"""Write the table of docs/memory.md on other runtimes with all the memory they want, as bench_peers kept it.

    bench_peers.py --cfg cfg/yolov2.cfg --sizes 416,608 --threads 1,2 --rounds 8 \\
        --only darkfuse,ncnn,mnn,onnxruntime,openvino --json docs/results/peers-yolov2.json
    (kept as peers-avx512-yolov2.json where the processor has AVX-512, and that is not hidden by --avx2)
    python tools/peers_table.py            # rewrite it
    python tools/peers_table.py --check    # exit with 1 if it is out of date

The last two columns compare with the fastest of the others: the median over the turns of how long darkfuse
took for each millisecond of that one in the same turn, and darkfuse's memory for each byte of it.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a plain checkout is enough to run this

from tools.marked import rewrite
from tools.prove_plot import LOOKS

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"
BEGIN, END = "<!-- table: tools/peers_table.py -->\n", "<!-- end of peers -->\n"
OTHERS = ("ncnn", "mnn", "onnxruntime", "openvino")


# What the names of results begin with, the longest first, and the machine they are of
MACHINES = {"peers-avx512-": "with AVX-512", "peers-": "with AVX2 only"}


def machines() -> dict[str, list[Path]]:
    """Which results are of which kind of machine."""
    found: dict[str, list[Path]] = {kind: [] for kind in MACHINES.values()}
    for path in sorted(RESULTS.glob("peers-*.json")):
        found[next(kind for start, kind in MACHINES.items() if path.name.startswith(start))].append(path)
    return found


def races(paths: list[Path]) -> Iterator[tuple[str, int, int, dict[str, Any]]]:
    """Network, size, threads, and what each runtime took."""
    for path in paths:
        kept = json.loads(path.read_text())
        ran = [run for run in kept["runs"] if "median_ms" in run]
        for size, threads in sorted({(run["size"], run["threads"]) for run in ran}):
            yield (Path(kept["cfg"]).stem, size, threads,
                   {run["name"]: run for run in ran if (run["size"], run["threads"]) == (size, threads)})


def table() -> str:
    """The tables of all machines."""
    parts = []
    for kind, paths in machines().items():
        if paths:
            cpu = json.loads(paths[0].read_text())["cpu"]
            parts.append(f"\nA processor {kind} ({cpu}), milliseconds a frame:\n\n{rows(paths)}")
    return "".join(parts) + "\n"


def rows(paths: list[Path]) -> str:
    """Milliseconds a frame, and darkfuse against the fastest of the others."""
    heads = [LOOKS[name][1] for name in ("darkfuse", *OTHERS)]
    text = [f"| | threads | {' | '.join(heads)} | time | memory |\n|---|{'--:|' * (len(heads) + 3)}\n"]
    for name, size, threads, runs in races(paths):
        ours = runs["darkfuse"]
        first = min((runs[other] for other in OTHERS if other in runs), key=lambda run: run["median_ms"])
        ratio = statistics.median(a / b for a, b in zip(ours["turns_ms"], first["turns_ms"]))
        times = " | ".join(f"{runs[other]['median_ms']:.0f}" if other in runs else "–"
                           for other in ("darkfuse", *OTHERS))
        whose = LOOKS[first["name"]][1]
        text.append(f"| {name}, {size}x{size} | {threads} | {times} | {ratio:.2f} of {whose}'s | "
                    f"{ours['peak_bytes'] / first['peak_bytes']:.2f} |\n")
    return "".join(text)


def main(argv: Sequence[str] | None = None) -> int:
    """Write, or compare."""
    return rewrite(argv, __doc__ or "", ROOT / "docs" / "memory.md", BEGIN, END, table)


if __name__ == "__main__":
    sys.exit(main())
