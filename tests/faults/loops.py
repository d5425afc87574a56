"""What a long run is fed with, the same pictures again and again, and what comes back."""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import socket
import time
from pathlib import Path
from typing import Any

FRAMES = 48  # of a round
SIZE = (160, 120)
THRESH = "0.02"  # few objects would tell little


class Answers:
    """Those so far; `differ` are numbers of frames whose answer is not that of the first round."""

    def __init__(self) -> None:
        self.frames, self.objects = 0, 0
        self.first: dict[int, str] = {}
        self.differ: list[int] = []

    def take(self, number: int, objects: list[Any]) -> None:
        """The answer to picture `number` of all; those below 0 are counted only."""
        digest = hashlib.sha256(json.dumps(objects).encode()).hexdigest()
        self.frames += 1
        self.objects += len(objects)
        if number >= 0 and self.first.setdefault(number % FRAMES, digest) != digest:
            self.differ.append(number)


def pictures(folder: Path) -> list[Any]:
    """Those of a round, as arrays."""
    import cv2
    from video import make_video

    film = cv2.VideoCapture(str(make_video(folder / "once.avi", FRAMES, size=SIZE)))
    return [film.read()[1] for _ in range(FRAMES)]


class Film:
    """`demo` with a film; its lines of JSON are followed."""

    def __init__(self, folder: Path, args: argparse.Namespace) -> None:
        film, self.lines = folder / "looped.avi", folder / "lines.jsonl"
        looped(film, pictures(folder), args.frames or int(args.minutes * 60 * args.fps_limit))
        self.words = ["--video", str(film), "--no-window", "--json-lines", str(self.lines),
                      "--thresh", THRESH, "--fps-limit", str(args.fps_limit)]
        self.answers, self._at = Answers(), 0

    def go_on(self, seconds: float) -> None:
        """Let it run for so long, then read what is new, whole lines only."""
        time.sleep(seconds)
        if not self.lines.exists():
            return
        with open(self.lines, "rb") as file:
            file.seek(self._at)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._at += len(line)
                record = json.loads(line)
                self.answers.take(record["frame_id"] - 2, record["objects"])

    def end(self) -> None:
        """What was written last."""
        self.go_on(0.0)


def looped(path: Path, once: list[Any], frames: int) -> None:
    """A film of these pictures again and again, each coded by itself: all rounds have the same bytes."""
    import cv2

    film = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, SIZE)
    film.write(once[0])  # OpenCV's writer codes its first frame otherwise than the next
    for number in range(frames):
        film.write(once[number % FRAMES])
    film.release()


class Pictures:
    """`serve`, asked about picture after picture, `fps_limit` a second, each on a connection of its own."""

    def __init__(self, folder: Path, args: argparse.Namespace) -> None:
        import cv2

        self.files = [cv2.imencode(".jpg", one)[1].tobytes() for one in pictures(folder)]
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.words = ["--http", f"127.0.0.1:{self.port}", "--log", "off"]
        self.answers, self.pause_s = Answers(), 1 / args.fps_limit

    def go_on(self, seconds: float) -> None:
        """Ask for so long; wait as long where it is not there yet."""
        end = time.monotonic() + seconds
        while (began := time.monotonic()) < end:
            number = self.answers.frames
            objects = self._ask(self.files[number % FRAMES])
            if objects is None:
                time.sleep(max(0.0, end - time.monotonic()))
                return
            self.answers.take(number, objects)
            time.sleep(max(0.0, began + self.pause_s - time.monotonic()))

    def end(self) -> None:
        """Every answer was waited for."""

    def _ask(self, picture: bytes) -> list[Any] | None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, 600)
        try:
            connection.request("POST", f"/detect?thresh={THRESH}&deadline_ms=600000", picture,
                               {"Content-Type": "image/jpeg"})
            answer = connection.getresponse()
            body = answer.read()
        except OSError:  # it begins, or ends
            return None
        finally:
            connection.close()
        if answer.status == 503:  # it loads
            return None
        if answer.status != 200:
            raise SystemExit(f"serve answered {answer.status}: {body[:300]!r}")
        found: list[Any] = json.loads(body)["objects"]
        return found
