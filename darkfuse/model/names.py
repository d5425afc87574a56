"""Class names: `.names` files (one per line) and the `.data` files that point at them."""

from __future__ import annotations

import os

from darkfuse.errors import CfgError
from darkfuse.host.record import dataclass

MAX_BYTES = 8 << 20


@dataclass(frozen=True)
class DataFile:
    """A `.data` file: `key=value` lines. `values` keeps them all; `names`, `words` (its `map=`) and `labels`
    (of a classifier: what stands in the paths of photos) are the paths that were found, or None."""

    path: str
    values: dict[str, str]
    classes: int | None
    names: str | None
    words: str | None = None
    labels: str | None = None


def read_lines(path: str, what: str) -> list[str]:
    """The lines of a text file; raises `CfgError` when it cannot be read or is no text."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CfgError(path, 0, f"cannot read the {what}: {error.strerror or error}") from None
    if len(data) > MAX_BYTES or b"\0" in data:
        raise CfgError(path, 0, f"not a {what}: this is not a text file")
    return data.decode("utf-8-sig", "replace").split("\n")


def read_names(path: str) -> tuple[str, ...]:
    """Read class names, one per line; empty lines at the end do not count, those between do.

    Raises `CfgError` when the file cannot be read or names nothing.
    """
    path = os.fspath(path)
    names = [line.strip() for line in read_lines(path, "names file")]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise CfgError(path, 0, "the names file is empty")
    return tuple(names)


def read_data(path: str) -> DataFile:
    """Read a `.data` file.

    A relative `names=` or `map=` is looked for as written, as Darknet does, then beside the file and one
    folder up (Darknet's own `cfg/coco.data` says `data/coco.names`). Raises `CfgError`.
    """
    path = os.fspath(path)
    values: dict[str, str] = {}
    classes: int | None = None
    for number, raw in enumerate(read_lines(path, "data file"), 1):
        line = raw.split("#", 1)[0].split(";", 1)[0].strip()
        if not line:
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals:
            raise CfgError(path, number, "expected key=value")
        values.setdefault(key, value)
        if key == "classes" and classes is None:
            if not (value.isascii() and value.isdigit() and 1 <= len(value) <= 6):
                raise CfgError(path, number, f"classes={value} is not a whole number")
            classes = int(value)
    names = _resolved(path, values.get("names") or values.get("labels"))
    return DataFile(path, values, classes, names, _resolved(path, values.get("map")),
                    _resolved(path, values.get("labels")))


def _resolved(data: str, name: str | None) -> str | None:
    """Where a file that a `.data` file names is; as written where it is nowhere."""
    folder = os.path.dirname(data)
    places = (name, os.path.join(folder, name), os.path.join(folder, "..", name)) if name else ()
    return next((place for place in places if os.path.isfile(place)), name)


def find_names(cfg_path: str, classes: int) -> tuple[str, ...] | None:
    """Names for a cfg when nobody said which: a file beside it with exactly `classes` names, or None.

    Tried in order: `<cfg name>.names`, `coco.names`, `voc.names`.
    """
    folder, file = os.path.split(os.fspath(cfg_path))
    for candidate in (os.path.splitext(file)[0], "coco", "voc"):
        path = os.path.join(folder, candidate + ".names")
        if os.path.isfile(path):
            names = read_names(path)
            if len(names) == classes:
                return names
    return None
