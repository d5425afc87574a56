"""`darkfuse recall DATA CFG WEIGHTS`: how many labelled objects some box covers, as Darknet prints it."""

from __future__ import annotations

import argparse
from typing import Any

from darkfuse.cli import arguments


def add(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "recall", help="how many labelled objects some box covers (Darknet's detector recall)",
        usage="darkfuse recall DATA CFG [WEIGHTS] [options]", allow_abbrev=False,
        description="After each photo that DATA lists after valid=: its number, objects found and objects "
                    "there so far, boxes a photo, mean IoU of objects with their best box, and recall at IoU "
                    "0.5. Classes do not count.")
    parser.add_argument("files", nargs="+", metavar="FILE", help="x.data, x.cfg, x.weights")
    arguments.add_answers(parser, 0.001)
    arguments.add_pictures(parser)
    arguments.add_running(parser)


def run(args: argparse.Namespace) -> int:
    """Detect in each photo and print its line."""
    from darkfuse.cli.valid import opened
    from darkfuse.detect.dataset import photos, truths
    from darkfuse.detect.decode import class_count
    from darkfuse.detect.validation import Recall

    net, data = opened(args)
    chosen, classes, recall = photos(data.path), class_count(net.graph), Recall()
    with net:
        for photo in chosen:
            given = arguments.answers(args)
            if given.get("nms") is None:
                given["nms"] = 0.4  # Darknet's for this command
            result = net.detect(photo.image, **given)
            print(recall.add(result, truths(photo, result.width, result.height, classes)), flush=True)
    return 0
