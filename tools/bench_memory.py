#!/usr/bin/env python3
"""darkfuse inside memory cgroups without swap, and other runtimes inside the same ones with swap.

    bench_memory.py --limits 48M,32M --swap-limits 16M --peers ncnn,onnxruntime-lean --json memory.json

For every limit a whole `darkfuse detect --mem LIMIT` runs in a cgroup of that size, swap forbidden. Its
weights are not in the page cache and do not fit there, so every frame reads them from the disk. The latency
is the median of its frames but the first. Beside it stand a frame with everything resident, and the time that
plain reading of as many bytes takes in such a cgroup. Peers may swap: none of them would start without.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a plain checkout is enough to run this

from darkfuse.errors import DarkfuseError
from darkfuse.graph import load_graph
from darkfuse.host.files import write_whole
from darkfuse.host.units import format_bytes, parse_bytes
from tools.bench.peer import Job
from tools.bench.race import ROOT, ask_worker, worker_command, write_job
from tools.bench_peers import end_cleanly_on_sigterm, numbers, resized_cfg
from tools.make_weights import make_weights
from tools.memory_limit import Usage, run

NO_LIMIT = 1 << 40  # a cgroup still counts for those who may have all they want
READ_LOOP = """
import os, sys, time
file = os.open(sys.argv[1], os.O_RDONLY)
block, size, start = bytearray(1 << 20), os.fstat(file).st_size, time.monotonic()
for at in range(0, size, len(block)):
    os.preadv(file, [block], at)
    os.posix_fadvise(file, at, len(block), os.POSIX_FADV_DONTNEED)
print(size / (time.monotonic() - start))
"""


@dataclass(frozen=True)
class Row:
    """One process in one cgroup.

    process_peak is what it reports itself (VmHWM), group_peak the cgroup's mark, page cache included. Bytes
    and milliseconds; 0 where it did not get so far, and `fate` says why.
    """

    what: str
    limit: int
    swap: bool
    threads: int
    fate: str
    frame_ms: float = 0.0
    process_peak: int = 0
    group_peak: int = 0
    swap_peak: int = 0
    arena: int = 0
    read_a_frame: int = 0
    major_faults: int = 0


def fate(usage: Usage) -> str:
    """One word, or one line of what the process said last."""
    if usage.oom_kills:
        return "killed"
    if usage.timed_out:
        return "too slow"
    if usage.status:
        return (usage.stderr.strip().splitlines() or [f"status {usage.status}"])[-1]
    return "ran"


def settled(times: Sequence[float]) -> float:
    """Median of the frames after the first, which also pays for what is done once."""
    return statistics.median(times[1:] or times)


def darkfuse_row(files: dict[str, str], mem: str, limit: int, swap: bool, threads: int, frames: int) -> Row:
    """`darkfuse detect` on one picture, `frames` times over."""
    report = files["report"]
    Path(report).unlink(missing_ok=True)
    command = [sys.executable, "-m", "darkfuse", "detect", files["cfg"], files["weights"]]
    command += [files["image"]] * frames
    command += ["--mem", mem, "--threads", str(threads), "--no-draw", "--json", report]
    usage = run(command, limit, swap=swap, cold=[files["weights"]], timeout=600, capture=True, cwd=str(ROOT))
    common: dict[str, Any] = {
        "what": f"darkfuse --mem {mem}",
        "limit": limit,
        "swap": swap,
        "threads": threads,
    }
    if usage.status:
        return Row(**common, fate=fate(usage), group_peak=usage.peak_bytes)
    stats = [frame["stats"] for frame in json.loads(Path(report).read_text())]
    return Row(
        **common,
        fate="ran",
        frame_ms=settled([frame["latency_ms"] for frame in stats]),
        process_peak=max(frame["peak_rss_bytes"] for frame in stats),
        group_peak=usage.peak_bytes,
        swap_peak=usage.swap_peak_bytes,
        arena=stats[-1]["arena_bytes"],
        read_a_frame=stats[-1]["bytes_read"],
        major_faults=usage.major_faults,
    )


def peer_row(name: str, job: Job, limit: int, threads: int, frames: int, timeout: float) -> Row:
    """A peer's worker with swap allowed; its model is prepared."""
    cold = [str(path) for path in Path(job.folder).iterdir() if path.is_file()] + [job.weights]
    command = worker_command(name, threads, job.file("job.json"), "--frames", str(frames))
    usage = run(command, limit, swap=True, cold=cold, timeout=timeout, capture=True, cwd=str(ROOT))
    reply = json.loads(usage.stdout.splitlines()[-1]) if usage.stdout.strip() else {}
    end = reply.get("error") or fate(usage)
    common: dict[str, Any] = {"what": name, "limit": limit, "swap": True, "threads": threads, "fate": end}
    if end != "ran":
        return Row(**common, group_peak=usage.peak_bytes, swap_peak=usage.swap_peak_bytes)
    return Row(
        **common,
        frame_ms=settled(reply["ms"]),
        process_peak=reply["peak_bytes"],
        group_peak=usage.peak_bytes,
        swap_peak=usage.swap_peak_bytes,
        major_faults=usage.major_faults,
    )


