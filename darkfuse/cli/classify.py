"""`darkfuse classify [DATA] CFG [WEIGHTS] IMAGE...`: the best classes of photos as a whole."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from darkfuse.cli import arguments
from darkfuse.cli.detect import Job, look_at
from darkfuse.errors import ImageError
from darkfuse.model.names import read_data

if TYPE_CHECKING:
    from darkfuse.session.network import Network


def add(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "classify", allow_abbrev=False,
        usage="darkfuse classify [DATA] CFG [WEIGHTS] IMAGE... [options]",
        description="The best classes of pictures (files, folders, or '-' for paths on standard input) by "
                    "a network that classifies. DATA is a Darknet .data file that says where the names are.")
    parser.add_argument("files", nargs="*", metavar="FILE",
                        help="x.data, x.cfg, x.weights, pictures, folders, -")
    parser.add_argument("-t", "--top", type=_classes, metavar="N",
                        help="classes to name (default: top= of DATA with alexeyab's words, else 5)")
    fit = parser.add_mutually_exclusive_group()
    fit.add_argument("--crop", dest="fit", action="store_const", const="crop",
                     help="scale the short side to the network's width and take the middle (default, but in "
                     "OpenCV's dialect)")
    fit.add_argument("--letterbox", "--letter-box", dest="fit", action="store_const", const="letterbox",
                     help="keep all of the picture and its aspect, as the original's classifier predict")
    fit.add_argument("--stretch", dest="fit", action="store_const", const="stretch",
                     help="stretch the picture to the network")
    parser.add_argument("--words", choices=("darknet", "alexeyab"), default="darknet",
                        help="whose lines to print (classifier predict: alexeyab's)")
    arguments.add_dialect(parser)
    arguments.add_pictures(parser)
    parser.add_argument("--json", metavar="FILE", help="write the classes as JSON too (-: to stdout)")
    parser.add_argument("--names", metavar="FILE", help="class names, one a line, or a Darknet .data file")
    arguments.add_running(parser)


def run(args: argparse.Namespace) -> int:
    """Classify each picture in turn; among several a bad one is reported and the rest still done."""
    return look_at(args, Classes)


class Classes(Job):
    """Pictures to be named rather than searched; a result is the picture's path and its labels."""

    def __init__(self, net: Network, args: argparse.Namespace, pictures: list[str] | None) -> None:
        super().__init__(net, args, pictures)
        self.top = args.top or 5
        if args.words == "alexeyab":
            data = next((read_data(name).values for name in args.files if name.endswith(".data")), {})
            output = net.graph.node(net.graph.outputs[0]).out_shape
            asked = data.get("top", "1")
            self.top = args.top or (int(asked) if asked.isdigit() and int(asked) else 1)
            if self.to_stdout:
                print(f" classes = {data.get('classes', '2')}, output in cfg = {output.c} ")

    def each(self, paths: list[str]) -> Iterator[Any]:
        """The best labels of each picture, or its `ImageError`."""
        for path in paths:
            try:
                yield path, self.net.classify(path, self.top, self.args.fit)
            except ImageError as error:
                yield error

    def lines(self, result: Any) -> list[str]:
        """Darknet's words: the time, then a line a class."""
        path, labels = result
        seconds = self.net.stats["latency_ms"] / 1000
        if self.args.words == "alexeyab":
            size = self.net.graph.input
            return [f"{size.w} {size.h}", f"{path}: Predicted in {seconds * 1000:f} milli-seconds.",
                    *(f"{label.name}: {label.confidence:f}" for label in labels)]
        return [f"{path}: Predicted in {seconds:f} seconds.",
                *(f"{label.confidence * 100:5.2f}%: {label.name}" for label in labels)]

    def json(self, result: Any, number: int) -> str:
        """A frame with `classes` where detection has `objects`."""
        path, labels = result
        dialect = self.net.dialect
        return json.dumps({
            "frame_id": number, "filename": path, "classes": [label._asdict() for label in labels],
            "stats": self.net.stats, "dialect": {"name": dialect.name, "why": dialect.why},
        }, indent=1)

    def draw(self, result: Any, path: str) -> None:
        """There is nothing to draw."""


def _classes(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= len(text) <= 6 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text} is not a number of classes, 1 or more")
    return int(text)
