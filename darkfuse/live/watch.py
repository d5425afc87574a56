"""Detection in pictures as they appear in a folder."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

from darkfuse.errors import DarkfuseError, ImageError
from darkfuse.host.files import Lines
from darkfuse.host.record import dataclass, field

if TYPE_CHECKING:
    from darkfuse.detect.types import Result
    from darkfuse.session.network import Network

PAUSE_S = 0.5  # between two looks; a file that stayed the same for so long is complete
LOOK_SHARE = 1 / 50  # of the time looking may take, in a folder of many thousands
Stamp = tuple[int, int, int]  # inode, bytes, time of change in ns


@dataclass(frozen=True)
class Chores:
    """What to do with each picture; `answers` are keywords of `Network.detect`, `json_lines` a path or `-`,
    `count` None for no end."""

    answers: dict[str, Any] = field(default_factory=dict)
    move: str | None = None
    annotate: str | None = None
    json_lines: str = "-"
    count: int | None = None


class Folder:
    """Pictures that appear in `path`, each once; one that changes counts as new.

    Parameters
    ----------
    path : str
    endings : tuple of str
        Of the names that count, in lower case. Hidden files never do.
    existing : bool
        Whether those there at the start are new as well.

    Raises
    ------
    DarkfuseError
        It is not a folder that can be read.
    """

    def __init__(self, path: str, endings: tuple[str, ...], existing: bool = False) -> None:
        self.path, self._endings = path, endings
        self._growing: dict[str, Stamp] = {}
        self._done: dict[str, Stamp] = {}
        try:
            found = self._look()
        except OSError as error:
            raise DarkfuseError(f"{path}: cannot look into the folder: {error.strerror}") from None
        if not existing:
            self._done = found

    def ready(self) -> list[str]:
        """Paths of the pictures that are complete and were not given before, oldest first.

        Complete is what is the same as at the last call, so leave a moment between two calls.
        """
        try:
            found = self._look()
        except OSError:
            return []  # a drive that was pulled out; it may come back, and nothing on it will be new then
        fresh = {name: stamp for name, stamp in found.items() if self._done.get(name) != stamp}
        whole = sorted((stamp[2], name) for name, stamp in fresh.items() if self._growing.get(name) == stamp)
        self._growing = fresh
        # what is gone is forgotten, so that years of pictures moved away take no memory
        self._done = {name: self._done[name] for name in found if name in self._done}
        for _, name in whole:
            self._done[name] = self._growing.pop(name)
        return [os.path.join(self.path, name) for _, name in whole]

    def _look(self) -> dict[str, Stamp]:
        found = {}
        with os.scandir(self.path) as entries:
            for entry in entries:
                if entry.name.startswith(".") or not entry.name.lower().endswith(self._endings):
                    continue
                with contextlib.suppress(OSError):  # gone between the two questions
                    stat = entry.stat()
                    if entry.is_file() and stat.st_size:  # one that is empty is still to be written
                        found[entry.name] = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        return found


def watch(net: Network, folder: Folder, chores: Chores) -> None:
    """Detect in every new picture of `folder`, for ever or `chores.count` times.

    A picture that cannot be read is reported and left where it is.

    Raises
    ------
    DarkfuseError
        The folders for results cannot be made, or JSON cannot be written.
    """
    for target in (chores.move, chores.annotate):
        if target is not None:
            os.makedirs(target, exist_ok=True)
            if os.path.samefile(target, folder.path):
                raise DarkfuseError(f"{target}: is the folder being watched; name another one")
    with Lines(chores.json_lines, append=True) as out:
        done = 0
        sys.stderr.write(f"darkfuse: watching {folder.path}\n")
        while True:
            began = time.monotonic()
            paths = folder.ready()
            took = time.monotonic() - began
            paths = paths if chores.count is None else paths[: chores.count - done]
            for path, seen in zip(paths, net.detect_each(paths, **chores.answers)):
                out.write(json.dumps(handle(net, path, seen, chores), separators=(",", ":")))
                done += 1
            if done == chores.count:
                return
            time.sleep(max(PAUSE_S, took / LOOK_SHARE))


def handle(net: Network, path: str, seen: Result | ImageError, chores: Chores) -> dict[str, Any]:
    """Draw and move a picture as asked, by what was seen in it; what there is to tell about it."""
    from darkfuse.detect.report import objects

    told: dict[str, Any] = {"time": round(time.time(), 3), "filename": path}
    try:
        if isinstance(seen, ImageError):
            raise seen
        result = seen
        told.update(width=result.width, height=result.height, objects=objects(result))
        told.update(latency_ms=round(net.stats["latency_ms"], 2), peak_bytes=net.stats["peak_rss_bytes"],
                    dialect=net.dialect.name)
        if result.not_finite:
            told["not_finite"] = result.not_finite
        if chores.annotate is not None:
            told["annotated"] = net.draw(result, os.path.join(chores.annotate, os.path.basename(path)))
        if chores.move is not None:
            told["moved"] = _moved(path, chores.move)
    except (ImageError, OSError) as error:
        told["error"] = str(error) if isinstance(error, ImageError) else f"{path}: {error.strerror or error}"
        sys.stderr.write(f"darkfuse: {told['error']}\n")
        sys.stderr.flush()
    return told


def _moved(path: str, folder: str) -> str:
    """Move a picture, beside another of its name if there is one; the new path."""
    stem, ending = os.path.splitext(os.path.basename(path))
    target, number = os.path.join(folder, stem + ending), 1
    while os.path.lexists(target):
        number += 1
        target = os.path.join(folder, f"{stem}-{number}{ending}")
    shutil.move(path, target)
    return target
