"""`darkfuse detect [CFG] [WEIGHTS] IMAGE...`: boxes on photos, in Darknet's words."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from darkfuse.cli import arguments
from darkfuse.errors import DarkfuseError, ImageError
from darkfuse.host.files import WholeFile

if TYPE_CHECKING:
    from darkfuse.session.network import Network

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pnm")
_BEGINNINGS = (b"\xff\xd8", b"\x89PNG", b"BM", b"GIF8", b"RIFF", b"II", b"MM", b"P")
FILMS = (".avi", ".mp4", ".mkv", ".mov", ".webm", ".mpg", ".mpeg", ".m4v", ".ts", ".wmv")


def add(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "detect", allow_abbrev=False,
        usage="darkfuse detect [CFG] [WEIGHTS] IMAGE... [options]",
        description="Find objects in pictures (files, folders, or '-' for paths on standard input) or a "
                    "film. Without CFG the small model that comes with darkfuse is used; without WEIGHTS "
                    "those called like the cfg, in weights/ beside the cfg's folder.")
    parser.add_argument("files", nargs="*", metavar="FILE", help="x.cfg, x.weights, pictures, folders, film")
    arguments.add_answers(parser)
    arguments.add_pictures(parser)
    parser.add_argument("--out", default="predictions", metavar="NAME",
                        help="annotated picture NAME.jpg, or for several a folder NAME (default predictions)")
    parser.add_argument("--no-draw", action="store_true", help="write no annotated picture")
    parser.add_argument("--words", choices=("darknet", "alexeyab"), default="darknet",
                        help="whose lines to print (detector test: alexeyab's)")
    parser.add_argument("--ext-output", action="store_true", help="print where each box is, in pixels")
    parser.add_argument("--save-labels", action="store_true",
                        help="write each picture's boxes beside it, NAME.txt, as Darknet trains on")
    parser.add_argument("--json", metavar="FILE", help="write the detections as JSON too (-: to stdout)")
    parser.add_argument("--names", metavar="FILE", help="class names, one a line, or a Darknet .data file")
    arguments.add_running(parser)
    parser.add_argument("--dont-show", action="store_true", help=argparse.SUPPRESS)  # Darknet's


def run(args: argparse.Namespace) -> int:
    """Detect in each picture in turn; among several a bad one is reported and the rest still done."""
    if args.out.endswith(".json") and args.json is None:  # Darknet's -out
        args.out, args.json = "predictions", args.out
    if not args.no_draw:
        import darkfuse.media.draw  # noqa: F401 (so that it is part of what is taken when memory is shared out)
    return look_at(args, Job)


def look_at(args: argparse.Namespace, kind: type[Job]) -> int:
    """Load the network of `args` and have a job of that kind done; the exit status."""
    from darkfuse.detect.report import json_document
    from darkfuse.host import again
    from darkfuse.session.network import load

    cfg, weights, data, sources = sort_files(args.files)
    if len(sources) == 1 and sources[0].lower().endswith(FILMS):
        return look_at_film(args, cfg, weights, data, sources[0])
    pictures = None if not sources or "-" in sources else list_pictures(sources)
    if pictures is not None and not pictures:
        raise ImageError(f"{sources[0]}: no pictures in this folder")
    again.ready(True)
    net = load(cfg, weights, names=args.names or data, **arguments.loading(args),
               **arguments.pictures(args), **arguments.running(args))
    again.ready(False)
    job = kind(net, args, pictures)
    with net, JsonFile(args.json) as json:
        for piece in json_document(job.frames()):
            json.write(piece)
    return 2 if job.bad else 0


def look_at_film(args: argparse.Namespace, cfg: str | None, weights: str | None, data: str | None,
                 film: str) -> int:
    """Boxes on a film, written as one; what `demo --video FILM --out NAME.mp4 --no-window` does."""
    from darkfuse.live.camera import Wishes
    from darkfuse.live.camera import run as run_live

    out = None if args.no_draw else os.path.splitext(args.out)[0] + ".mp4"
    for line in run_live(Wishes(
            source=film, cfg=cfg, weights=weights, names=args.names or data, threads=args.threads,
            mem=args.mem, exact=args.exact, loading=arguments.loading(args), answers=arguments.answers(args),
            realtime=False, out=out, json_lines=args.json, http=None, window=False, fps_limit=0.0,
            frames=None)):
        print(line, file=sys.stderr if args.json == "-" else sys.stdout)
    return 0


class Job:
    """The pictures asked for, one after another; `bad` counts those that could not be read."""

    def __init__(self, net: Network, args: argparse.Namespace, pictures: list[str] | None) -> None:
        self.net, self.args, self.pictures, self.bad = net, args, pictures, 0
        self.several = pictures is None or len(pictures) > 1
        self.to_stdout = args.json != "-"
        self.drawn: set[str] = set()

    def frames(self) -> Iterator[str]:
        """Detect, print and draw each picture; give the JSON of each."""
        from darkfuse.cli.progress import Progress

        total = len(self.pictures) if self.pictures and self.several else None
        with Progress("pictures", total) as bar:
            done = seen = 0
            for path, result in self.seen():
                try:
                    if isinstance(result, ImageError):
                        raise result
                    bar.close()
                    self.report(result)
                    seen += 1
                    yield self.json(result, seen)
                    self.draw(result, path)
                    done += 1
                except ImageError as error:
                    if not self.several:
                        raise
                    bar.close()
                    print(f"darkfuse: {error}", file=sys.stderr)
                    self.bad += 1
                if total:
                    bar.update(done + self.bad)

    def seen(self) -> Iterator[tuple[str, Any]]:
        """Each path, and what the network makes of it, or why it cannot. What a person or a program writes to
        standard input is answered at once."""
        if self.pictures is not None:
            yield from zip(self.pictures, self.each(self.pictures))
        else:
            for path in asked_for():
                yield from zip([path], self.each([path]))

    def each(self, paths: list[str]) -> Iterator[Any]:
        """What the network makes of each picture, or the `ImageError` of one that cannot be read."""
        return self.net.detect_each(paths, **arguments.answers(self.args))

    def lines(self, result: Any) -> list[str]:
        """It in words."""
        from darkfuse.detect.report import alexeyab_lines, lines

        if self.args.words == "alexeyab":
            return alexeyab_lines(result, self.args.ext_output)
        return lines(result, self.args.ext_output)

    def json(self, result: Any, number: int) -> str:
        """It as JSON."""
        from darkfuse.detect.report import json_frame

        return json_frame(result, number, self.net.stats, self.net.dialect)

    def draw(self, result: Any, path: str) -> None:
        """Write the annotated copy, if that is wanted, and the labels."""
        if self.args.save_labels:
            from darkfuse.detect.report import label_lines

            with WholeFile(os.path.splitext(path)[0] + ".txt", "the labels") as file:
                file.write("".join(line + "\n" for line in label_lines(result)))
        if not self.args.no_draw:
            self.net.draw(result, self.drawn_name(path))

    def drawn_name(self, path: str) -> str:
        """Where the annotated copy of `path` goes; among several each keeps its name, in a folder."""
        if not self.several:
            return str(self.args.out)
        if not self.args.out:
            raise DarkfuseError("--out '': name the folder for the annotated pictures")
        os.makedirs(self.args.out, exist_ok=True)
        stem = os.path.join(self.args.out, os.path.splitext(os.path.basename(path))[0])
        name, number = stem, 1
        while name in self.drawn:  # a.jpg and a.png, or two folders
            number += 1
            name = f"{stem}-{number}"
        self.drawn.add(name)
        return name + ".jpg"

    def report(self, result: Any) -> None:
        """Print what was found; beside JSON on standard output only the statistics, on standard error."""
        if self.to_stdout:
            for line in self.lines(result):
                print(line, flush=True)
        if self.args.stats:
            print(self.net.stats_line(), file=sys.stdout if self.to_stdout else sys.stderr, flush=True)


def sort_files(files: list[str], others: tuple[str, ...] = ()
               ) -> tuple[str | None, str | None, str | None, list[str]]:
    """Positional arguments as (cfg, weights, data file, pictures), told apart by their endings.

    `others`: endings of what else may stand for pictures.
    """
    rest = list(files)
    data = rest.pop(0) if rest and rest[0].endswith(".data") else None
    cfg = rest.pop(0) if rest and rest[0].endswith(".cfg") else None
    weights = None
    if rest and (rest[0].endswith((".weights", ".backup")) or ".conv." in os.path.basename(rest[0])
                 or (cfg is not None and holds_weights(rest[0]))):
        weights = rest.pop(0)
        if cfg is None:
            raise DarkfuseError(f"{weights}: name the .cfg these weights belong to, before them")
    if cfg is not None and weights is None and len(rest) > 1 and not may_be_picture(rest[0]):
        raise DarkfuseError(f"{rest[0]}: neither weights nor a picture; the order is CFG WEIGHTS IMAGE...")
    for name in rest:
        if name.endswith((".cfg", ".weights", ".data")):
            raise DarkfuseError(f"{name} is not a picture; the order is CFG WEIGHTS IMAGE...")
    if cfg is None and rest and not (may_be_picture(rest[0]) or rest[0].lower().endswith(others)):
        raise DarkfuseError(f"{rest[0]}: neither a .cfg nor a picture; the order is CFG WEIGHTS IMAGE...")
    return cfg, weights, data, rest


def holds_weights(path: str) -> bool:
    """Whether a file, whatever its ending, begins as Darknet's weights do: with two small version numbers."""
    try:
        with open(path, "rb") as file:
            head = file.read(12)
    except OSError:
        return False
    first, second = (int.from_bytes(head[at : at + 4], "little") for at in (0, 4))
    return len(head) == 12 and first < 10 and second < 1001 and not path.lower().endswith(PICTURES)


