#!/usr/bin/env python3
"""darkfuse beside other runtimes: latency, peak memory and agreement, on one cfg with the same weights.

    pip install -e .[bench]
    bench_peers.py --cfg cfg/yolov2.cfg --sizes 416,608 --threads 1,2 --rounds 10 --json peers.json

Every runtime runs float32 in a process of its own; all stay loaded, take turns, and stand still in between.
A figure is the median over the turns. Runtimes that are not installed are named and left out. All of them
loaded at once need several GB: on a small board measure a few at a time with --only. --avx2 hides AVX-512
from all of them alike (`tools/bench/hide_avx512.c`; Linux on a CPU whose CPUID can fault).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

# For tools.bench; last, so that an installed darkfuse comes before a checkout that is not built.
sys.path.append(str(Path(__file__).resolve().parent.parent))

import numpy as np

from darkfuse.errors import DarkfuseError
from darkfuse.graph import load_graph
from darkfuse.host.files import write_whole
from tools.bench.peer import Job
from tools.bench.race import ROOT, Lane, ask_worker, race, write_job
from tools.bench.registry import PEERS, USUAL
from tools.make_weights import make_weights

# (ours, theirs): what the ratios printed below the table compare
DUELS = (("darkfuse", "ncnn"), ("darkfuse-exact", "ncnn-nowinograd"))


def resized_cfg(cfg: str, size: int) -> str:
    """The text of a cfg with `width` and `height` set to `size`."""
    graph = load_graph(cfg, size, size)
    lines = list(graph.cfg.lines)
    for key in ("width", "height"):
        entry = graph.cfg.net.find(key)
        if entry is None:
            raise DarkfuseError(f"{cfg}: [net] has no {key}= line to set")
        lines[entry.line - 1] = f"{key}={size}\n"
    return "".join(lines)


def installed(names: Sequence[str], job_file: str) -> dict[str, str]:
    """Versions of the peers that can run here; says on standard error which cannot."""
    versions = {}
    for name in names:
        reply = ask_worker(name, job_file, "--version")
        if "error" in reply:
            print(f"{name}: left out: {reply['error']}", file=sys.stderr)
        else:
            versions[name] = reply["version"]
    return versions


def difference(lane: Lane, reference: Lane) -> float:
    """RMS of the difference between two peers' outputs over the RMS of the reference's."""
    if [a.shape for a in lane.outputs] != [a.shape for a in reference.outputs]:
        return float("nan")
    ours, theirs = (np.concatenate([a.ravel() for a in x.outputs]).astype(float) for x in (lane, reference))
    return float(np.sqrt(np.mean((ours - theirs) ** 2) / np.mean(theirs**2)))


def measure(names: list[str], options: argparse.Namespace, folder: str) -> dict[tuple[int, int], list[Lane]]:
    """All peers at every size and thread count."""
    weights = options.weights or str(Path(folder, "random.weights"))
    if not options.weights:
        size = options.sizes[0]  # any will do: weights do not depend on it
        make_weights(load_graph(options.cfg, size, size), weights, options.seed)
    results = {}
    for size in options.sizes:
        place = Path(folder, str(size))
        place.mkdir()
        job = Job(str(place / "net.cfg"), weights, str(place), size, options.seed)
        Path(job.cfg).write_text(resized_cfg(options.cfg, size), errors="surrogateescape")
        write_job(job, job.file("job.json"))
        failed = {name: ask_worker(name, job.file("job.json"), "--prepare").get("error") for name in names}
        for threads in options.threads:
            print(f"{size}x{size}, {threads} thread{'s' * (threads > 1)} ...", file=sys.stderr)
            lanes = race([name for name in names if not failed[name]], threads, options.rounds, job)
            lanes += [Lane(name, error=reason) for name, reason in failed.items() if reason]
            results[size, threads] = sorted(lanes, key=lambda lane: names.index(lane.name))
            for lane in lanes:
                if lane.error:
                    print(f"{lane.name}: failed: {lane.error}", file=sys.stderr)
        for path in place.iterdir():
            path.unlink()  # a size's models take a gigabyte
    return results


def table(results: dict[tuple[int, int], list[Lane]], versions: dict[str, str]) -> str:
    """Latency by size and threads, peak memory by size, difference to the first peer that ran."""
    sizes = list(dict.fromkeys(size for size, _ in results))
    head = ["milliseconds a frame (median)", *(f"{size}/{n}t" for size, n in results)]
    rows = [[*head, *(f"MB {size}" for size in sizes), "difference"]]
    for row, name in enumerate(versions):
        lanes = {key: lanes[row] for key, lanes in results.items()}
        cells = [f"{name} {versions[name]}"]
        cells += ["failed" if lane.error else f"{lane.median_ms:.1f}" for lane in lanes.values()]
        for size in sizes:
            peak = max(lane.peak_bytes for key, lane in lanes.items() if key[0] == size)
            cells.append(f"{peak / 2**20:.0f}" if peak else "-")
        differences = [
            difference(lanes[key], reference)
            for key in results
            if (reference := _reference(results[key])) and not lanes[key].error
        ]
        cells.append(f"{max(differences):.1e}" if differences else "-")
        rows.append(cells)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [[row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:]))] for row in rows]
    return "\n".join("  ".join(line) for line in lines)


def _reference(lanes: list[Lane]) -> Lane | None:
    """Whose outputs the others are compared with: Darknet's own arithmetic, or the nearest to it that ran."""
    exact = {lane.name: lane for lane in lanes if not lane.error}
    return next((exact[name] for name in ("opencv", *exact) if name in exact), None)


