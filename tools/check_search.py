#!/usr/bin/env python3
"""The search against the one before it was made fast: predicted times, and CPU seconds.

    check_search.py [NAME ...] > table.txt

`search_before.json` has, for each of 12 networks and 1 and 2 threads, ten arenas from the least that works to
everything resident, and what the search of version 0.2.0 found for them on the profile generic-x86:
[bytes asked for, bytes taken, predicted milliseconds, CPU seconds]. Exits with 1 when a plan of today is
predicted to take more than 1% longer, or the median of all ratios is above 1, or a plan takes more bytes than
it was allowed.

The first row of a network is the least that works, today often less than it was, and slower for that. It may
take 1% more bytes than the least of before; times are compared at equal bytes, so that `now ms` is then of
another plan, with as much memory as the least of before took.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a plain checkout is enough to run this

import shapes

from darkfuse.cli.main import Parser
from darkfuse.errors import DarkfuseError
from darkfuse.host.interrupt import end_cleanly
from darkfuse.plan.price.device import BUILTIN
from darkfuse.plan.search.search import plan_for

BEFORE = Path(__file__).resolve().parent / "search_before.json"
MOST = 1.01
# As it was when the figures of before were taken: caches were thought to be smaller
PROFILE = replace(BUILTIN["generic-x86"], near_bytes=256 << 10)
MB = 1 << 20


class Result(NamedTuple):
    """A search of today beside the one before: milliseconds predicted, CPU seconds of searching, arena bytes
    allowed and taken."""

    threads: int
    was_ms: float
    now_ms: float
    was_seconds: float
    now_seconds: float
    limit: float
    taken: int

    @property
    def ratio(self) -> float:
        return self.now_ms / self.was_ms

    @property
    def bad(self) -> bool:
        return self.ratio > MOST or self.taken > self.limit


def main(argv: Sequence[str] | None = None) -> int:
    """Search again, print the table; returns the exit status."""
    parser = Parser(prog="check_search", description=__doc__,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NAME", help="default: all that are in the file")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth budget")
    parser.add_argument("--times", type=int, default=1, metavar="N",
                        help="search N times in turn, for the least CPU seconds: beside other work")
    args = parser.parse_args(argv)
    before = json.loads(BEFORE.read_text())
    results, rows = list[Result](), list[str]()
    print(f"{'network':14} {'threads':>7} {'arena':>9} {'before ms':>10} {'now ms':>10} {'ratio':>7} "
          f"{'CPU s':>7} {'before':>7}")
    try:
        for name in args.networks or sorted(before):
            rounds = [list(searched(name, before[name], args.every)) for _ in range(args.times)]
            results_before = len(results)
            for same in zip(*rounds):
                found = min(same, key=lambda one: one.now_seconds)
                results.append(found)
                print(f"{name:14} {found.threads:7} {found.taken / MB:8.2f}M {found.was_ms:10.2f} "
                      f"{found.now_ms:10.2f} {found.ratio:7.4f} {found.now_seconds:7.3f} "
                      f"{found.was_seconds:7.3f}{'  WRONG' if found.bad else ''}", flush=True)
            rows.append(summary(name, results[results_before:]))
    except DarkfuseError as error:
        print(f"check_search: {error}", file=sys.stderr)
        return 2
    ratios, wrong = [found.ratio for found in results], sum(found.bad for found in results)
    median = statistics.median(ratios)
    print(f"{len(results)} plans, {wrong} outside; ratio {min(ratios):.4f} to {max(ratios):.4f}, median "
          f"{median:.4f}")
    for what, seconds in (("now", [found.now_seconds for found in results]),
                          ("before", [found.was_seconds for found in results])):
        print(f"CPU seconds {what}: median {statistics.median(seconds):.3f}, most {max(seconds):.3f}")
    print("\n| network | predicted, of before: median (worst) | CPU s: median (most) | before |")
    print("|---|--:|--:|--:|", *rows, sep="\n")
    return 1 if wrong or median > 1 else 0


def summary(name: str, results: Sequence[Result]) -> str:
    """One network's row of the table in docs/plan.md."""
    ratios = [found.ratio for found in results]
    now, before = ([getattr(found, what) for found in results] for what in ("now_seconds", "was_seconds"))
    return (f"| {name} | {statistics.median(ratios):.4f} ({max(ratios):.4f}) | {statistics.median(now):.2f} "
            f"({max(now):.2f}) | {statistics.median(before):.2f} ({max(before):.2f}) |")


def searched(name: str, rows: dict[str, list[list[float]]], every: int) -> Iterator[Result]:
    """Search for each budget of one network."""
    graph = shapes.network(name)
    for threads, budgets in rows.items():
        for mem, arena, ms, seconds in budgets[::every]:
            start = time.process_time()
            plan = plan_for(graph, None if mem is None else int(mem), int(threads), False, PROFILE)
            took = time.process_time() - start
            limit = 1.01 * arena if mem == 0 else mem or float("inf")
            equal = plan
            if mem == 0:
                equal = plan_for(graph, int(arena), int(threads), False, PROFILE, or_least=True)
            yield Result(int(threads), ms, equal.predicted_ms, seconds, took, limit, plan.arena_bytes)


if __name__ == "__main__":
    end_cleanly()
    sys.exit(main())
