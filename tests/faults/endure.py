#!/usr/bin/env python3
"""Run `darkfuse demo` for long on a video that repeats, in a memory cgroup, and see whether anything grows.

    tests/faults/endure.py --minutes 120
    tests/faults/endure.py --minutes 30 --limit 96M --mem min --fps-limit 5

Sampled every few seconds: resident memory of the process (all of it, and the part that is no file's), open
descriptors, threads. A line is fitted to memory after the first tenth; each frame has the same answer, digit
for digit, in each round of the video. Status 1 when descriptors or threads become more, an answer varies, or
memory grows by more than --slope MB an hour.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

FRAMES = 48  # of a round
SIZE = (160, 120)


def looped(path: Path, frames: int) -> None:
    """FRAMES pictures again and again, each coded by itself: all rounds have the same bytes."""
    import cv2
    from video import make_video

    once = cv2.VideoCapture(str(make_video(path.with_suffix(".once.avi"), FRAMES, size=SIZE)))
    pictures = [once.read()[1] for _ in range(FRAMES)]
    film = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, SIZE)
    film.write(pictures[0])  # OpenCV's writer codes its first frame otherwise than the next
    for number in range(frames):
        film.write(pictures[number % FRAMES])
    film.release()


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


class Answers:
    """Follows the lines of JSON; `differ` are frames whose answer is not that of the round before."""

    def __init__(self, path: Path) -> None:
        self.path, self.frames, self.objects = path, 0, 0
        self.first: dict[int, str] = {}
        self.differ: list[int] = []
        self._at = 0

    def follow(self) -> None:
        """Read what is new, whole lines only, and forget it."""
        with open(self.path, "rb+") as file:
            file.seek(self._at)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._at += len(line)
                record = json.loads(line)
                answer = json.dumps(record["objects"])
                digest = hashlib.sha256(answer.encode()).hexdigest()
                self.frames += 1
                self.objects += len(record["objects"])
                number = record["frame_id"] - 2
                if number >= 0 and self.first.setdefault(number % FRAMES, digest) != digest:
                    self.differ.append(record["frame_id"])


def endure(args: argparse.Namespace, folder: Path, group: Any) -> dict[str, Any]:
    """One run; its figures."""
    video, lines = folder / "looped.avi", folder / "lines.jsonl"
    looped(video, args.frames or int(args.minutes * 60 * args.fps_limit))
    words = ["demo", "--video", str(video), "--no-window", "--json-lines", str(lines), "--mem", args.mem,
             "--threads", str(args.threads), "--thresh", "0.02",
             "--fps-limit", str(args.fps_limit), *args.more]
    code = "import os, sys; open(sys.argv[1] + '/cgroup.procs', 'w').write(str(os.getpid()));" \
           "os.execv(sys.executable, [sys.executable, '-m', 'darkfuse', *sys.argv[2:]])"
    home = {**os.environ, "PYTHONPATH": str(ROOT)}
    home.pop("DISPLAY", None)
    process = subprocess.Popen([sys.executable, "-c", code, str(group.path), *words], env=home, cwd=folder)
    began, samples, answers = time.monotonic(), [], Answers(lines)
    while process.poll() is None:
        time.sleep(args.sample)
        if not lines.exists():
            continue
        answers.follow()
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
    answers.follow()
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
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--frames", type=int, default=0, help="of the video (default: enough)")
    parser.add_argument("--mem", default="min")
    parser.add_argument("--limit", default="128M", help="of the cgroup")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--fps-limit", type=float, default=5.0)
    parser.add_argument("--sample", type=float, default=5.0, metavar="SECONDS")
    parser.add_argument("--slope", type=float, default=0.1, metavar="MB", help="an hour that memory may grow")
    parser.add_argument("--state", default="", metavar="FILE", help="the figures so far, as JSON")
    parser.add_argument("--record", type=Path, metavar="FILE", help="put the figures into this JSON")
    parser.add_argument("more", nargs="*", help="more words for `demo`, after --")
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
        counts.setdefault("endure", {})[f"demo --mem {args.mem}"] = found
        args.record.write_text(json.dumps(counts, indent=1, sort_keys=True) + "\n")
    steady = len(found.get("most_threads", ())) == 1 == len(found.get("most_descriptors", ()))
    grows = max(found.get("rss_mb_an_hour", 9e9), found.get("anonymous_mb_an_hour", 9e9)) > args.slope
    return 0 if steady and not found["differ"] and not grows else 1


if __name__ == "__main__":
    sys.exit(main())