def duels(results: dict[tuple[int, int], list[Lane]]) -> list[dict[str, Any]]:
    """Ratios of darkfuse to the peer it has to beat, by size and threads; medians of the turns' ratios."""
    found = []
    for (size, threads), lanes in results.items():
        by_name = {lane.name: lane for lane in lanes if not lane.error}
        for ours, theirs in DUELS:
            if ours in by_name and theirs in by_name:
                a, b = by_name[ours], by_name[theirs]
                time = float(np.median(np.array(a.turns_ms) / np.array(b.turns_ms)))
                ratios = {"latency": time, "memory": a.peak_bytes / b.peak_bytes}
                found.append({"ours": ours, "theirs": theirs, "size": size, "threads": threads, **ratios})
    return found


def cpu_name(path: str = "/proc/cpuinfo") -> str:
    """What the processor calls itself; on ARM, which has no name there, the part number of its first core."""
    text = Path(path).read_text()
    found = re.search(r"^(?:model name|CPU part)\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1] if found else "unknown"


def hide_avx512(folder: str) -> None:
    """Let every process that is started from now on see a CPU with AVX2 and nothing wider.

    Raises `DarkfuseError` where there is no compiler, or where the CPU cannot do that.
    """
    source, library = ROOT / "tools" / "bench" / "hide_avx512.c", f"{folder}/hide_avx512.so"
    seen = "from darkfuse.kernels import _kernels; print(*_kernels.available())"
    try:
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", source, "-o", library], check=True)
        os.environ["LD_PRELOAD"] = library
        # A library that cannot be loaded is passed over with a warning alone
        isas = subprocess.run([sys.executable, "-c", seen], check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise DarkfuseError(f"--avx2: {error}") from None
    if "avx512" in isas:
        raise DarkfuseError(f"--avx2: {library} hides nothing; is its folder mounted noexec?")


def as_json(results: dict[tuple[int, int], list[Lane]], versions: dict[str, str], cfg: str) -> dict[str, Any]:
    """Everything measured, as plain data."""
    runs = []
    for (size, threads), lanes in results.items():
        reference = _reference(lanes)
        for lane in lanes:
            run: dict[str, Any] = {"name": lane.name, "size": size, "threads": threads}
            if lane.error or reference is None:
                runs.append({**run, "error": lane.error})
                continue
            run.update(median_ms=lane.median_ms, turns_ms=lane.turns_ms, load_ms=lane.load_ms)
            run.update(peak_bytes=lane.peak_bytes, difference=difference(lane, reference))
            runs.append({**run, "compared_with": reference.name})
    hidden = ", AVX-512 hidden" if "hide_avx512" in os.environ.get("LD_PRELOAD", "") else ""
    machine = {"machine": platform.machine(), "cpu": cpu_name() + hidden, "cpus": os.cpu_count()}
    machine["kernel"] = platform.release()
    return {"cfg": cfg, "versions": versions, **machine, "runs": runs, "ratios": duels(results)}


def numbers(text: str) -> list[int]:
    """A comma-separated list of positive whole numbers."""
    found = [int(word) for word in text.split(",")]
    if min(found) < 1:
        raise ValueError(text)
    return found


def end_cleanly_on_sigterm() -> None:
    """Let SIGTERM unwind as Ctrl-C does: models in the scratch folder take gigabytes."""

    def leave(number: int, frame: Any) -> NoReturn:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cfg", default="cfg/yolov2.cfg")
    parser.add_argument("--weights", help="measure with these instead of random ones")
    parser.add_argument("--sizes", type=numbers, default=[608, 416], help="sides of the input (608,416)")
    parser.add_argument("--threads", type=numbers, default=[1, 2], help="thread counts (1,2)")
    parser.add_argument("--rounds", type=int, default=10, help="turns of each peer (10)")
    parser.add_argument("--seed", type=int, default=1, help="of weights and picture (1)")
    parser.add_argument("--only", help=f"which of {','.join(PEERS)}; usually {','.join(USUAL)}")
    parser.add_argument("--avx2", action="store_true", help="as on a CPU without AVX-512")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    options = parser.parse_args(argv)
    names = options.only.split(",") if options.only else list(USUAL)
    unknown = [name for name in names if name not in PEERS]
    if unknown or options.rounds < 1 or options.seed < 0:
        parser.error(
            f"no peer is called {unknown[0]}" if unknown else "--rounds must be 1 or more, --seed 0 or more"
        )
    end_cleanly_on_sigterm()
    try:
        with tempfile.TemporaryDirectory(prefix="darkfuse-bench-") as folder:
            if options.avx2:
                hide_avx512(folder)
            versions = installed(names, "-")
            results = measure(list(versions), options, folder)
        print(table(results, versions))
        for duel in duels(results):
            print(
                "{ours} / {theirs} at {size}, {threads}t: latency {latency:.2f}, memory {memory:.2f}".format(
                    **duel
                )
            )
        if options.json:
            write_whole(options.json, json.dumps(as_json(results, versions, options.cfg), indent=1) + "\n")
    except DarkfuseError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
