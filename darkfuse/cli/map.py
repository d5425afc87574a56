"""`darkfuse map CFG WEIGHTS DATA`: mean average precision of a network on a folder of labelled photos."""

from __future__ import annotations

import argparse
from typing import Any

from darkfuse.cli import arguments


def add(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "map", help="score a network on a folder of labelled photos (VOC and COCO mAP)"
    )
    parser.add_argument("cfg", metavar="CFG", help="the network's .cfg")
    parser.add_argument("weights", metavar="WEIGHTS", help="its .weights")
    parser.add_argument(
        "data", metavar="DATA",
        help="folder with images/ and labels/ (Darknet's label format), or a .data file with valid="
    )
    parser.add_argument(
        "--split", metavar="FILE", help="score only the photos named in this file, one a line"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="score only the first N photos")
    parser.add_argument("--names", metavar="FILE", help="class names, one a line")
    arguments.add_answers(parser, 0.005)
    arguments.add_pictures(parser)
    parser.add_argument("--threads", type=int, metavar="N", help="threads (default: all cores)")
    parser.add_argument("--mem", metavar="SIZE", help=arguments.MEM_HELP)
    parser.add_argument(
        "--json", metavar="FILE", help="write the scores as JSON too; - for standard output alone"
    )


def run(args: argparse.Namespace) -> int:
    """Detect on every photo, score, print the table."""
    import darkfuse
    from darkfuse.cli.detect import JsonFile
    from darkfuse.cli.progress import Progress
    from darkfuse.detect.average_precision import evaluate, of_result
    from darkfuse.detect.dataset import photos, truths
    from darkfuse.detect.decode import class_count
    from darkfuse.detect.precision_table import as_json, table
    from darkfuse.session.looking import raise_errors

    chosen = photos(args.data, args.split, args.limit)
    given = args.names or (args.data if args.data.endswith(".data") else None)
    net = darkfuse.load(args.cfg, args.weights, threads=args.threads, mem=args.mem, names=given,
                        **arguments.loading(args), **arguments.pictures(args))
    classes = class_count(net.graph)
    names = [net.names[i] if i < len(net.names) else str(i) for i in range(classes)]
    found, there, seconds = [], [], 0.0
    with net, Progress("photos", len(chosen)) as bar:
        seen = raise_errors(net.detect_each([photo.image for photo in chosen], **arguments.answers(args)))
        for done, (photo, result) in enumerate(zip(chosen, seen), 1):
            found.append(of_result(result))
            there.append(truths(photo, result.width, result.height, classes))
            seconds += result.seconds
            bar.update(done)
    score = evaluate(found, there, classes)
    with JsonFile(args.json) as file:
        file.write(as_json(score, names, seconds) + "\n")
    if args.json != "-":
        print("\n".join(table(score, names, seconds)))
    return 0
