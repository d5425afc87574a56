"""Labelling a collection: each picture once, however often the work is broken off and taken up again.

What is done is what stands in the results: a line of JSON for each picture, whole lines only, forced to
storage after every batch. Whoever takes the work up again cuts off half a line at the end and passes over the
pictures that have one. There is no other record, which could say something else.
"""

from __future__ import annotations

import array
import bisect
import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from darkfuse.errors import DarkfuseError, ImageError
from darkfuse.host.files import WholeFile
from darkfuse.live.sources import Item

if TYPE_CHECKING:
    from darkfuse.detect.types import Result
    from darkfuse.session.network import Network

AT_ONCE = 64  # pictures looked at before their lines are written
IN_MEMORY = 2 << 20  # bytes of pictures out of tar files among them
RECENT = 4096  # marks that are not sorted in yet


class Results:
    """The lines written so far, and those to come. One process at a time may have them.

    Parameters
    ----------
    path : str
    resume : bool
        Go on where lines are there already; else a file that is there is refused.

    Raises
    ------
    DarkfuseError
        The file is there and is not to be gone on with, holds something else, is in use, or cannot be
        written.
    """

    def __init__(self, path: str, resume: bool) -> None:
        self.path = path
        self.marks = array.array("Q")  # of the pictures that have a line, sorted
        self.recent: set[int] = set()  # more of them
        self.bad = 0  # of them could not be read
        try:
            if os.path.exists(path) and os.path.getsize(path) and not resume:
                raise DarkfuseError(f"{path}: is there already; go on with it (--resume), or name another "
                                    "file")
            self._file: IO[bytes] = open(path, "ab+")  # noqa: SIM115 (closed by `close`)
        except OSError as error:
            raise DarkfuseError(f"{path}: cannot write the results: {error.strerror}") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise DarkfuseError(f"{path}: another process writes to it; give each its own --shard i/n"
                                ) from None
        self._read()

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def has(self, mark: int) -> bool:
        """Whether a picture has its line."""
        if mark in self.recent:
            return True
        at = bisect.bisect_left(self.marks, mark)
        return at < len(self.marks) and self.marks[at] == mark

    def add(self, lines: Iterable[str], marks: Iterable[int]) -> None:
        """Write whole lines, and force them to storage."""
        try:
            self._file.write("".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape"))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise DarkfuseError(f"{self.path}: cannot write the results: {error.strerror}; make room and go "
                                "on with --resume") from None

        self.recent.update(marks)
        if len(self.recent) > RECENT:
            self.marks = array.array("Q", sorted([*self.marks, *self.recent]))
            self.recent.clear()

    def lines(self) -> Iterator[dict[str, Any]]:
        """What is there, line by line."""
        self._file.seek(0)
        for line in self._file:
            yield json.loads(line)

    def _read(self) -> None:
        whole, found = 0, []
        self._file.seek(0)
        for line in self._file:
            if not line.endswith(b"\n"):
                break  # the last one, of a run that was killed while it wrote
            try:
                told = json.loads(line)
                found.append(Item(told["filename"], b"").mark)
            except (ValueError, KeyError, TypeError):
                self._file.close()
                raise DarkfuseError(f"{self.path}: holds other lines than those of darkfuse label") from None
            self.bad += "error" in told
            whole += len(line)
        self._file.truncate(whole)
        self.marks = array.array("Q", sorted(found))


@dataclass(frozen=True)
class Work:
    """What to label with, and which part: shard `number` of `shards`, counted from 0."""

    answers: dict[str, Any] = field(default_factory=dict)
    number: int = 0
    shards: int = 1


@dataclass
class Progress:
    """Pictures that have a line, of them bad ones, and those of this run with the seconds it took."""

    done: int
    bad: int
    now: int = 0
    seconds: float = 0.0


def label(net: Network, pictures: Iterable[Item], results: Results, work: Work) -> Iterator[Progress]:
    """Detect in every picture that has no line yet, and write its line; gives the progress now and then.

    Raises
    ------
    DarkfuseError
        A source or the results fail; what is written by then stays, and can be gone on with.
    """
    progress, began = Progress(len(results.marks), results.bad), time.monotonic()
    own = (item for item in pictures if item.mark % work.shards == work.number and not results.has(item.mark))
    while batch := _some(own):
        seen = list(net.detect_each([item.image for item in batch], **work.answers))
        results.add(map(_line, batch, seen), (item.mark for item in batch))
        progress.bad += sum(isinstance(one, ImageError) for one in seen)
        progress.now += len(seen)
        progress.done += len(seen)
        progress.seconds = time.monotonic() - began
        yield progress


def _some(own: Iterator[Item]) -> list[Item]:
    """The next pictures to look at together, none twice."""
    batch: dict[int, Item] = {}
    held = 0
    while len(batch) < AT_ONCE and held < IN_MEMORY:
        item = next(own, None)
        if item is None:
            break
        batch[item.mark] = item
        held += len(item.image) if isinstance(item.image, bytes) else 0
    return list(batch.values())


def _line(item: Item, seen: Any) -> str:
    from darkfuse.detect.report import objects

    told: dict[str, Any] = {"filename": item.name}
    if isinstance(seen, ImageError):
        told["error"] = str(seen)
    else:
        result: Result = seen
        told.update(width=result.width, height=result.height, objects=objects(result))
        if result.not_finite:
            told["not_finite"] = result.not_finite
    return json.dumps(told, separators=(",", ":"))


def write_coco(results: Results, path: str, names: Sequence[str]) -> None:
    """All lines in COCO's form: images, categories, and annotations with scores, boxes in pixels.

    Raises `DarkfuseError` when it cannot be written.
    """
    categories = [{"id": number, "name": name} for number, name in enumerate(names)]
    with WholeFile(path, "the labels") as file:
        file.write('{"images": [')
        for number, told in enumerate(results.lines()):
            image = {"id": number, "file_name": told["filename"], "width": told.get("width", 0),
                     "height": told.get("height", 0)}
            file.write(",\n"[: 2 * (number > 0)] + json.dumps(image))
        file.write(f'],\n"categories": {json.dumps(categories)},\n"annotations": [')
        count = 0
        for number, told in enumerate(results.lines()):
            for found in told.get("objects", ()):
                file.write(",\n"[: 2 * (count > 0)] + json.dumps(_annotation(count, number, told, found)))
                count += 1
        file.write("]}\n")


def _annotation(count: int, image: int, told: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    box = found["relative_coordinates"]
    wide, high = box["width"] * told["width"], box["height"] * told["height"]
    left, top = box["center_x"] * told["width"] - wide / 2, box["center_y"] * told["height"] - high / 2
    return {"id": count, "image_id": image, "category_id": found["class_id"], "area": round(wide * high, 2),
            "bbox": [round(edge, 2) for edge in (left, top, wide, high)], "iscrowd": 0,
            "score": found["confidence"]}
