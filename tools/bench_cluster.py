#!/usr/bin/env python3
"""`darkfuse label` with two worker processes against one on one core, and with workers killed now and then.

    bench_cluster.py --pictures 400 --rounds 3
    bench_cluster.py --pictures 4000 --kill 20

Pictures a second are counted between the first lines that are written and the last, so that starting and
planning are left out. The two kinds of run take turns, and the middle one of the ratios counts.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a plain checkout is enough to run this

from darkfuse.errors import DarkfuseError
from tools.bench_memory import make_picture

ROOT = Path(__file__).resolve().parent.parent
MUST = 1.8  # times one worker's pictures a second


def workers_of(pid: int) -> list[int]:
    """The worker processes that a run has started."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
    return found


def pin(pid: int, core: int) -> None:
    """Keep all threads of a process, and those it will start, on one core."""
    for task in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(task), {core})


def lines(path: Path) -> list[str]:
    """The whole lines there are."""
    return path.read_text().splitlines(keepends=True) if path.exists() else []


def label(files: Sequence[str], folder: Path, out: Path, workers: int, mem: str, kill: float) -> float:
    """Run it, and give pictures a second; checks that each picture has one line."""
    command = [sys.executable, "-m", "darkfuse", "label", *files, str(folder), "--out", str(out),
               "--batch", "8", "--workers", f"local:{workers}", "--threads", "1", "--mem", mem]
    first, kills = 0, 0
    with tempfile.TemporaryFile("w+") as said:
        run = subprocess.Popen(command, stderr=said, cwd=ROOT)
        since = killed = time.time()
        while run.poll() is None:
            now = time.time()
            if not first and lines(out):
                first, since = len(lines(out)), now
                if workers == 1:
                    pin(workers_of(run.pid)[0], min(os.sched_getaffinity(0)))
            if kill and now - killed > kill and len(there := workers_of(run.pid)) == workers:
                os.kill(random.choice(there), signal.SIGKILL)
                killed, kills = now, kills + 1
            time.sleep(0.02)
        said.seek(0)
        text = said.read()
    if run.returncode:
        raise DarkfuseError(f"{' '.join(command[2:])}: {text.strip()[-300:]}")
    names = [json.loads(line)["filename"] for line in lines(out)]
    if sorted(names) != sorted(str(path) for path in folder.iterdir()):
        raise DarkfuseError(f"{len(names)} lines, of {len(set(names))} pictures")
    rate = (len(names) - first) / (out.stat().st_mtime - since)
    print(f"  {workers} workers: {rate:6.2f} pictures a second, {kills} killed; "
          f"{text.splitlines()[-1].split(', ')[-1]}", flush=True)
    return rate


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; 1 where two workers are less than 1.8 times one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", nargs="*", metavar="CFG WEIGHTS", help="default: darkfuse's own small model")
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mem", default="192M", help="of each worker")
    parser.add_argument("--kill", type=float, default=0, metavar="SECONDS", help="kill a worker so often, "
                        "and count lines only")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="darkfuse-cluster-", dir="/var/tmp") as scratch:
        folder = Path(scratch) / "pictures"
        folder.mkdir()
        original = str(Path(scratch) / "picture.jpg")
        make_picture(original)
        for number in range(options.pictures):
            os.link(original, folder / f"{number:06d}.jpg")
        ratios = []
        for number in range(1 if options.kill else options.rounds):
            outs = [Path(scratch) / f"{which}{number}.jsonl" for which in ("two", "one")]
            two = label(options.files, folder, outs[0], 2, options.mem, options.kill)
            if options.kill:
                print(f"{options.pictures} pictures, each has one line")
                return 0
            one = label(options.files, folder, outs[1], 1, options.mem, 0)
            ratios.append(two / one)
        times = statistics.median(ratios)
        print(f"two workers: {times:.2f} times one on one core (must {MUST})")
    return 1 if times < MUST else 0


if __name__ == "__main__":
    raise SystemExit(main())
