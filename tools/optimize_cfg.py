#!/usr/bin/env python3
"""Plan a network for a memory budget and write the plan into a copy of its .cfg.

    optimize_cfg.py cfg/yolov2.cfg --mem 48M                 writes cfg/yolov2.48M.cfg
    optimize_cfg.py cfg/yolov2.cfg --mem 48M --device rpi3   for another board
    optimize_cfg.py cfg/yolov2.cfg --pareto                  what more memory would buy

`darkfuse detect` runs the new cfg as planned, without a search; Darknet and OpenCV read it as before.
"""

from __future__ import annotations

import os
import sys

# A checkout built in place will do, too
sys.path.append(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from darkfuse.host.built import missing
from darkfuse.host.interrupt import end_at_once, end_cleanly

if __name__ == "__main__":
    end_at_once()  # before anything that takes time is imported
    if why := missing():
        print(f"optimize_cfg: {why}", file=sys.stderr)
        sys.exit(2)

import argparse
import json
from collections.abc import Sequence

from darkfuse.cli.main import Parser
from darkfuse.errors import DarkfuseError
from darkfuse.graph import load_graph
from darkfuse.host import process
from darkfuse.host.files import write_whole
from darkfuse.host.units import format_bytes, parse_bytes
from darkfuse.model.locate import find_cfg
from darkfuse.plan.price.device import load_device
from darkfuse.plan.show.annotate import annotate
from darkfuse.session.whatif import ALGORITHMS, Answer, Planner


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    args = arguments().parse_args(argv)
    try:
        return run(args)
    except DarkfuseError as error:
        print(f"optimize_cfg: {error}", file=sys.stderr)
    except OSError as error:
        print(f"optimize_cfg: {error.filename}: {error.strerror}", file=sys.stderr)
    except MemoryError:
        print("optimize_cfg: out of memory", file=sys.stderr)
    return 2


def arguments() -> argparse.ArgumentParser:
    """The options."""
    parser = Parser(prog="optimize_cfg", formatter_class=argparse.RawDescriptionHelpFormatter,
                    description=__doc__)
    parser.add_argument("cfg", metavar="CFG", nargs="?", default="cfg/yolov2.cfg",
                        help="the network (default cfg/yolov2.cfg)")
    parser.add_argument("--mem", metavar="SIZE", help="memory of the whole process, like 48M")
    parser.add_argument("--min-mem", action="store_true", help="the plan that takes least memory")
    parser.add_argument("--latency", type=float, metavar="MS", help="least memory no slower than this")
    parser.add_argument("--pareto", action="store_true", help="print what every amount of memory buys")
    parser.add_argument("--config", metavar="PLAN", help="a configuration by hand, like 5x5/8/2x2")
    parser.add_argument("--algorithm", choices=ALGORITHMS, default="exact",
                        help="exact (default), or the paper's greedy search: mafat")
    parser.add_argument("-o", "--out", metavar="OUT.cfg", help="where to write (default <name>.<SIZE>.cfg)")
    parser.add_argument("--json", metavar="FILE", help="the plan and its numbers as JSON too (-: to stdout)")
    parser.add_argument("--threads", type=int, metavar="N", help="default: one a core")
    parser.add_argument("--exact", action="store_true", help="only kernels that round like Darknet's")
    parser.add_argument("--device", metavar="NAME", help="plan for this device profile")
    return parser


def run(args: argparse.Namespace) -> int:
    """Answer the question and write the files."""
    asked = [bool(args.mem) and args.latency is None, args.min_mem, args.latency is not None, args.pareto,
             args.config is not None]
    if sum(asked) != 1:
        raise DarkfuseError("ask one thing: --mem SIZE, --min-mem, --latency MS (with --mem SIZE or "
                            "without), --pareto or --config PLAN")
    if args.threads is not None and not 1 <= args.threads <= 256:
        raise DarkfuseError(f"--threads {args.threads} is outside 1..256")
    if args.latency is not None and not args.latency > 0:
        raise DarkfuseError(f"--latency {args.latency:g} is no time; give milliseconds")
    if args.algorithm == "mafat" and not asked[0]:
        raise DarkfuseError("--algorithm mafat answers --mem SIZE only")
    if args.mem == "min":
        raise DarkfuseError("for the plan that takes least memory ask --min-mem")
    if args.mem and args.mem != "small":
        parse_bytes(args.mem)  # before anything slow
    graph = load_graph(find_cfg(args.cfg))
    device = load_device(args.device)
    cores = max(device.rates) if args.device else process.cpu_count()
    planner = Planner(graph, device, args.threads or cores, args.exact)
    if args.pareto:
        return pareto(planner, args.json)
    if args.config is not None:
        answer = planner.by_hand(args.config)
    elif args.min_mem or args.latency is not None:
        answer = planner.smallest(args.latency, args.mem)
    else:
        answer = planner.fastest(args.mem, args.algorithm)
    out = args.out or default_out(args.cfg, args, answer)
    write_whole(out, annotate(graph.cfg, answer.plan), "the cfg")
    if args.json:
        write_json(args.json, answer.to_dict())
    if args.json != "-":
        print(f"{out}: {summary(answer)}")
    return 0


def pareto(planner: Planner, out: str | None) -> int:
    """Print the frontier."""
    answers = planner.frontier()
    if out:
        write_json(out, [answer.to_dict() for answer in answers])
    if out != "-":
        print("  memory      arena   a frame    a frame reads")
        for answer in answers:
            plan, found = answer.plan, answer.prediction
            print(f"{format_bytes(plan.predicted_peak_bytes):>8} {format_bytes(plan.arena_bytes):>10} "
                  f"{found.ms:>6.0f} ms {format_bytes(found.read_bytes):>16}")
    return 0


def summary(answer: Answer) -> str:
    """One line about a plan."""
    plan = answer.plan
    return (f"{len(plan.groups)} groups, {plan.threads} thread{'s'[:plan.threads > 1]}, predicted "
            f"{format_bytes(plan.predicted_peak_bytes)} at most and {answer.prediction.ms:.0f} ms a frame, "
            f"{format_bytes(answer.prediction.read_bytes)} of weights read for each; "
            f"found in {answer.search_seconds:.2f} s")


def default_out(cfg: str, args: argparse.Namespace, answer: Answer) -> str:
    """`yolov2.48M.cfg` beside `yolov2.cfg`; a budget in the name already is replaced."""
    folder, name = os.path.split(cfg)
    stem = name[:-4] if name.endswith(".cfg") else name
    front, dot, last = stem.rpartition(".")
    if dot and last[:1].isdigit():
        stem = front
    size = args.mem if args.mem and args.latency is None else format_bytes(answer.plan.predicted_peak_bytes)
    return os.path.join(folder, f"{stem}.{''.join(size.split())}.cfg")


def write_json(path: str, answer: object) -> None:
    """To a file, or for '-' to standard output."""
    write_whole(path, json.dumps(answer, indent=1) + "\n", "the JSON")


if __name__ == "__main__":
    end_cleanly()
    sys.exit(main())
