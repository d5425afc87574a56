"""`darkfuse anchors DATA`: anchors for a set of labels, as AlexeyAB's `detector calc_anchors`."""

from __future__ import annotations

import argparse
from typing import Any

from darkfuse.cli import arguments
from darkfuse.errors import DatasetError
from darkfuse.host.files import WholeFile


def add(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "anchors", help="anchors for a set of labels (AlexeyAB's detector calc_anchors)", allow_abbrev=False,
        description="Cluster the boxes of all photos that a .data file lists after train= by k-means, with "
                    "1 - IoU as distance, print the anchors in pixels of the network and write them to "
                    "anchors.txt. Needs numpy.")
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

    wide, high, count = args.width, args.height, args.num_of_clusters
    print(f"\n num_of_clusters = {count}, width = {wide}, height = {high} ")
    chosen = photos(args.data, key="train")
    print(f" read labels from {len(chosen)} images ")
    boxes = []
    for photo in chosen:
        # difficult ones are no labels to Darknet; any class is one here
        boxes += [(x2 - x1, y2 - y1) for _, x1, y1, x2, y2, difficult in truths(photo, wide, high, 1 << 20)
                  if not difficult and x2 > x1 and y2 > y1]
    print(f" loaded \t image: {len(chosen)} \t box: {len(boxes)}\n all loaded. \n")
    print(" calculating k-means++ ...\n", flush=True)
    if len(boxes) < count:
        raise DatasetError(f"{args.data}: {len(boxes)} boxes are too few for {count} anchors")
    found = find_anchors(boxes, count)
    print(f" iterations = {found.rounds} \n")
    print("counters_per_class = " + ", ".join(map(str, found.members)))
    print(f"\n avg IoU = {found.iou * 100:2.2f} % \n\nSaving anchors to the file: {args.out} ")
    form = "{:3.0f},{:3.0f}" if wide > 32 else "{:2.4f},{:2.4f}"
    text = ", ".join(form.format(*size) for size in found.sizes)
    with WholeFile(args.out, "the anchors") as file:
        file.write(text)
    print(f"anchors = {text}")
    return 0
