"""`darkfuse recall DATA CFG WEIGHTS`: how many labelled objects some box covers, as Darknet prints it."""

from __future__ import annotations

import argparse
from typing import Any

from darkfuse.cli import arguments


def add(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "recall",
        usage="darkfuse recall DATA CFG [WEIGHTS] [options]", allow_abbrev=False,
        description="After each photo that DATA lists after valid=: its number, objects found and objects "
                    "there so far, boxes a photo, mean IoU of objects with their best box, and recall at IoU "
                    "0.5. Photos are stretched; boxes are those whose objectness exceeds --thresh; of "
                    "overlapping ones the best is left: classes do not count.")
    parser.add_argument("files", nargs="+", metavar="FILE", help="x.data, x.cfg, x.weights")
    arguments.add_dialect(parser)
    parser.add_argument("--thresh", type=arguments.fraction, default=0.001,
                        help="least objectness of a box (default 0.001)")
    parser.add_argument("--nms", type=arguments.fraction, default=0.4,
                        help="most two boxes may overlap (default 0.4; 0: any)")
    arguments.add_pictures(parser)
    arguments.add_running(parser)


def run(args: argparse.Namespace) -> int:
    """Detect in each photo and print its line."""
    from darkfuse.cli.valid import opened
    from darkfuse.detect.dataset import photos, truths
    from darkfuse.detect.decode import by_objectness, class_count
    from darkfuse.detect.validation import Recall

    net, data = opened(args)
    chosen, classes, recall = photos(data.path), class_count(net.graph), Recall()
    with net:
        for photo in chosen:
            found = net.candidates(photo.image, args.thresh, letterbox=False)
            boxes = [one.box for one in by_objectness(found, args.nms)]
            there = [truth for truth in truths(photo, 1, 1, classes) if not truth[5]]
            print(recall.add(boxes, there), flush=True)
    return 0
