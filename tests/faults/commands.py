"""The commands that are walked through: what they read and write, and what of that must be the same."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import struct
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FRAMES = 3
PLAN = ["cfg/a.cfg", "--mem", "200M"]
DETECT = ["detect", "cfg/a.cfg", "cat.jpg", "--mem", "200M"]


@dataclass(frozen=True)
class Command:
    """Words and outputs; where a run takes long, only `every`-th calls are walked; `remains` may stay."""

    words: list[str]
    outputs: tuple[str, ...]
    every: int = 1
    remains: tuple[str, ...] = ()


COMMANDS = {
    "detect": Command([*DETECT, "--threads", "2", "--plan", "streamed.json", "--json", "out.json", "--out",
                       "out.jpg"], ("out.json", "out.jpg")),
    "several": Command([*DETECT[:3], *DETECT[2:], "--out", "drawn", "--json", "out.json"],
                       ("out.json", "drawn/cat.jpg", "drawn/cat-2.jpg")),
    "label": Command([*DETECT, "--save-labels", "--out", "out.png"], ("cat.txt", "out.png")),
    "plan": Command(["plan", *PLAN, "--json", "out.json", "--plot", "out.svg"], ("out.json", "out.svg")),
    "optimize": Command(["optimize", *PLAN, "-o", "out.cfg", "--json", "out.json"], ("out.cfg", "out.json")),
    "demo": Command(["demo", "cfg/a.cfg", "--video", "film.avi", "--no-window", "--mem", "400M", "--out",
                     "out.mp4", "--json-lines", "out.jsonl"], ("out.mp4", "out.jsonl"), 2),
    "calibrate": Command(["calibrate", "--seconds", "1", "--threads", "1", "--anyway", "--storage", ".",
                          "--out", "out.json"], ("out.json",), 12),
    "download": Command(["download", "yolov2-tiny", "--into", "got"], ("got/yolov2-tiny.weights",), 1,
                        ("yolov2-tiny.weights.part",)),
}


def prepare(folder: Path) -> None:
    """What the commands read."""
    for name, kind in (("cfg", "cfg"), ("weights", "weights")):
        (folder / name).mkdir()
        shutil.copy(ROOT / name / f"darkfuse-voc7.{kind}", folder / name / f"a.{kind}")
    shutil.copy(ROOT / "docs" / "images" / "cat.jpg", folder)
    from darkfuse.graph import load_graph
    from darkfuse.plan.search.simple import layer_by_layer

    graph = load_graph(str(folder / "cfg" / "a.cfg"))
    (folder / "streamed.json").write_text(layer_by_layer(graph, 2, "streamed").to_json())


def run(words: list[str]) -> int:
    """Run a command in this process."""
    if words[0] == "optimize":
        from tools.optimize_cfg import main as optimize

        return optimize(words[1:])
    from darkfuse.cli.main import main

    return main(words)


@contextlib.contextmanager
def needs(name: str, folder: Path) -> Iterator[None]:
    """What one command needs beside: a film, or a site that has the file (over http, as it is our own)."""
    if name == "demo":
        sys.path.insert(0, str(ROOT / "tests"))
        from video import make_video

        make_video(folder / "film.avi", FRAMES)
    if name != "download":
        yield
        return
    from darkfuse.model import fetch, zoo

    site = folder.parent / "site"
    site.mkdir()
    floats = 50_000
    body = struct.pack("<iiii", 0, 1, 0, 64) + bytes(4 * floats)
    (site / "yolov2-tiny.weights").write_bytes(body)

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(site))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients are killed here
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/yolov2-tiny.weights"
        os.environ["no_proxy"] = "*"
        fetch._is_https = lambda _address: True  # type: ignore[assignment]
        zoo.OFFICIAL["yolov2-tiny"] = zoo.Official("yolov2-tiny", floats, 16, None, "", address)
        yield
        server.shutdown()


def stable(path: Path) -> object:
    """What of an output is the same in each run, as a list where a run that ended early may have less."""
    data = path.read_bytes()
    if path.suffix == ".mp4":
        return pictures(path)
    if path.suffix == ".jsonl":
        lines = data.split(b"\n")
        assert lines.pop() == b"", "a line without its end"
        return [frame(json.loads(line)) for line in lines]
    if path.suffix == ".cfg":
        return data.count(b"\n")
    if path.suffix != ".json":
        return data
    found = json.loads(data)
    return [frame(one) for one in found] if isinstance(found, list) else tuple(sorted(found))


def frame(found: dict[str, object]) -> object:
    """Which frame it is, of what, and what is on it, to the last digit."""
    return found["frame_id"], found.get("filename"), found["objects"]


def pictures(path: Path) -> list[tuple[int, ...]]:
    """The shape of each frame that OpenCV finds in a video; figures of speed, drawn on them, differ."""
    import cv2

    film, found = cv2.VideoCapture(str(path)), []
    while True:
        good, picture = film.read()
        if not good:
            assert found, "no frame in the video"
            return found
        found.append(picture.shape)


def differs(path: Path, whole: object, ended_early: bool) -> bool:
    """Whether an output is not what it should be. Of several frames those done are there after an error."""
    try:
        found = stable(path)
    except (AssertionError, ValueError, KeyError):
        return True
    if not ended_early or not isinstance(found, list) or not isinstance(whole, list):
        return found != whole
    if path.suffix == ".json":  # frames that could not be looked at have no number
        if [one[0] for one in found] != list(range(1, len(found) + 1)):
            return True
        found, whole = ([one[1:] for one in each] for each in (found, whole))
    left = iter(whole)
    return not all(one in left for one in found)
