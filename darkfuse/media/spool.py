"""Pixels on disk, in a file without a name: it is gone with the process, however that ends."""

from __future__ import annotations

import os
from typing import Any

from darkfuse.errors import ImageError
from darkfuse.host.nameless import folders, nameless


class Spool:
    """(height, width, 3) bytes, written once and read row by row.

    Parameters
    ----------
    path : str
        The picture they come from, for messages.

    Raises
    ------
    ImageError
        There is no folder to write to, or no room in it.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        for folder in folders():
            try:
                self._file = nameless(folder)
            except OSError:
                continue
            self._folder = folder
            return
        raise ImageError(f"{path}: too large for this budget, and no folder can be written to for its "
                         "pixels; set TMPDIR to one, or give more --mem")

    def __del__(self) -> None:
        file = getattr(self, "_file", -1)
        if file >= 0:
            os.close(file)

    def write(self, piece: Any) -> None:
        """Append bytes."""
        left = memoryview(piece)
        try:
            while len(left):
                left = left[os.write(self._file, left):]
        except OSError as error:
            raise ImageError(f"{self._path}: too large for this budget, and {self._folder} cannot take its "
                             f"pixels: {error.strerror}; set TMPDIR, or give more --mem") from None

    def source(self, width: int, height: int) -> Any:
        """A `Source` of what was written."""
        from darkfuse.media._rows import Source

        return Source(self._path, self._file, "raw", None, width, height)
