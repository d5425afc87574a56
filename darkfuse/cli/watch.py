"""`darkfuse watch FOLDER [CFG] [WEIGHTS]`: detect in each picture that appears in a folder."""

from __future__ import annotations

import argparse
from typing import Any

from darkfuse.cli import arguments


def add(subparsers: Any) -> None:
    """Add the verb."""
    from darkfuse.cli.demo import _frames

    parser = subparsers.add_parser(
        "watch", allow_abbrev=False,
        usage="darkfuse watch FOLDER [CFG] [WEIGHTS] [options]",
        description="Detect in each picture that appears in FOLDER, as soon as it is complete, and write a "
                    "line of JSON for it. Ctrl-C ends it. Without CFG the small model that comes with "
                    "darkfuse is used.")
    parser.add_argument("files", nargs="+", metavar="FILE", help="the folder; x.cfg, x.weights")
    parser.add_argument("--move", metavar="DIR", help="move each picture there when it is done; those in "
                        "FOLDER at the start are done too")
    parser.add_argument("--annotate", metavar="DIR", help="write a copy with boxes there")
    parser.add_argument("--existing", action="store_true", help="begin with the pictures already there")
    parser.add_argument("--json-lines", default="-", metavar="FILE", help="add the lines to FILE (default -: "
                        "to stdout)")
    parser.add_argument("--count", type=_frames, metavar="N", help="stop after N pictures")
    arguments.add_answers(parser)
    arguments.add_pictures(parser)
    parser.add_argument("--names", metavar="FILE", help="class names, one a line, or a Darknet .data file")
    parser.add_argument("--mem", metavar="SIZE", help=arguments.MEM_HELP)
    parser.add_argument("--threads", type=arguments.threads, metavar="N", help="default: one a core")
    parser.add_argument("--exact", action="store_true", help="only kernels that round like Darknet's")


def run(args: argparse.Namespace) -> int:
    """Watch until interrupted: that is how it is meant to end, so the status is 0."""
    import contextlib

    from darkfuse.cli.detect import PICTURES, sort_files
    from darkfuse.errors import DarkfuseError
    from darkfuse.live.watch import Chores, Folder, watch
    from darkfuse.session.network import load

    cfg, weights, data, rest = sort_files(args.files[1:])
    if rest:
        raise DarkfuseError(f"{rest[0]} is neither a .cfg nor .weights; one folder is watched at a time")
    folder = Folder(args.files[0], PICTURES, args.existing or args.move is not None)
    net = load(cfg, weights, threads=args.threads, mem=args.mem, exact=args.exact, names=args.names or data,
               **arguments.loading(args), **arguments.pictures(args))
    chores = Chores(arguments.answers(args), args.move, args.annotate, args.json_lines, args.count)
    with net, contextlib.suppress(KeyboardInterrupt):
        watch(net, folder, chores)
    return 0