def read_bandwidth(weights: str, limit: int) -> float:
    """Bytes a second of a bare loop of 1 MiB reads inside a cgroup of `limit` bytes; median of three."""
    rates = []
    for _ in range(3):
        usage = run([sys.executable, "-c", READ_LOOP, weights], limit, cold=[weights], capture=True)
        if usage.status:
            raise DarkfuseError(f"{weights}: reading it within {format_bytes(limit)} failed: {fate(usage)}")
        rates.append(float(usage.stdout))
    return statistics.median(rates)


def table(rows: Sequence[Row]) -> str:
    """The rows for people to read."""
    cells = [
        ["", "threads", "limit", "swap", "ms/frame", "process", "group", "swapped", "arena", "read/frame", ""]
    ]
    for row in rows:
        sizes = (row.process_peak, row.group_peak, row.swap_peak, row.arena, row.read_a_frame)
        limit = "none" if row.limit == NO_LIMIT else format_bytes(row.limit)
        cells.append(
            [row.what, str(row.threads), limit, "yes" if row.swap else "no"]
            + [f"{row.frame_ms:.1f}" if row.frame_ms else "-"]
            + [format_bytes(size) if size else "-" for size in sizes]
            + ["" if row.fate == "ran" else row.fate]
        )
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    return "\n".join("  ".join(c.rjust(w) for c, w in zip(line, widths)).rstrip() for line in cells)


def make_picture(path: str) -> None:
    """A photograph-like JPEG of 768 x 576: soft coloured blobs."""
    import numpy as np
    from PIL import Image

    small = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (9, 12, 3), np.uint8)
    Image.fromarray(small).resize((768, 576), Image.Resampling.BICUBIC).save(path, quality=90)


def measure(options: argparse.Namespace, folder: str) -> list[Row]:
    """All rows asked for, printed on standard error as they come."""
    cfg = Path(folder, "net.cfg")
    cfg.write_text(resized_cfg(options.cfg, options.size), errors="surrogateescape")
    weights = options.weights or str(Path(folder, "random.weights"))
    if not options.weights:
        make_weights(load_graph(str(cfg)), weights, 1)
    image = options.image or str(Path(folder, "picture.jpg"))
    if not options.image:
        make_picture(image)
    files = {"cfg": str(cfg), "weights": weights, "image": image, "report": str(Path(folder, "report.json"))}
    job = Job(str(cfg), weights, str(Path(folder, "models")), options.size, 1)
    Path(job.folder).mkdir()
    write_job(job, job.file("job.json"))
    rows: list[Row] = []

    def note(row: Row) -> None:
        rows.append(row)
        print(table([row]).partition("\n")[2], file=sys.stderr)

    for threads in options.threads:
        note(darkfuse_row(files, "resident", NO_LIMIT, False, threads, options.frames))
        for limit in options.limits:
            note(darkfuse_row(files, format_bytes(limit), limit, False, threads, options.frames))
        for limit in options.swap_limits:
            note(darkfuse_row(files, "small", limit, True, threads, options.frames))
    for name in options.peers:
        reply = ask_worker(name, job.file("job.json"), "--prepare")
        if "error" in reply:
            print(f"{name}: left out: {reply['error']}", file=sys.stderr)
            continue
        for threads in options.threads:
            for limit in options.limits:
                note(peer_row(name, job, limit, threads, 3, options.timeout))
        for path in Path(job.folder).iterdir():
            if path.name != "job.json":
                path.unlink()
    return rows


