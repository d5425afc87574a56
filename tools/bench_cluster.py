#!/usr/bin/env python3
"""`darkfuse label` with two worker processes against one on one core, and with workers killed now and then.

    bench_cluster.py --pictures 400 --rounds 3
    bench_cluster.py --pictures 4000 --kill 20

Pictures a second are counted between the first lines that are written and the last, so that starting and
planning are left out. The two kinds of run take turns, and the middle one of the ratios counts. On a machine
that is busy with something else the ratio by processor time tells more: what two cores could do in all, with
whatever the scheduler and the writing of lines take, against what one core could that only one worker has.
"""

from __future__ import annotations

import argparse
import contextlib
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


def spent(pids: Sequence[int]) -> float:
    """Processor seconds that processes have taken."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(words[11]) + int(words[12])
    return total / os.sysconf("SC_CLK_TCK")


def lines(path: Path) -> list[str]:
    """The whole lines there are."""
    return path.read_text().splitlines(keepends=True) if path.exists() else []


def label(files: Sequence[str], folder: Path, out: Path, workers: int, mem: str,
          kill: float) -> tuple[float, float]:
    """Run it; pictures a second, and a second of processor time. Checks that each picture has one line."""
    command = [sys.executable, "-m", "darkfuse", "label", *files, str(folder), "--out", str(out),
               "--workers", f"local:{workers}", "--threads", "1", "--mem", mem]
    first = kills = last = 0
    before = after = 0.0
    with tempfile.TemporaryFile("w+") as said:
        run = subprocess.Popen(command, stderr=said, cwd=ROOT)
        since = killed = time.time()
        while run.poll() is None:
            now = time.time()
            if not first and lines(out):
                first, since = len(lines(out)), now
                before = spent(counted(run.pid, workers))
            if first and len(lines(out)) > last:
                last, after = len(lines(out)), spent(counted(run.pid, workers))
                if workers == 1:
                    pin(workers_of(run.pid)[0], min(os.sched_getaffinity(0)))
            if kill and first and now - killed > kill and len(there := workers_of(run.pid)) == workers:
                os.kill(random.choice(there), signal.SIGKILL)
                killed, kills = now, kills + 1
            time.sleep(0.1)
        said.seek(0)
        text = said.read()
    if run.returncode:
        raise DarkfuseError(f"{' '.join(command[2:])}: {text.strip()[-300:]}")
    names = [json.loads(line)["filename"] for line in lines(out)]
    if sorted(names) != sorted(str(path) for path in folder.iterdir()):
        raise DarkfuseError(f"{len(names)} lines, of {len(set(names))} pictures")
    rate = (len(names) - first) / (out.stat().st_mtime - since)
    by_time = (last - first) / max(after - before, 1e-9)
    print(f"  {workers} workers: {rate:6.2f} pictures a second, {by_time:6.2f} a processor second, "
          f"{kills} killed; {text.splitlines()[-1].split(', ')[-1]}", flush=True)
    return rate, by_time


def counted(pid: int, workers: int) -> list[int]:
    """Processes whose time counts: the worker that has a core to itself, or everything."""
    return workers_of(pid) if workers == 1 else [pid, *workers_of(pid)]


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
            ratios.append((two[0] / one[0], 2 * two[1] / one[1]))
        times, by_time = (statistics.median(ratio[n] for ratio in ratios) for n in (0, 1))
        print(f"two workers: {times:.2f} times one on one core, {by_time:.2f} by processor time "
              f"(must {MUST})")
    return 1 if times < MUST else 0


if __name__ == "__main__":
    raise SystemExit(main())
