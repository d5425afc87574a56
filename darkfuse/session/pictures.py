"""Picture files of one network, read and drawn on in the memory its budget leaves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable

from darkfuse.errors import ImageError
from darkfuse.graph import Graph
from darkfuse.host import process
from darkfuse.host.units import format_bytes
from darkfuse.media.picture import Picture, TooLarge
from darkfuse.session.budget import JITTER_BYTES, Budget

# Decoding a picture, running the network, sorting boxes: each brings so much code back, as the kernel maps
# sixteen pages at a time
_CODE_BYTES = 3 << 19
# What else there is to do about a picture that cannot be decoded or drawn on in the memory there is.
_WAYS = {"decoded": ", or let --reduce-pictures take a progressive JPEG smaller",
         "drawn on": ", or take --no-draw"}


class Crowded(ImageError):
    """A picture has more boxes than there is room for."""


class Pictures:
    """Reads pictures for a network, and draws boxes on them.

    Parameters
    ----------
    graph : Graph
    budget : Budget
    give_back : callable
        Gives the arena back, so that there is more room for a while.
    team : callable
        How many threads beside this one are the network's own.
    ignore_exif, reduce : bool
        See `session.network.load`.
    """

    def __init__(self, graph: Graph, budget: Budget, give_back: Callable[[], None], team: Callable[[], int],
                 ignore_exif: bool = False, reduce: bool = False) -> None:
        self._graph, self._budget, self._give_back = graph, budget, give_back
        self._team = team
        self._ignore_exif, self._reduce = ignore_exif, reduce

    def read(self, path: str, fit: str) -> Picture:
        """A picture file as the network gets it, in the shape `fit` (see `media.decode.Target`).

        Raises `ImageError`; where memory is short it says the least that would do.
        """
        from darkfuse.media.decode import Target, decode

        source, centres = self._graph.input, self._graph.dialect.resize == "centres"
        target = Target(source.w, source.h, source.c, fit, centres)
        self.trim(self._budget.picture or 0)
        try:
            return decode(path, target, self._budget.picture, self._room, self._ignore_exif, self._reduce)
        except TooLarge as error:
            raise self._refused(error, "decoded") from None

    def run(self, engine: Any, picture: Picture, fit: str, more: bool = False) -> None:
        """Run the engine on a picture, whole or as it comes; `more`: it is one of a batch."""
        self.trim()
        if picture.rows is not None:
            engine.run_rows(picture.rows, more)
        else:
            centres = self._graph.dialect.resize == "centres"
            engine.run_image(picture.pixels, picture.width, picture.height, fit == "letterbox",
                             picture.channels, centres, fit == "crop", more)
        self.trim()

    def has_room(self, needed: int) -> bool:
        """Whether so many bytes fit beside all this process holds now, what it has let go of returned."""
        self.trim(needed)
        return self._fits(needed)

    def _fits(self, needed: int) -> bool:
        return self._budget.total is None or (process.rss_bytes() or 0) + needed <= self._budget.total

    def trim(self, needed: int = 0) -> None:
        """Return what earlier pictures left with the allocator, and code that is not running, where so many
        bytes, and the code that handles them, do not fit beside it."""
        if not self._fits(needed + _CODE_BYTES):
            from darkfuse.engine._engine import give_back

            give_back(self._team())

    def too_many(self, path: str, labels: int) -> Crowded:
        """What to raise for a picture with more boxes than there is room for."""
        total = format_bytes(self._budget.total or 0)
        return Crowded(f"{path or 'the picture'}: {labels} boxes above the threshold, or more, do not fit "
                       f"in {total}; raise --thresh, or give more --mem")

    def draw(self, path: str, marks: Sequence[Any], out: str) -> str:
        """`media.draw.draw`; raises likewise."""
        from darkfuse.media.draw import draw

        try:
            return draw(path, marks, out, self._room, self._budget.helped, self._ignore_exif)
        except TooLarge as error:
            raise self._refused(error, "drawn on") from None

    def _room(self, helper: bool, emptied: bool) -> int | None:
        """`media.decode.Room`: what is left beside all this process holds, with or without its arena."""
        if emptied or (helper and not self._budget.fits_beside()):
            self._give_back()
        return self._budget.room(helper)

    def _refused(self, error: TooLarge, what: str) -> ImageError:
        total = self._budget.total or 0
        least = total + max(0, error.needed - error.there) + JITTER_BYTES
        size = f"{error.width}x{error.height}"
        return ImageError(
            f"{error.path}: {size} pixels do not fit in {format_bytes(total)} while they are {what}: the "
            f"least that works is some {format_bytes(least)}; give more --mem, convert it to a JPEG or PNG "
            "that is not progressive or interlaced, or scale it down" + _WAYS[what])
