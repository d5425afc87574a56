"""`darkfuse label SOURCE... --out FILE.jsonl`: boxes for a whole collection, of millions of pictures."""

from __future__ import annotations

import argparse
from typing import Any

from darkfuse.cli import arguments


def add(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "label", help="find objects in a whole collection of pictures", allow_abbrev=False,
        usage="darkfuse label [CFG] [WEIGHTS] SOURCE... --out FILE.jsonl [options]",
        description="Detect in every picture of a collection once, and write a line of JSON for each. A run "
                    "that was broken off, however that happened, is gone on with by --resume.")
    parser.add_argument("files", nargs="+", metavar="FILE", help="x.cfg, x.weights; folders (with all below "
                        "them), tar files, lists (.txt) of paths, pictures")
    parser.add_argument("--out", required=True, metavar="PATH", help="FILE.jsonl for the lines; FILE.json, "
                        "written in COCO's form when all is done, the lines beside it; or a folder for a "
                        "file of lines of each shard")
    parser.add_argument("--shard", type=shard, default=(0, 1), metavar="i/n", help="only part i of n, "
                        "for as many processes or machines: 0/4 to 3/4")
    parser.add_argument("--resume", action="store_true", help="go on where a run was broken off")
    arguments.add_answers(parser)
    arguments.add_pictures(parser)
    parser.add_argument("--names", metavar="FILE", help="class names, one a line, or a Darknet .data file")
    arguments.add_running(parser)


def shard(text: str) -> tuple[int, int]:
    """`i/n` as (i, n), with i from 0 to n - 1."""
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and int(number) < int(count) <= 1 << 20):
        raise argparse.ArgumentTypeError(f"{text} is not i/n, a part from 0/n to (n-1)/n")
    return int(number), int(count)


def run(args: argparse.Namespace) -> int:
    """Label what has no line yet. Pictures that cannot be read have a line that says why; the status is 0."""
    import sys

    from darkfuse.cli.detect import PICTURES, sort_files
    from darkfuse.cli.progress import Progress
    from darkfuse.errors import DarkfuseError
    from darkfuse.live.label import Results, Work, label, write_coco
    from darkfuse.live.sources import items
    from darkfuse.session.network import load

    cfg, weights, data, sources = sort_files(args.files)
    if not sources:
        raise DarkfuseError("say which pictures: folders, tar files, lists of paths")
    number, shards = args.shard
    path = lines_path(args.out, number, shards)
    with Results(path, args.resume) as results:
        net = load(cfg, weights, names=args.names or data, **arguments.loading(args),
                   **arguments.pictures(args), **arguments.running(args))
        before, now, bad, seconds = len(results.marks), 0, results.bad, 0.0
        with net, Progress("pictures", None) as bar:
            for progress in label(net, items(sources, PICTURES), results,
                                  Work(arguments.answers(args), number, shards)):
                now, bad, seconds = progress.now, progress.bad, progress.seconds
                bar.update(progress.now)
        if args.out.endswith(".json"):
            write_coco(results, args.out, list(net.names))
    rate = f", {now / seconds:.2f} a second" if seconds else ""
    print(f"{path}: {now} pictures{rate}; {before} were done before; {bad} of all cannot be read",
          file=sys.stderr)
    return 0


def lines_path(out: str, number: int, shards: int) -> str:
    """Where the lines go, for `--out` and a shard."""
    import os

    part = f"-{number:05d}-of-{shards:05d}" if shards > 1 else ""
    if out.endswith(".jsonl"):
        return f"{out[:-6]}{part}.jsonl"
    if out.endswith(".json"):
        return f"{out[:-5]}{part}.jsonl"
    os.makedirs(out, exist_ok=True)
    return os.path.join(out, f"labels{part}.jsonl")
