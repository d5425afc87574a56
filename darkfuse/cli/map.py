"""`darkfuse map CFG WEIGHTS DATA`: mean average precision of a network on a folder of labelled photos."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from darkfuse.cli import arguments
from darkfuse.errors import DarkfuseError, DatasetError


def add(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "map", allow_abbrev=False,
        usage="darkfuse map CFG [WEIGHTS] DATA [options]",
        description="Score a network on labelled photos: average precision of each class, as VOC and as COCO "
                    "count it, or as AlexeyAB's detector map does.")
    parser.add_argument("files", nargs="+", metavar="FILE", help="x.cfg, x.weights, and DATA: a folder with "
                        "images/ and labels/ (Darknet's label format), or a .data file with valid=")
    parser.add_argument(
        "--split", metavar="FILE", help="score only the photos named in this file, one a line"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="score only the first N photos")
    parser.add_argument("--names", metavar="FILE", help="class names, one a line")
    arguments.add_answers(parser, 0.005)
    arguments.add_pictures(parser)
    parser.add_argument("--words", choices=("darkfuse", "alexeyab"), default="darkfuse",
                        help="a table of VOC and COCO figures, or what AlexeyAB's detector map prints")
    parser.add_argument("--conf-thresh", type=arguments.fraction, default=0.25,
                        help="alexeyab: score from which right and wrong boxes are counted (default 0.25)")
    parser.add_argument("--iou-thresh", type=arguments.fraction, default=0.5,
                        help="alexeyab: overlap from which an object is found (default 0.5)")
    parser.add_argument("--points", type=int, default=0, metavar="N",
                        help="alexeyab: recalls the precision is taken at; 0: area under the curve (default)")
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
    from darkfuse.cli.valid import layer_lines
    from darkfuse.detect.average_precision import evaluate, of_result
    from darkfuse.detect.darknet_map import POINTS, Rules, map_lines, tally
    from darkfuse.detect.dataset import photos, truths
    from darkfuse.detect.decode import class_count
    from darkfuse.detect.precision_table import as_json, table
    from darkfuse.model.names import read_data
    from darkfuse.model.tree import read_words
    from darkfuse.session.looking import raise_errors

    cfg, weights, data = named(args.files)
    chosen = photos(data, args.split, args.limit)
    listed = read_data(data) if data.endswith(".data") else None
    given = args.names or (data if listed and listed.names else None)
    net = darkfuse.load(cfg, weights, threads=args.threads, mem=args.mem, names=given,
                        **arguments.loading(args), **arguments.pictures(args))
    net.words = read_words(listed.words if listed else None)
    classes = len(net.words) or class_count(net.graph)
    names = [net.names[i] if i < len(net.names) else str(i) for i in range(classes)]
    found, there, seconds, fork = [], [], 0.0, args.words == "alexeyab"
    if args.points < 0 or (fork and args.json):
        raise DarkfuseError("--points is 0 or more; --json goes with --words darkfuse")
    if fork:
        print("\n calculation mAP (mean average precision)...", *layer_lines(net), sep="\n", flush=True)
    with net, Progress("photos", len(chosen)) as bar:
        seen = raise_errors(net.detect_each([photo.image for photo in chosen], **arguments.answers(args)))
        for done, (photo, result) in enumerate(zip(chosen, seen), 1):
            found.append(of_result(result))
            there.append(truths(photo, result.width, result.height, classes))
            seconds += result.seconds
            bar.update(done)
    if fork:
        rules = Rules(args.conf_thresh, args.iou_thresh, args.points)
        print("\n".join(map_lines(tally(found, there, classes, rules), names, rules)))
        print(f"Total Detection Time: {seconds:.0f} Seconds", file=sys.stderr)
        print(POINTS)
        return 0
    score = evaluate(found, there, classes)
    with JsonFile(args.json) as file:
        file.write(as_json(score, names, seconds) + "\n")
    if args.json != "-":
        print("\n".join(table(score, names, seconds)))
    return 0


def named(files: list[str]) -> tuple[str, str | None, str]:
    """The cfg, the weights and the data that the positional arguments name, in whatever order."""
    from darkfuse.cli.detect import holds_weights

    cfg = next((name for name in files if name.endswith(".cfg")), None)
    data = [name for name in files if name.endswith(".data") or os.path.isdir(name)]
    weights = [name for name in files if name != cfg and name not in data]
    gone = next((name for name in files if not os.path.exists(name) and name != cfg), None)
    if gone is not None:
        raise DatasetError(f"{gone}: there is no such file or folder")
    if cfg is None or len(data) != 1 or len(weights) > 1:
        raise DatasetError(f"{' '.join(files)}: name CFG, WEIGHTS and DATA, a folder or a .data file")
    for name in weights:
        if os.path.exists(name) and not (name.endswith(".weights") or holds_weights(name)):
            raise DatasetError(f"{name}: neither weights nor a folder; the order is CFG WEIGHTS DATA")
    return cfg, weights[0] if weights else None, data[0]
