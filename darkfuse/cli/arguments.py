"""Options that several verbs share, and the readers of their values."""

from __future__ import annotations

import argparse
from typing import Any, Callable

MEM_HELP = ("memory for the whole process, like 48M; 'min': the least that works, 'small': a little more; "
            "'resident': no limit (default: half of what is free, more of it where that is too little)")


def add_answers(parser: argparse.ArgumentParser, thresh: float | str = "the dialect's: 0.5, AlexeyAB's 0.25",
                nms: str = "the dialect's: 0.45, OpenCV's 0.4", native: bool = True) -> None:
    """Add what decides the answers: dialect, size, thresholds, NMS, letterbox or stretch.

    `thresh` is the verb's own default; words say what the dialect's is, and leave it None. `native`: the size
    may be each picture's.
    """
    from darkfuse.model.dialect import NMS_KINDS

    add_dialect(parser, native)
    parser.add_argument("--hier", type=number(0, 1, "a number from 0 to 1"), default=0.5, metavar="X",
                        help="of a word tree (YOLO9000): how probable a word must be for more special ones "
                        "to be looked at (default 0.5)")
    parser.add_argument("--thresh", type=fraction, default=None if isinstance(thresh, str) else thresh,
                        help=f"least score of a detection (default {thresh})")
    parser.add_argument("--nms", type=fraction,
                        help=f"most two boxes of one class may overlap (default {nms}; 0: any)")
    parser.add_argument("--nms-kind", choices=NMS_KINDS, help="what overlap means (default: as the cfg says "
                        "in AlexeyAB's dialect; elsewhere plain, which is IoU)")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--letterbox", "--letter-box", dest="letterbox", action="store_true", default=None,
                       help="keep the picture's aspect, as Darknet's detect (default: as the dialect does)")
    shape.add_argument("--stretch", dest="letterbox", action="store_false",
                       help="stretch the picture to the network, as AlexeyAB's test")


def add_pictures(parser: argparse.ArgumentParser) -> None:
    """Add how picture files are taken."""
    parser.add_argument("--ignore-exif", action="store_true", help="take pictures as they are stored, as "
                        "Darknet does, whichever way up the camera was held")
    parser.add_argument("--reduce-pictures", action="store_true", help="take a progressive JPEG that cannot "
                        "be decoded whole within --mem at an eighth of its size, rather than refuse it")


def pictures(args: argparse.Namespace) -> dict[str, Any]:
    """`add_pictures`'s options as keywords of `session.network.load`."""
    return {"ignore_exif": args.ignore_exif, "reduce_pictures": args.reduce_pictures}


def add_dialect(parser: argparse.ArgumentParser, native: bool = False) -> None:
    """Add `--dialect` and `--size`."""
    from darkfuse.model.dialect import NAMES

    parser.add_argument("--dialect", choices=NAMES, default="auto", help="whose answers to give: Darknet's, "
                        "AlexeyAB's fork's or OpenCV's (default auto: by the cfg's keys)")
    more = "; native: each picture's own, rounded up to what suits the network" if native else ""
    parser.add_argument("--size", type=size_or_native if native else size, metavar="WxH",
                        help="size of the network in place of the cfg's" + more)


def add_running(parser: argparse.ArgumentParser) -> None:
    """Add what decides how the network is run, and in what memory: no answer depends on it."""
    from darkfuse.host.isa import ISAS

    parser.add_argument("--threads", type=threads, metavar="N", help="default: one a core")
    parser.add_argument("--mem", metavar="SIZE", help=MEM_HELP)
    parser.add_argument("--plan", metavar="PLAN", help="a plan's JSON file, or groups like 5x5/8/2x2")
    parser.add_argument("--device", metavar="NAME", help="plan for this device profile")
    parser.add_argument("--read-bandwidth", metavar="SIZE", help="hold reads of weights to so many bytes a "
                        "second, like 22M, and plan for that: how it would run from such storage")
    parser.add_argument("--exact", action="store_true", help="only kernels that round like Darknet's")
    parser.add_argument("--batch", metavar="N", default="auto", help="pictures at a time that share each "
                        "read of weights (default auto: as many as is fastest within --mem)")
    parser.add_argument("--isa", choices=ISAS, help="instruction set to use")
    parser.add_argument("--no-cache", dest="cache", action="store_false",
                        help="search for the plan even where an earlier start left it in the cache folder")
    parser.add_argument("--stats", action="store_true", help="time and memory of each picture")


def running(args: argparse.Namespace) -> dict[str, Any]:
    """`add_running`'s options as keywords of `session.network.load`."""
    names = "threads", "mem", "plan", "device", "exact", "isa", "cache", "read_bandwidth", "batch"
    return {name: getattr(args, name) for name in names}


def loading(args: argparse.Namespace) -> dict[str, Any]:
    """`add_dialect`'s options as keywords of `session.network.load`."""
    width, height = args.size if isinstance(args.size, tuple) else (None, None)
    more = {"hier": args.hier} if "hier" in args else {}
    if args.size == "native":
        more["size"] = args.size
    return {"dialect": args.dialect, "width": width, "height": height, **more}


def answers(args: argparse.Namespace) -> dict[str, Any]:
    """The rest of `add_answers`'s options as keywords of `Network.detect`."""
    return {"thresh": args.thresh, "nms": args.nms, "letterbox": args.letterbox, "nms_kind": args.nms_kind}


def add_mqtt(parser: argparse.ArgumentParser) -> None:
    """Add `--mqtt`."""
    parser.add_argument("--mqtt", metavar="URL", help="tell Home Assistant what is seen: "
                        "mqtt://user:password@broker:1883/name")


def number(least: float, most: float, words: str) -> Callable[[str], float]:
    """What reads a number from `least` to `most`; of any other text it says that it is not `words`."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not {words}")
        return value

    return read


fraction = number(0, 1, "between 0 and 1")


def threads(text: str) -> int:
    """A number of threads."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 256):
        raise argparse.ArgumentTypeError(f"{text} is not a number of threads, 1 to 256")
    return int(text)


def positive(text: str) -> int:
    """A whole number from 1 to 65535."""
    if not (text.isascii() and text.isdigit() and 1 <= len(text) <= 5 and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number, 1 to 65535")
    return int(text)


def size(text: str) -> tuple[int, int]:
    """Width and height in pixels, `416x320`, or one number for a square."""
    words = text.lower().split("x")
    if len(words) == 1:
        words *= 2
    if len(words) != 2 or not all(word.isascii() and word.isdigit() and len(word) <= 5 for word in words):
        why = "; native is for verbs that look at pictures of many sizes" if text == "native" else ""
        raise argparse.ArgumentTypeError(f"{text} is not WxH, a width and a height in pixels{why}")
    return int(words[0]), int(words[1])


def size_or_native(text: str) -> tuple[int, int] | str:
    """`size`, or 'native' as it is."""
    return text if text == "native" else size(text)


def address(text: str) -> tuple[str, int]:
    """Where to listen, `HOST:PORT`; a port alone is one of this machine only."""
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) < 65536):
        raise argparse.ArgumentTypeError(f"{text} is not [HOST:]PORT, with a port below 65536")
    return host.strip("[]") or "127.0.0.1", int(port)
