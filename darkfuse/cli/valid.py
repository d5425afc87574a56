"""`darkfuse valid DATA CFG WEIGHTS`: Darknet's result files of all photos a .data file lists."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Callable

from darkfuse.cli import arguments
from darkfuse.errors import DatasetError
from darkfuse.host.files import WholeFile

if TYPE_CHECKING:
    from darkfuse.session.network import Network

LAYER_TYPES = {"region": 27, "yolo": 28, "Gaussian_yolo": 29}  # the fork's numbers of them


def add(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "valid",
        usage="darkfuse valid DATA CFG [WEIGHTS] [options]", allow_abbrev=False,
        description="Detect in every photo that DATA lists after valid= and write what Darknet's detector "
                    "valid writes into the folder results= names: a file a class (eval=voc, the default), "
                    "coco_results.json (eval=coco) or imagenet-detection.txt (eval=imagenet). A network that "
                    "classifies is scored instead, top 1 and top N (top= in DATA), as classifier valid does.")
    parser.add_argument("files", nargs="+", metavar="FILE", help="x.data, x.cfg, x.weights")
    parser.add_argument("--out", metavar="NAME", help="beginning of the files' names")
    arguments.add_answers(parser, "the dialect's: 0.005, AlexeyAB's 0.001",
                          "the dialect's: 0.45, AlexeyAB's 0.6")
    arguments.add_pictures(parser)
    arguments.add_running(parser)


def run(args: argparse.Namespace) -> int:
    """Detect, or classify, and write or print."""
    from darkfuse.graph.build import DETECTION

    net, data = opened(args)
    with net:
        if any(node.kind in DETECTION for node in net.graph.nodes):
            for line in layer_lines(net):
                print(line)
            args.thresh = net.dialect.valid[0] if args.thresh is None else args.thresh
            args.nms = net.dialect.valid[1] if args.nms is None else args.nms
            began = time.monotonic()
            detected(net, data, args)
            print(f"Total Detection Time: {time.monotonic() - began:f} Seconds", file=sys.stderr)
        else:
            classified(net, data)
    return 0


def opened(args: argparse.Namespace) -> tuple[Network, Any]:
    """The network and the .data file that the positional arguments name."""
    from darkfuse.cli.detect import sort_files
    from darkfuse.model.names import read_data
    from darkfuse.model.tree import read_words
    from darkfuse.session.network import load

    cfg, weights, data, rest = sort_files(args.files)
    if data is None or rest:
        raise DatasetError(f"{rest[0] if rest else args.files[0]}: the order is x.data x.cfg x.weights")
    read = read_data(data)
    net = load(cfg, weights, names=data if read.names else None, **arguments.loading(args),
               **arguments.pictures(args), **arguments.running(args))
    net.words = read_words(read.words)
    return net, read


def layer_lines(net: Network) -> list[str]:
    """What the fork prints of the layers boxes come from: number and Darknet's number of the kind."""
    return [f" Detection layer: {node.index} - type = {LAYER_TYPES[node.kind]} "
            for node in net.graph.nodes if node.kind in LAYER_TYPES]


def detected(net: Network, data: Any, args: argparse.Namespace) -> None:
    """Write the result files."""
    from darkfuse.cli.progress import Progress
    from darkfuse.detect.dataset import photos
    from darkfuse.detect.decode import class_count
    from darkfuse.detect.validation import KINDS, coco_lines, imagenet_lines, voc_lines

    kind = data.values.get("eval", "voc")
    if kind not in KINDS:
        raise DatasetError(f"{data.path}: eval={kind}: there are {', '.join(KINDS)}")
    chosen, classes = photos(data.path), len(net.words) or class_count(net.graph)
    names = [net.names[i] if i < len(net.names) else str(i) for i in range(classes)]
    folder, base = data.values.get("results", "results"), args.out or KINDS[kind]
    os.makedirs(folder, exist_ok=True)
    with contextlib.ExitStack() as stack, Progress("photos", len(chosen)) as bar:
        def made(name: str) -> WholeFile:
            return stack.enter_context(WholeFile(os.path.join(folder, name), "the results"))

        if kind == "voc":
            files = [made(f"{base}{name}.txt".replace(os.sep, "_")) for name in names]
        else:
            files = [made(base + (".json" if kind == "coco" else ".txt"))]
        write: Callable[[str], Any] = files[0].write
        comma = "[\n"
        for done, photo in enumerate(chosen, 1):
            result = net.detect(photo.image, **arguments.answers(args))
            if kind == "voc":
                for number, line in voc_lines(result):
                    files[number].write(line + "\n")
            elif kind == "imagenet":
                write("".join(line + "\n" for line in imagenet_lines(result, done)))
            else:
                for line in coco_lines(result):
                    write(comma + line)
                    comma = ",\n"
            bar.update(done)
        if kind == "coco":
            write("[\n]\n" if comma == "[\n" else "\n]\n")


def classified(net: Network, data: Any) -> None:
    """Print how often the right class is the best one, and among the best; it is the one in the path."""
    from darkfuse.detect.dataset import listed_paths
    from darkfuse.model.names import read_names

    labels = read_names(data.labels) if data.labels else net.names
    print(" TOP calculation...\n")
    best = int(data.values.get("top", "1")) if data.values.get("top", "1").isdigit() else 1
    ones = first = among = 0
    for path in listed_paths(data.path):
        right = next((at for at, name in enumerate(labels) if name in path), -1)
        found = [label.class_id for label in net.classify(path, best)]
        ones, first, among = ones + 1, first + (found[0] == right), among + (right in found)
        print(f"{ones - 1}: top 1: {first / ones:f}, top {best}: {among / ones:f}", flush=True)
