#!/usr/bin/env python3
"""Run `darkfuse demo` or `serve` for long on pictures that repeat, in a memory cgroup; does anything grow?

    tests/faults/endure.py --minutes 120
    tests/faults/endure.py --command serve --mem 48M --minutes 120 --record tests/counts.json

Sampled every few seconds: resident memory of the process (all of it, and the part that is no file's), open
descriptors, threads. A line is fitted to memory after the first tenth; each picture has the same answer,
digit for digit, in each round. Status 1 when descriptors or threads become more, an answer varies, or memory
grows by more than --slope MB an hour.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).resolve().parent)]

from loops import FRAMES, Answers, Film, Pictures  # noqa: E402

LOOPS = {"demo": Film, "serve": Pictures}


def sample(pid: int) -> dict[str, int]:
    """Memory in bytes, descriptors and threads of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = {name: value for name, _, value in (line.partition(":") for line in lines)}
    size = {name: int(fields[name].split()[0]) << 10 for name in ("VmRSS", "RssAnon", "VmHWM")}
    return {**size, "threads": int(fields["Threads"]), "descriptors": len(os.listdir(f"/proc/{pid}/fd"))}


def slope(points: list[tuple[float, float]]) -> float:
    """Of the line with the least squares of distances."""
    n = len(points)
    across, up = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    spread = sum((x - across) ** 2 for x, _ in points)
    return sum((x - across) * (y - up) for x, y in points) / spread if spread else 0.0


def halves(samples: list[Any]) -> tuple[list[Any], list[Any]]:
    """The earlier and the later ones: threads that read come and go, the most there are at once does not."""
    return samples[: len(samples) // 2], samples[len(samples) // 2:]


def endure(args: argparse.Namespace, folder: Path, group: Any) -> dict[str, Any]:
    """One run; its figures."""
    loop = LOOPS[args.command](folder, args)
    code = "import os, sys; open(sys.argv[1] + '/cgroup.procs', 'w').write(str(os.getpid()));" \
           "os.execv(sys.executable, [sys.executable, '-m', 'darkfuse', *sys.argv[2:]])"
    home = {**os.environ, "PYTHONPATH": str(ROOT)}
    home.pop("DISPLAY", None)
    words = [args.command, *loop.words, "--mem", args.mem, "--threads", str(args.threads), *args.more]
    process = subprocess.Popen([sys.executable, "-c", code, str(group.path), *words], env=home, cwd=folder)
    began, samples, answers = time.monotonic(), [], loop.answers
    while process.poll() is None:
        loop.go_on(args.sample)
        if answers.frames > FRAMES:  # all is opened and in use
            try:
                samples.append((time.monotonic() - began, sample(process.pid)))
            except (OSError, KeyError):  # it has just ended
                break
        if args.state:
            Path(args.state).write_text(json.dumps(figures(samples, answers, group), indent=1) + "\n")
        if time.monotonic() - began > args.minutes * 60:
            process.terminate()  # a shell's background ignores Ctrl-C
            break
    status = process.wait(600)
    loop.end()
    return {"status": status, **figures(samples, answers, group)}


def figures(samples: list[tuple[float, dict[str, int]]], answers: Answers, group: Any) -> dict[str, Any]:
    """What there is to say so far."""
    later = samples[len(samples) // 10:]
    if len(later) < 2:
        return {}
    grown = {name: slope([(at, one[name]) for at, one in later]) * 3600 / 1e6
             for name in ("VmRSS", "RssAnon")}
    return {
        "minutes": round(later[-1][0] / 60, 1), "samples": len(later), "frames": answers.frames,
        "rounds": answers.frames // FRAMES, "objects": answers.objects, "differ": answers.differ[:20],
        "rss_mb_an_hour": round(grown["VmRSS"], 4), "anonymous_mb_an_hour": round(grown["RssAnon"], 4),
        "rss_mb": [round(one["VmRSS"] / 1e6, 2) for _, one in (later[0], later[-1])],
        "peak_mb": round(later[-1][1]["VmHWM"] / 1e6, 2), "cgroup_peak_mb": round(group.peak() / 1e6, 2),
        **{f"most_{name}": sorted({max(one[name] for _, one in part) for part in halves(later)})
           for name in ("threads", "descriptors")},
    }


def main() -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--command", choices=LOOPS, default="demo")
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--frames", type=int, default=0, help="of demo's video (default: enough)")
    parser.add_argument("--mem", default="min")
    parser.add_argument("--limit", default="128M", help="of the cgroup")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--fps-limit", type=float, default=5.0)
    parser.add_argument("--sample", type=float, default=5.0, metavar="SECONDS")
    parser.add_argument("--slope", type=float, default=0.1, metavar="MB", help="an hour that memory may grow")
    parser.add_argument("--state", default="", metavar="FILE", help="the figures so far, as JSON")
    parser.add_argument("--record", type=Path, metavar="FILE", help="put the figures into this JSON")
    parser.add_argument("more", nargs="*", help="more words for the command, after --")
    args = parser.parse_args()
    from darkfuse.host.units import parse_bytes
    from tools.cgroup import Group

    group = Group()
    try:
        group.limit(parse_bytes(args.limit), swap=False)
        with tempfile.TemporaryDirectory(prefix="darkfuse-endure-") as folder:
            found = endure(args, Path(folder), group)
    finally:
        group.close()
    print(json.dumps(found, indent=1))
    if args.record:
        counts = json.loads(args.record.read_text()) if args.record.exists() else {}
        counts.setdefault("endure", {})[f"{args.command} --mem {args.mem}"] = found
        args.record.write_text(json.dumps(counts, indent=1, sort_keys=True) + "\n")
    steady = len(found.get("most_threads", ())) == 1 == len(found.get("most_descriptors", ()))
    grows = max(found.get("rss_mb_an_hour", 9e9), found.get("anonymous_mb_an_hour", 9e9)) > args.slope
    return 0 if steady and not found["differ"] and not grows else 1


if __name__ == "__main__":
    sys.exit(main())
