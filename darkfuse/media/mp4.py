"""Whether an .mp4 is whole: OpenCV's encoder says nothing when storage has no room left."""

from __future__ import annotations

import os
from typing import BinaryIO

from darkfuse.errors import ImageError

_HOLDERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def check_whole(path: str, frames: int, most: int = 0) -> None:
    """Follow the file's boxes (ISO/IEC 14496-12) from its beginning to its end and to its table of frames.

    Parameters
    ----------
    path : str
    frames : int
        Number of frames there must be; each has to lie within the file.
    most : int
        There may be so many.

    Raises
    ------
    ImageError
        Boxes do not fill the file, there is no table of frames, or it lists others than were written.
    OSError
        The file cannot be read.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        found: dict[bytes, tuple[int, int]] = {}
        _walk(file, 0, size, found)
        if b"mdat" not in found or b"stsz" not in found:
            raise ImageError("its table of frames is missing")
        at, end = found[b"stsz"]
        file.seek(at + 4)  # version and flags
        each, count = _number(file), _number(file)
        if not frames <= count <= max(frames, most):
            raise ImageError(f"it holds {count} frames of {frames}")
        listed = 0
        if each:
            listed = each * count
        elif end - file.tell() >= 4 * count:
            for _ in range(count):
                listed += _number(file)
        start, stop = found[b"mdat"]
        if not 0 < listed <= stop - start:
            raise ImageError("frames are missing")


def _walk(file: BinaryIO, at: int, end: int, found: dict[bytes, tuple[int, int]]) -> None:
    """Contents of each box in [at, end), the first of a kind, as (begin, end) by its kind."""
    while at < end:
        file.seek(at)
        size, kind = _number(file), file.read(4)
        head = 8
        if size == 1:
            size, head = (_number(file) << 32) + _number(file), 16
        if size < head or at + size > end:
            raise ImageError("it breaks off")
        found.setdefault(kind, (at + head, at + size))
        if kind in _HOLDERS:
            _walk(file, at + head, at + size, found)
        at += size


def _number(file: BinaryIO) -> int:
    data = file.read(4)
    if len(data) < 4:
        raise ImageError("it breaks off")
    return int.from_bytes(data, "big")
