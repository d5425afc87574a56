"""`darkfuse anchors DATA`: anchors for a set of labels, as AlexeyAB's `detector calc_anchors`."""

from __future__ import annotations

import argparse
import os
from typing import Any

from darkfuse.cli import arguments
from darkfuse.errors import DatasetError
from darkfuse.host.files import WholeFile


def add(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "anchors", allow_abbrev=False,
        description="Cluster the boxes of all photos that a .data file lists after train= by k-means, with "
                    "1 - IoU as distance, print the anchors in pixels of the network and write them to "
                    "anchors.txt, and how many boxes each class has, for counters_per_class= of a cfg, to "
                    "counters_per_class.txt beside it. Needs numpy.")
    parser.add_argument("data", metavar="DATA", help="a Darknet .data file")
    parser.add_argument("--num-of-clusters", type=arguments.positive, default=5, metavar="N",
                        help="anchors wanted (default 5)")
    parser.add_argument("--width", type=arguments.positive, default=416, help="of the network (default 416)")
    parser.add_argument("--height", type=arguments.positive, default=416, help="of the network (default 416)")
    parser.add_argument("--out", default="anchors.txt", metavar="FILE", help="(default anchors.txt)")
    parser.add_argument("--show", action="store_true", help=argparse.SUPPRESS)  # Darknet's window


def run(args: argparse.Namespace) -> int:
    """Read the labels, cluster, print in Darknet's words."""
    from darkfuse.detect.anchors import find_anchors
    from darkfuse.detect.dataset import photos, truths
    from darkfuse.model.names import read_data

    wide, high, count = args.width, args.height, args.num_of_clusters
    print(f"\n num_of_clusters = {count}, width = {wide}, height = {high} ")
    chosen = photos(args.data, key="train")
    print(f" read labels from {len(chosen)} images ")
    boxes, per_class = [], [0] * (read_data(args.data).classes or 1)
    for photo in chosen:
        # Difficult objects are no labels to Darknet; any class is one here
        for number, x1, y1, x2, y2, difficult in truths(photo, wide, high, 1 << 20):
            if not difficult:
                boxes.append((x2 - x1, y2 - y1))
                per_class += [0] * (number + 1 - len(per_class))
                per_class[number] += 1
    print(f"\r loaded \t image: {len(chosen)} \t box: {len(boxes)}\n all loaded. ")
    print("\n calculating k-means++ ...", flush=True)
    if len(boxes) < count:
        raise DatasetError(f"{args.data}: {len(boxes)} boxes are too few for {count} anchors")
    found = find_anchors(boxes, count)
    print(f"\n iterations = {found.rounds} \n")
    counters = "counters_per_class = " + ", ".join(map(str, per_class))
    print(f"\n{counters}\n\n avg IoU = {found.iou * 100:2.2f} % \n\nSaving anchors to the file: {args.out} ")
    with WholeFile(os.path.join(os.path.dirname(args.out), "counters_per_class.txt"), "the counters") as file:
        file.write(counters)
    form = "{:3.0f},{:3.0f}" if wide > 32 else "{:2.4f},{:2.4f}"
    text = ", ".join(form.format(*size) for size in found.sizes)
    with WholeFile(args.out, "the anchors") as file:
        file.write(text)
    print(f"anchors = {text}")
    return 0
