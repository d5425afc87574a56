"""The commands that are walked through: what they read and write, and what of that must be the same."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FRAMES = 3
REFUSED = "an answer that says why there is none"
PLAN = ["cfg/a.cfg", "--mem", "200M"]
DETECT = ["detect", "cfg/a.cfg", "cat.jpg", "--mem", "200M"]


@dataclass(frozen=True)
class Command:
    """Words and outputs. Where a run takes long, only `every`-th calls are walked; `remains` may stay.

    What is in `anew` is not there before: it would be added to, or not asked for again. One that `goes_on`
    after a picture it cannot read says so, and ends with 0.
    """

    words: list[str]
    outputs: tuple[str, ...]
    every: int = 1
    remains: tuple[str, ...] = ()
    anew: tuple[str, ...] = ()
    goes_on: bool = False


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
                        ("yolov2-tiny.weights.part",), ("got/yolov2-tiny.weights",)),
    "map": Command(["map", "cfg/a.cfg", "weights/a.weights", "data", "--mem", "200M", "--threads", "2",
                    "--json", "out.json"],
                   ("out.json",), 4),
    "watch": Command(["watch", "data/images", *PLAN, "--threads", "2", "--existing", "--count", "1",
                      "--annotate", "drawn", "--json-lines", "out.jsonl"], ("drawn/cat.jpg", "out.jsonl"), 4,
                     anew=("out.jsonl",), goes_on=True),
    "serve": Command(["serve", *PLAN, "--threads", "2", "--api", "deepstack", "--log", "off"],
                     ("../answer.json",), 4, anew=("../answer.json",)),
}


def prepare(folder: Path) -> None:
    """What the commands read."""
    for name, kind in (("cfg", "cfg"), ("weights", "weights")):
        (folder / name).mkdir()
        shutil.copy(ROOT / name / f"darkfuse-voc7.{kind}", folder / name / f"a.{kind}")
    shutil.copy(ROOT / "docs" / "images" / "cat.jpg", folder)
    for name in ("images", "labels"):
        (folder / "data" / name).mkdir(parents=True)
    shutil.copy(folder / "cat.jpg", folder / "data" / "images")
    (folder / "data" / "labels" / "cat.txt").write_text("2 0.5 0.5 0.5 0.5\n")
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

    if words[0] != "serve":
        return main(words)
    beside = Path.cwd().parent  # where no call counts
    (beside / "pid").write_text(str(os.getpid()))  # asking.py looks for it
    return main([*words, "--http", (beside / "port").read_text()])


@contextlib.contextmanager
def needs(name: str, folder: Path) -> Iterator[None]:
    """What one command needs beside: a film, somebody who asks, or a site that has the file (over http, as it
    is our own)."""
    if name == "demo":
        sys.path.insert(0, str(ROOT / "tests"))
        from video import make_video

        make_video(folder / "film.avi", FRAMES)
    if name == "serve":
        with socket.create_server(("127.0.0.1", 0)) as free:
            (folder.parent / "port").write_text(f"127.0.0.1:{free.getsockname()[1]}")
        home = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
        words = [sys.executable, str(Path(__file__).with_name("asking.py")), str(folder)]
        with subprocess.Popen(words, env=home) as client:
            try:
                yield
            finally:
                client.kill()
        return
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
        return [frame(one) for one in map(json.loads, lines) if "error" not in one]
    if path.suffix == ".cfg":
        return data.count(b"\n")
    if path.suffix != ".json":
        return data
    found = json.loads(data)
    if path.name == "answer.json":
        assert found["status"] == 200 or found["error"]
        return json.dumps(found["objects"]) if found["status"] == 200 else REFUSED
    return [frame(one) for one in found] if isinstance(found, list) else tuple(sorted(found))


def frame(found: dict[str, object]) -> object:
    """Which frame it is, of what, and what is on it, to the last digit."""
    return found.get("frame_id"), found.get("filename"), found["objects"]


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
    if found is REFUSED:
        return False
    if not ended_early or not isinstance(found, list) or not isinstance(whole, list):
        return found != whole
    if path.suffix == ".json":  # frames that could not be looked at have no number
        if [one[0] for one in found] != list(range(1, len(found) + 1)):
            return True
        found, whole = ([one[1:] for one in each] for each in (found, whole))
    left = iter(whole)
    return not all(one in left for one in found)
