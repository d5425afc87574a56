#!/usr/bin/env python3
"""Fuzz what darkfuse reads, for so many executions or seconds a target.

    tests/fuzz/run.py                          each target for 30 s
    tests/fuzz/run.py http plan --seconds 3600
    tests/fuzz/run.py --executions 1000000 --record tests/counts.json

An input that ends in anything but a result or an error made for people, or takes over a second, is written to
tests/fuzz/corpus/TARGET, where `test_replay.py` runs it for ever after. Status 1 when there was one.
With --record, counts are added to a file's, also those of a target that is interrupted;
tools/reliability_table.py makes a table of them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

from mutate import mutated  # noqa: E402
from targets import EXPECTED, TARGETS, corpus  # noqa: E402

SLOW_S = 1.0  # of this process's own time: the machine may be busy


@dataclass
class Counts:
    """Executions, faults, and the slowest execution in s of processor time."""

    executions: int = 0
    faults: int = 0
    slowest: float = 0.0


def fuzz(name: str, executions: int, seconds: float, seed: int, counts: Counts) -> None:
    """Fuzz one target; `counts` is right at any time, also where it is interrupted."""
    target, draw = TARGETS[name], random.Random(f"{name} {seed}")
    pool = [*target.seeds(), *corpus(name)]
    end = time.monotonic() + seconds
    while counts.executions < executions and time.monotonic() < end:
        data = mutated(draw, pool, target.words, target.limit)
        began = time.process_time()
        fault = ""
        try:
            target.run(data)
            if len(pool) < 200 and draw.random() < 0.01:
                pool.append(data)  # it was accepted: further on than what is refused
        except EXPECTED as error:
            text = str(error)
            if len(text) > 5000 or "\n" in text:
                fault = f"a message of {len(text)} characters"
        except Exception:
            fault = traceback.format_exc()
        took = time.process_time() - began
        counts.slowest = max(counts.slowest, took)
        if took > SLOW_S:
            fault = fault or f"{took:.1f} s"
        counts.executions += 1
        if fault:
            counts.faults += 1
            folder = HERE / "corpus" / name
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / hashlib.sha256(data).hexdigest()[:16]
            path.write_bytes(data)
            print(f"{name}: {path.name}: {fault.strip()}", flush=True)
            if counts.faults >= 20:
                break


def record(path: Path, name: str, now: Counts) -> None:
    """Add a target's counts to those in `path`."""
    counts = json.loads(path.read_text()) if path.exists() else {}
    was = counts.setdefault("fuzz", {}).get(name, {"executions": 0, "faults": 0, "slowest_ms": 0})
    counts["fuzz"][name] = {"executions": was["executions"] + now.executions,
                            "faults": was["faults"] + now.faults,
                            "slowest_ms": max(was["slowest_ms"], round(now.slowest * 1000))}
    path.write_text(json.dumps(counts, indent=1, sort_keys=True) + "\n")


def main() -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--executions", type=int, default=0, help="of each target (default: no end)")
    parser.add_argument("--seconds", type=float, default=0.0, help="for each target (default 30)")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--record", type=Path, metavar="FILE", help="add the counts to this JSON")
    args = parser.parse_args()
    seconds = args.seconds or (1e9 if args.executions else 30.0)
    wrong = 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was done until then counts
    for name in args.targets or TARGETS:
        counts = Counts()
        try:
            fuzz(name, args.executions or sys.maxsize, seconds, args.seed, counts)
        finally:
            print(f"{name}: {counts.executions} executions, {counts.faults} faults, slowest "
                  f"{counts.slowest * 1000:.0f} ms", flush=True)
            if args.record:
                record(args.record, name, counts)
        wrong += counts.faults
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
