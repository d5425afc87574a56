"""`darkfuse serve [CFG] [WEIGHTS]`: the network behind HTTP, for cameras, printers and other programs."""

from __future__ import annotations

import argparse
from typing import Any

from darkfuse.cli import arguments


def add(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "serve",
        usage="darkfuse serve [CFG] [WEIGHTS] [--http [HOST:]PORT] [--mem SIZE] [options]",
        description="Load one network and answer over HTTP: POST /detect, and what clients of Obico, "
                    "DeepStack and CodeProject.AI send. / is a page to try it with, /metrics is for "
                    "Prometheus. docs/serve.md has set-ups. Without CFG the small model that comes with "
                    "darkfuse is used.")
    parser.add_argument("files", nargs="*", metavar="FILE", help="x.cfg, x.weights")
    parser.add_argument("--http", type=arguments.address, default=("127.0.0.1", 8080), metavar="[HOST:]PORT",
                        help="where to listen (default 127.0.0.1:8080: this machine only; 0.0.0.0:8080: "
                        "everybody in the network)")
    parser.add_argument("--api", type=_apis, default=None, metavar="LIST", help="forms beside our own: any "
                        "of obico,deepstack,codeproject, or none (default all)")
    parser.add_argument("--token-file", metavar="FILE", help="ask for the token in this file's first line")
    parser.add_argument("--host-name", action="append", default=[], metavar="NAME", help="a name with dots "
                        "that clients call this service by")
    parser.add_argument("--allow", action="append", default=[], metavar="HOST", help="host, address or "
                        "network pictures may be fetched from although it is not on the public internet")
    parser.add_argument("--queue", type=_places, default=16, metavar="N", help="pictures that may wait "
                        "(default 16)")
    parser.add_argument("--deadline", type=_seconds, default=30.0, metavar="SECONDS", help="longest that a "
                        "picture waits (default 30)")
    parser.add_argument("--log", choices=("text", "json", "off"), default="text", help="a line a request on "
                        "standard error")
    arguments.add_mqtt(parser)
    parser.add_argument("--zmq", metavar="ENDPOINT", help="answer Frigate's ZMQ detector too, at ipc:///PATH "
                        "or tcp://HOST:PORT")
    parser.add_argument("--mem", metavar="SIZE", help=arguments.MEM_HELP + "; 32M..128M: elastic, "
                        "within these as memory gets short and free again")
    parser.add_argument("--names", metavar="FILE", help="class names, one a line, or a Darknet .data file")
    parser.add_argument("--threads", type=arguments.threads, metavar="N", help="default: one a core")
    parser.add_argument("--exact", action="store_true", help="only kernels that round like Darknet's")
    arguments.add_answers(parser, native=False)  # strangers would choose how much is computed
    arguments.add_pictures(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until it is ended."""
    from darkfuse.cli.detect import sort_files
    from darkfuse.errors import DarkfuseError
    from darkfuse.host.lazy import lazy

    # What the multipart parser and `http.client` import and hardly use: 5 MB
    lazy("ssl", "tempfile", "datetime", "random", "base64", "hashlib")
    from darkfuse.live.serve.run import APIS, Wishes
    from darkfuse.live.serve.run import run as serve

    cfg, weights, data, rest = sort_files(args.files)
    if rest:
        raise DarkfuseError(f"{rest[0]} is neither a .cfg nor .weights; pictures come over HTTP")
    serve(Wishes(
        cfg=cfg, weights=weights, names=args.names or data, mem=args.mem, http=args.http,
        loading={**arguments.loading(args), **arguments.pictures(args), "threads": args.threads,
                 "exact": args.exact},
        answers=arguments.answers(args), api=APIS if args.api is None else args.api,
        token_file=args.token_file, host_names=tuple(name.lower() for name in args.host_name),
        allow=tuple(args.allow), queue=args.queue, deadline=args.deadline,
        mqtt=args.mqtt, zmq=args.zmq, log=args.log))
    return 0


def _apis(text: str) -> tuple[str, ...]:
    names = tuple(name for name in text.split(",") if name and name != "none")
    for name in names:
        if name not in ("obico", "deepstack", "codeproject"):
            raise argparse.ArgumentTypeError(f"{name} is none of obico, deepstack, codeproject, none")
    return names


def _places(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= len(text) <= 4 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text} is not a number of pictures, 1 to 9999")
    return int(text)


_seconds = arguments.number(0.05, 3600, "a number of seconds, 0.05 to 3600")
