"""Reading what others wrote: files of bounded size, JSON of bounded depth, nothing that blocks for ever."""

from __future__ import annotations

import json
import os
import stat
from typing import Any, BinaryIO

MOST_JSON = 16 << 20  # bytes; a plan of a hundred layers has some 100 KB


def read_text(path: str) -> str:
    """A JSON file's text.

    Raises
    ------
    OSError
        It cannot be read.
    ValueError
        It is longer than `MOST_JSON`, or no UTF-8.
    """
    with open(path, "rb") as file:
        data = file.read(MOST_JSON + 1)
    if len(data) > MOST_JSON:
        raise ValueError(f"it is longer than the {MOST_JSON >> 20}M that are read of such a file")
    return data.decode("utf-8")


def parse_json(text: str) -> Any:
    """What a JSON text holds; raises ValueError for one that is none, or is nested too deep to follow."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("its lists are nested too deep") from None


def open_regular(path: str) -> BinaryIO:
    """A regular file, to be read. Raises OSError; for a pipe, which might never be written to, at once."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    file = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise OSError(0, "it is no regular file", path)
    return file
