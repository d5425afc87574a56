"""A progress bar on standard error, drawn only when a person is watching."""

from __future__ import annotations

import sys
import time
from typing import TextIO

WIDTH = 30
REDRAW_SECONDS = 0.1


class Progress:
    """``label [######      ]  43%  12 s left``, on one line, gone when done.

    Parameters
    ----------
    label : str
    total : int or None
        What `update` counts up to; None when unknown, then only the count is shown.
    stream : text file, optional
        Default standard error. When it is no terminal nothing is ever written.
    """

    def __init__(self, label: str, total: int | None, stream: TextIO | None = None) -> None:
        self.label, self.total = label, total
        self.stream = sys.stderr if stream is None else stream
        self.watched = self.stream.isatty()
        self.start = self.drawn = time.monotonic()
        self.first: int | None = None

    def update(self, done: int, total: int | None = None) -> None:
        """Show that ``done`` of ``total`` (default the one given at first) is done."""
        now = time.monotonic()
        if self.first is None:
            self.first, self.start = done, now  # a resumed job does not begin at nought
        if total is not None:
            self.total = total
        if not self.watched or now - self.drawn < REDRAW_SECONDS:
            return
        self.drawn = now
        self.stream.write("\r" + self.line(done, now - self.start) + "\x1b[K")
        self.stream.flush()

    def line(self, done: int, seconds: float) -> str:
        """The text for ``done`` after ``seconds``."""
        if not self.total:
            return f"{self.label} {done}"
        share = min(1.0, done / self.total)
        bar = "#" * round(WIDTH * share)
        gained = done - (self.first or 0)
        left = ""
        if gained > 0 and seconds > 0.5:
            wait = round(seconds * (self.total - done) / gained)
            left = f"  {wait // 60} min {wait % 60} s left" if wait >= 60 else f"  {wait} s left"
        return f"{self.label} [{bar:<{WIDTH}}] {100 * share:3.0f}%{left}"

    def close(self) -> None:
        """Wipe the line."""
        if self.watched:
            self.stream.write("\r\x1b[K")
            self.stream.flush()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
