"""`darkfuse plan CFG --mem 48M`: will it fit, how fast, and why."""

from __future__ import annotations

import argparse
from typing import Any

from darkfuse.cli import arguments


def add(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "plan", allow_abbrev=False,
        description="Plan a network for an amount of memory and explain the plan. A cfg with a plan in it is "
                    "explained as it is, unless --mem or --config ask for another.")
    parser.add_argument("cfg", metavar="CFG", nargs="?", help="the network's .cfg; those that come with "
                        "darkfuse can be named alone")
    parser.add_argument("weights", metavar="WEIGHTS", nargs="?", help="the network's .weights: checked to "
                        "fit the cfg, and planned for as they lie in the file")
    wish = parser.add_mutually_exclusive_group()
    wish.add_argument("--mem", metavar="SIZE", help="memory of the whole process, like 48M ('min': the "
                      "least that works, 'small': a little more, 'resident': no limit)")
    wish.add_argument("--config", metavar="PLAN", help="a configuration by hand, like 5x5/8/2x2")
    parser.add_argument("--algorithm", choices=("exact", "mafat"), default="exact",
                        help="our search (exact), or the paper's: mafat")
    parser.add_argument("--size", type=arguments.size, metavar="WxH",
                        help="size of the network in place of the cfg's")
    parser.add_argument("--threads", type=int, metavar="N", help="default: one a core, of the device named")
    parser.add_argument("--exact", action="store_true", help="only kernels that round like Darknet's")
    parser.add_argument("--device", metavar="NAME", help="plan for this device profile; 'list' prints what "
                        "there is")
    parser.add_argument("--read-bandwidth", metavar="SIZE", help="plan for storage that gives so many bytes "
                        "a second, like 22M, in place of the profile's")
    parser.add_argument("--what-if", action="store_true", help="say what more memory would buy")
    parser.add_argument("--plot", metavar="FILE", help="draw memory over time and the tiles: .svg or .png")
    parser.add_argument("--json", metavar="FILE", help="the plan and its numbers as JSON too (-: to stdout)")


def run(args: argparse.Namespace) -> int:
    """Plan and explain."""
    from darkfuse.cli.detect import JsonFile
    from darkfuse.cli.devices import device_lines
    from darkfuse.errors import DarkfuseError
    from darkfuse.graph import load_graph
    from darkfuse.graph.weights import weight_offsets
    from darkfuse.host import process
    from darkfuse.host.units import parse_rate
    from darkfuse.model.locate import find_cfg
    from darkfuse.plan.price.device import load_device
    from darkfuse.plan.show.annotate import read_annotation
    from darkfuse.plan.show.explain import explain
    from darkfuse.plan.show.plot import check_ending
    from darkfuse.session import whatif

    if args.device == "list":
        print("\n".join(device_lines()))
        return 0
    if args.cfg is None:
        raise DarkfuseError("say which network: darkfuse plan CFG --mem SIZE")
    if args.plot:
        check_ending(args.plot)  # before anything slow
    if args.threads is not None and not 1 <= args.threads <= 256:
        raise DarkfuseError(f"--threads {args.threads} is outside 1..256")
    graph = load_graph(find_cfg(args.cfg), *(args.size or ()))
    device = load_device(args.device, parse_rate(args.read_bandwidth))
    index = weight_offsets(graph, args.weights) if args.weights else None
    written = read_annotation(graph) if not args.mem and not args.config and not args.size else None
    if not args.mem and not args.config and written is None:
        raise DarkfuseError(f"{args.cfg}: say how much memory there is, like --mem 48M, or give a plan, like "
                            "--config 5x5/8/2x2")
    cores = max(device.rates) if args.device else process.cpu_count()
    threads = args.threads or (written.threads if written else cores)
    planner = whatif.Planner(graph, device, threads, args.exact, index)
    if args.config:
        answer = planner.by_hand(args.config)
    elif written:
        answer = planner.priced(written)
    else:
        answer = planner.fastest(args.mem, args.algorithm)
    with JsonFile(args.json) as file:
        file.write(whatif.to_json(answer))
    if args.json != "-":
        larger = planner.larger(answer) if args.what_if else ()
        print("\n".join(explain(graph, answer.plan, answer.prediction, larger)))
    if args.plot:
        planner.plot(answer, args.plot)
    return 0
