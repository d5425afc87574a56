"""`darkfuse demo [CFG] [WEIGHTS]`: live boxes from a camera or a video, in a window or in a browser."""

from __future__ import annotations

import argparse
from typing import Any

from darkfuse.cli import arguments


def add(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "demo", allow_abbrev=False,
        usage="darkfuse demo [CFG] [WEIGHTS] [FILM | --camera N] [options]",
        description="Detect in a camera's picture or in a video while it runs, and show the boxes in a "
                    "window (where there is a screen), in a browser (--http), or write them down. q, Esc or "
                    "Ctrl-C end it. Without CFG the small model that comes with darkfuse is used.")
    parser.add_argument("files", nargs="*", metavar="FILE", help="x.cfg, x.weights, a film")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--camera", "--c", type=_camera, metavar="N",
                        help="number of the camera (default 0), or libcamera for a board's own")
    source.add_argument("--video", metavar="FILE", help="a video file, a stream (rtsp://..., "
                        "http://...) or a GStreamer pipeline")
    parser.add_argument("--realtime", action="store_true", help="play a video file at its own speed, as a "
                        "camera would show it, dropping frames detection has no time for")
    parser.add_argument("--still", nargs="?", type=_noise, const=0, metavar="NOISE", help="the camera does "
                        "not move: compute only what has changed by more than so many levels of 255 (default "
                        "0: the boxes of whole frames)")
    parser.add_argument("--mem", metavar="SIZE", help=arguments.MEM_HELP)
    arguments.add_answers(parser)
    parser.add_argument("--out", metavar="FILE.mp4", help="write the video with its boxes; an .avi too")
    parser.add_argument("--json-lines", metavar="FILE", help="write each frame's boxes as a line of JSON "
                        "(-: to stdout)")
    parser.add_argument("--http", type=arguments.address, metavar="[HOST:]PORT", help="show it in a "
                        "browser, at this port of this machine only; with 0.0.0.0:PORT to the whole network")
    arguments.add_mqtt(parser)
    parser.add_argument("--json-port", type=arguments.address, metavar="[HOST:]PORT", help="serve the boxes "
                        "as a JSON list that grows by a frame at a time")
    parser.add_argument("--prefix", metavar="NAME", help="write each frame with its boxes, as "
                        "NAME_00000001.jpg and so on")
    parser.add_argument("--no-window", dest="window", action="store_false", help="open no window")
    parser.add_argument("--fps-limit", type=_rate, default=0.0, metavar="N",
                        help="look at no more than N frames a second")
    parser.add_argument("--words", choices=("darkfuse", "alexeyab"), default="darkfuse", help="print nothing "
                        "of each frame, or what AlexeyAB's detector demo prints")
    parser.add_argument("--ext-output", action="store_true", help="print each frame's boxes, and where they "
                        "are in pixels")
    parser.add_argument("--frames", type=_frames, metavar="N", help="stop after N frames")
    parser.add_argument("--names", metavar="FILE", help="class names, one a line, or a Darknet .data file")
    parser.add_argument("--threads", type=arguments.threads, metavar="N", help="default: one a core")
    parser.add_argument("--exact", action="store_true", help="only kernels that round like Darknet's")
    parser.add_argument("--dont-show", dest="window", action="store_false", help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Run it, then print the summary: on standard error when JSON has standard output."""
    import sys

    from darkfuse.cli.detect import sort_files
    from darkfuse.errors import DarkfuseError
    from darkfuse.live.camera import Wishes
    from darkfuse.live.camera import run as run_live

    cfg, weights, data, rest = sort_files(args.files)
    if rest and args.video is None and args.camera is None and len(rest) == 1:
        args.video = rest.pop()
    if rest:
        raise DarkfuseError(f"{rest[0]}: one film at a time, or one camera")
    fork = args.words == "alexeyab" and args.json_lines != "-"
    printed = "corners" if args.ext_output else "boxes" if fork else ""
    if printed and args.json_lines == "-":
        raise DarkfuseError("--json-lines - and --ext-output: standard output is for one of them")
    if fork:
        print("Demo", f"video file: {args.video}" if args.video else f"Webcam index: {args.camera or 0}",
              sep="\n", flush=True)
    lines = run_live(Wishes(
        source=args.video or args.camera or 0, cfg=cfg, weights=weights, names=args.names or data,
        threads=args.threads, mem=args.mem, exact=args.exact, loading=arguments.loading(args),
        answers=arguments.answers(args), realtime=args.realtime, out=args.out, json_lines=args.json_lines,
        http=args.http, mqtt=args.mqtt, json_port=args.json_port, prefix=args.prefix, window=args.window,
        fps_limit=args.fps_limit, frames=args.frames, printed=printed, still=args.still))
    if fork:
        print("input video stream closed. ")
    for line in lines:
        print(line, file=sys.stderr if fork or args.json_lines == "-" else sys.stdout)
    return 0


def _camera(text: str) -> int | str:
    if text.partition(":")[0] == "libcamera":
        return text
    number = text[len("/dev/video"):] if text.startswith("/dev/video") else text
    if not (number.isascii() and number.isdigit() and len(number) <= 4):
        raise argparse.ArgumentTypeError(f"{text} is not the number of a camera: 0 is the first")
    return int(number)


_rate = arguments.number(0.001, 1000, "a number of frames a second, 0.001 to 1000")


def _noise(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 256):
        raise argparse.ArgumentTypeError(f"{text} is not a number of levels, 0 to 255")
    return int(text)


def _frames(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= len(text) <= 12 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text} is not a number of frames, 1 or more")
    return int(text)