def may_be_picture(path: str) -> bool:
    """Whether a first argument is meant as a picture: by its ending, by what it is, or by how it begins."""
    if path == "-" or "://" in path or path.lower().endswith((*PICTURES, *FILMS)) or os.path.isdir(path):
        return True
    try:
        with open(path, "rb") as file:
            return file.read(4).startswith(_BEGINNINGS)
    except OSError:
        return not os.path.splitext(path)[1]


def list_pictures(sources: list[str]) -> list[str]:
    """The files named, and the pictures directly in the folders named, by name."""
    found = []
    for source in sources:
        if os.path.isdir(source):
            found += [os.path.join(source, name) for name in sorted(os.listdir(source))
                      if name.lower().endswith(PICTURES)]
        else:
            found.append(source)
    return found


def asked_for() -> Iterator[str]:
    """Paths from standard input, one a line; asks for them as Darknet does when a person is there."""
    ask = sys.stdin.isatty()
    while True:
        if ask:
            print("Enter Image Path: ", end="", flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        if line.strip():
            yield line.rstrip("\r\n")


class JsonFile:
    """Where `--json` goes: nowhere, standard output, or a file that appears only when it is whole."""

    def __init__(self, path: str | None) -> None:
        self._file = WholeFile(path, "the JSON") if path is not None else None

    def __enter__(self) -> JsonFile:
        if self._file:
            self._file.__enter__()
        return self

    def write(self, piece: str) -> None:
        """Add text to it."""
        if self._file:
            self._file.write(piece)

    def __exit__(self, *error: Any) -> None:
        if self._file:
            self._file.__exit__(*error)
