"""`darkfuse calibrate`: measure this machine, so that plans are made for it."""

from __future__ import annotations

import argparse
from typing import Any


def add(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "calibrate",
        description="Measure how fast this machine computes and reads, in some 10 s, and keep the "
                    "profile in the cache folder, where planning finds it. The machine should have "
                    "nothing else to do.")
    parser.add_argument("--device", metavar="NAME", help="keep the profile under this name, to be used with "
                        "--device NAME (default: as this machine's own)")
    parser.add_argument("--threads", metavar="N[,N]", help="team sizes to measure (default 1 and one a core)")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="how long (default 10)")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--weights", metavar="FILE", help="measure the storage that this file of weights lies "
                       "on, by reading it")
    where.add_argument("--storage", metavar="DIR", help="a folder on the storage the weights will be read "
                       "from (default: the cache folder)")
    parser.add_argument("--anyway", action="store_true", help="keep the profile even where the same work "
                        "took different times, as on a busy machine")
    parser.add_argument("--out", metavar="FILE", help="write the profile here instead")


def run(args: argparse.Namespace) -> int:
    """Measure, write the profile, say what it holds."""
    from darkfuse.cli.progress import Progress
    from darkfuse.errors import DarkfuseError
    from darkfuse.plan.price.device import save_device
    from darkfuse.session.calibrate import calibrate, team_sizes

    if not 1 <= args.seconds <= 600:
        raise DarkfuseError(f"--seconds {args.seconds:g} is outside 1..600")
    with Progress("calibrate", 1000) as bar:
        device = calibrate(args.device or "this-machine", team_sizes(args.threads), args.seconds,
                           lambda share: bar.update(round(1000 * share)), args.storage, args.anyway,
                           args.weights)
    path = save_device(device, args.out)
    print(f"{path}: reads {device.read:.3g} GB/s")
    for threads, rates in sorted(device.rates.items()):
        print(f"  {threads} thread{'s' if threads > 1 else ' '}: 3x3 {rates.direct3:.0f}, "
              f"1x1 {rates.direct1:.0f}, first layer {rates.first:.0f}, Winograd {rates.gemm:.0f} GFLOP/s")
    return 0
