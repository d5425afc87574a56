"""`darkfuse doctor`: what this machine has, what is missing, and what `--mem` makes sense."""

from __future__ import annotations

import argparse
import json
from typing import Any

MARKS = {"ok": " ", "note": "-", "warn": "!"}


def add(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser("doctor")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(args: argparse.Namespace) -> int:
    """Print one line a fact; `!` before what will cost time, memory or a run."""
    from darkfuse.host.machine import as_dict, facts
    from darkfuse.kernels._kernels import active

    found = facts()
    best = active()
    if args.json:
        print(json.dumps({"isa": best, "facts": as_dict(found)}, indent=1))
        return 0
    print(f"  {'kernels':<12} {best}")
    for fact in found:
        print(f"{MARKS[fact.level]} {fact.topic:<12} {fact.text}")
    return 0
