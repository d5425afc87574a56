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
from typing import IO, TYPE_CHECKING, Any, Callable, NamedTuple

from darkfuse.errors import DarkfuseError, ImageError
from darkfuse.host import process
from darkfuse.host.record import dataclass
from darkfuse.live.sources import Item

if TYPE_CHECKING:
    from darkfuse.detect.types import Result
    from darkfuse.session.network import Network

AT_ONCE, LEAST_AT_ONCE = 64, 8  # pictures looked at before their lines are written
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


class Labels(NamedTuple):
    """What was seen in some pictures: their marks, a line for each, how many could not be read, and the most
    memory of the process that looked at them, where the system tells."""

    marks: list[int]
    lines: list[str]
    bad: int
    peak_bytes: int | None


Looks = Callable[[Iterator[list[Item]]], Iterator[Labels]]


@dataclass
class Progress:
    """Pictures that have a line, of them bad ones, and those of this run with the seconds it took."""

    done: int
    bad: int
    now: int = 0
    seconds: float = 0.0
    peak_bytes: int = 0


def label(pictures: Iterable[Item], results: Results, looks: Looks, part: tuple[int, int] = (0, 1),
          at_once: int = AT_ONCE) -> Iterator[Progress]:
    """Have every picture that has no line yet looked at, and write its line; gives the progress now and then.

    Parameters
    ----------
    pictures : iterable of Item
    results : Results
    looks : callable
        Takes lists of pictures, as many at a time as it likes, and gives their labels in any order:
        `here(net, answers)`, or `cluster.Cluster.looks`.
    part : tuple of int
        Shard i of n, counted from 0.
    at_once : int
        Pictures that are looked at together before their lines are written.

    Raises
    ------
    DarkfuseError
        A source or the results fail; what is written by then stays, and can be gone on with.
    """
    progress, began = Progress(len(results.marks), results.bad), time.monotonic()
    underway: set[int] = set()  # handed out and not written yet: a picture may be in two sources
    number, shards = part
    own = (item for item in pictures if item.mark % shards == number
           and item.mark not in underway and not results.has(item.mark))
    for found in looks(_lots(own, underway, at_once)):
        results.add(found.lines, found.marks)
        underway.difference_update(found.marks)
        progress.bad += found.bad
        progress.now += len(found.marks)
        progress.done += len(found.marks)
        progress.seconds = time.monotonic() - began
        progress.peak_bytes = max(progress.peak_bytes, found.peak_bytes or 0)
        yield progress


def here(net: Network, answers: dict[str, Any]) -> Looks:
    """Look at pictures in this process, with the keywords of `Network.detect`."""
    return lambda lots: (look(net, lot, answers) for lot in lots)


def look(net: Network, lot: Sequence[Item], answers: dict[str, Any]) -> Labels:
    """Detect in some pictures."""
    seen = list(net.detect_each([item.image for item in lot], **answers))
    return Labels([item.mark for item in lot], list(map(_line, lot, seen)),
                  sum(isinstance(one, ImageError) for one in seen), process.peak_rss_bytes())


def at_once_for(batch: int | None) -> int:
    """Pictures to look at before their lines are written, where so many at a time are asked for: whole
    batches of them, for fewer at a time would each cost a wait for storage."""
    return batch * -(-LEAST_AT_ONCE // batch) if batch else AT_ONCE


def _lots(own: Iterator[Item], underway: set[int], at_once: int) -> Iterator[list[Item]]:
    """The pictures, some to look at together, none twice."""
    lot: list[Item] = []
    held = 0
    for item in own:
        underway.add(item.mark)
        lot.append(item)
        held += len(item.image) if isinstance(item.image, bytes) else 0
        if len(lot) == at_once or held >= IN_MEMORY:
            yield lot
            lot, held = [], 0
    if lot:
        yield lot


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