def bounds(rows: Sequence[Row], bandwidth: dict[int, float]) -> list[dict[str, Any]]:
    """Each limited frame over the longer of its compute (all resident) and its reading."""
    resident = {row.threads: row.frame_ms for row in rows if row.limit == NO_LIMIT and row.fate == "ran"}
    found = []
    for row in rows:
        if row.limit in bandwidth and not row.swap and row.fate == "ran" and resident.get(row.threads):
            read_ms = row.read_a_frame / bandwidth[row.limit] * 1e3
            bound = max(resident[row.threads], read_ms)
            facts = {"resident_ms": resident[row.threads], "read_ms": read_ms, "ratio": row.frame_ms / bound}
            found.append({"limit": row.limit, "threads": row.threads, "frame_ms": row.frame_ms, **facts})
    return found


def sizes(text: str) -> list[int]:
    """A comma-separated list of amounts of memory, for argparse."""
    try:
        return [parse_bytes(word) for word in text.split(",")]
    except DarkfuseError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cfg", default="cfg/yolov2.cfg")
    parser.add_argument("--weights", help="instead of random ones")
    parser.add_argument("--image", help="instead of a made-up one")
    parser.add_argument("--size", type=int, default=608, help="side of the input (608)")
    parser.add_argument("--limits", type=sizes, default=[48 << 20, 32 << 20], help="of cgroups (48M,32M)")
    parser.add_argument(
        "--swap-limits", type=sizes, default=[], help="also darkfuse --mem small in these, with swap (16M)"
    )
    parser.add_argument("--threads", type=numbers, default=[1, 2], help="thread counts (1,2)")
    parser.add_argument("--frames", type=int, default=5, help="frames of darkfuse in a process (5)")
    parser.add_argument(
        "--peers", type=lambda text: text.split(","), default=[], help="peers to run with swap"
    )
    parser.add_argument("--timeout", type=float, default=300, help="seconds a peer may take (300)")
    parser.add_argument("--scratch", metavar="DIR", help="for weights and models; on a disk, not in memory")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    options = parser.parse_args(argv)
    end_cleanly_on_sigterm()
    try:
        with tempfile.TemporaryDirectory(prefix="darkfuse-bench-", dir=options.scratch) as folder:
            rows = measure(options, folder)
            weights = options.weights or str(Path(folder, "random.weights"))
            bandwidth = {limit: read_bandwidth(weights, limit) for limit in options.limits}
        found = bounds(rows, bandwidth)
        print(table(rows))
        for limit, rate in bandwidth.items():
            print(f"plain 1 MiB reads within {format_bytes(limit)}: {rate / 1e9:.2f} GB/s")
        for one in found:
            frame = "{threads}t: {frame_ms:.1f} ms = {ratio:.2f} x the longer of".format(**one)
            other = "resident {resident_ms:.1f} and reading {read_ms:.1f}".format(**one)
            print(f"{format_bytes(one['limit'])}, {frame} {other}")
        if options.json:
            facts = {"rows": [asdict(row) for row in rows], "bandwidth": bandwidth, "bounds": found}
            write_whole(
                options.json, json.dumps({"cfg": options.cfg, "size": options.size, **facts}, indent=1) + "\n"
            )
    except DarkfuseError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
