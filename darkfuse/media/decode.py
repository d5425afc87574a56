"""A picture file to what the network sees of it: whole where there is room, else row by row.

The network sees the same picture at every budget: every pixel is decoded, turned upright, and scaled once, by
the rule of `kernels/df_picture.h`. JPEG and PNG are decoded in this process, by `_rows`; what holds a decoder
to the whole picture (progressive, interlaced) goes through an unnamed file on disk where memory is short.
Other formats are decoded by Pillow, in a process of its own (`foreign`).
"""

from __future__ import annotations

import os
from typing import IO, Any, Callable, NamedTuple

from darkfuse.errors import ImageError
from darkfuse.host.reading import open_regular
from darkfuse.media.foreign import check_size
from darkfuse.media.header import format_of, orientation
from darkfuse.media.picture import Picture, TooLarge
from darkfuse.media.spool import Spool

# What a decoder is given before the picture's size is known: enough for any header
_HEADER_BYTES = 1 << 20
# What a decoder takes after the arrays that hold all of a picture
_SMALL_BYTES = 1 << 16
_CHUNK = 1 << 17  # bytes copied at a time


class Target(NamedTuple):
    """The network's input, and how a picture gets into it.

    Attributes
    ----------
    width, height, channels : int
    shape : str
        'letterbox', 'stretch' or 'crop'.
    centres : bool
        Decoded and scaled as OpenCV does, not as Darknet.
    """

    width: int
    height: int
    channels: int
    shape: str
    centres: bool


# Bytes there are for decoding: (in the helper process?, after the arena is given back?) -> bytes, None: any
Room = Callable[[bool, bool], "int | None"]


def any_room(_helper: bool, _emptied: bool) -> int | None:
    """As much room as decoding takes."""
    return None


def decode(path: str, target: Target | None = None, keep_bytes: int | None = None, room: Room = any_room,
           ignore_exif: bool = False, reduce: bool = False, as_stb: bool | None = None) -> Picture:
    """Read a picture file.

    Parameters
    ----------
    path : str
        JPEG, PNG, BMP, GIF (first frame), WebP (first frame), TIFF or binary PNM; told by content.
    target : Target, optional
        What it is for. Needed for `keep_bytes` to have an effect.
    keep_bytes : int, optional
        Most bytes to keep while the network runs, decoder and all. A picture whose pixels take more comes as
        rows.
    room : callable
        What else there is for decoding, for the while.
    ignore_exif : bool
        Take the pixels as they are stored, as Darknet does, whichever way up the camera was held.
    reduce : bool
        A progressive JPEG that cannot be decoded within `room` comes at 1/8 of its size; one that Pillow has
        to decode, at 1/2, 1/4 or 1/8.
    as_stb : bool, optional
        Whether a JPEG's pixels are those stb_image, and so Darknet, makes of it, or libjpeg-turbo's. Default:
        Darknet's for a `target` that is scaled as Darknet does.

    Raises
    ------
    ImageError
        Missing, unreadable, not a picture, truncated; `TooLarge` when there is not room enough.
    """
    path = os.fspath(path)
    keep = None if target is None else keep_bytes
    try:
        file = open_regular(path)
    except OSError as error:
        raise ImageError(f"{path}: cannot read the picture: {error.strerror or error}") from None
    with file:
        if as_stb is None:
            as_stb = target is not None and not target.centres
        source = native(path, file, as_stb)
        if source is None:
            return _foreign(path, target, keep, room, ignore_exif, reduce)
        turned = 1 if ignore_exif else orientation(file, format_of(path, file))
        try:
            source.limit(keep)
            return _picture(source, turned, target, keep)
        except TooLarge:
            if target is None:
                raise
        try:
            return _picture(_spooled(source, room), turned, target, keep)
        except TooLarge as error:
            if not reduce or format_of(path, file) != "jpeg":
                raise
            return _eighth(path, file, error, turned, target, keep)


def picture_size(path: str, ignore_exif: bool = False) -> tuple[int, int]:
    """Width and height in pixels that `decode` would give a picture file, from its first bytes.

    Raises `ImageError` as that does, but for what is wrong further in.
    """
    try:
        file = open_regular(path)
    except OSError as error:
        raise ImageError(f"{path}: cannot read the picture: {error.strerror or error}") from None
    with file:
        source = native(path, file)
        if source is not None:
            turned = 1 if ignore_exif else orientation(file, format_of(path, file))
            wide, high = source.size
            source.close()
        else:
            from darkfuse.host.helper import call

            told, _ = call("darkfuse.media.foreign:size", {"path": path},
                           f"{path}: cannot decode the picture", ImageError)
            (wide, high), turned = told["size"], 1 if ignore_exif else told["orientation"]
    return (wide, high) if turned < 5 else (high, wide)


def _eighth(path: str, file: IO[bytes], error: TooLarge, turned: int, target: Target | None,
            keep: int | None) -> Picture:
    """A progressive JPEG that cannot be had whole, at an eighth, through a file on disk."""
    from darkfuse.media.eighth import Eighth, needed_bytes

    needed = needed_bytes(error.width, error.height)
    if error.there < needed:
        raise TooLarge(path, (error.width, error.height), needed, error.there) from None
    small, spool = Eighth(path, file, error.there), Spool(path)
    for row in small.rows():
        spool.write(row)
    picture = _picture(spool.source(small.width, small.height), turned, target, keep)
    across, down = (error.width, error.height) if turned < 5 else (error.height, error.width)
    return picture._replace(original_width=across, original_height=down)


def native(path: str, file: IO[bytes], as_stb: bool = False) -> Any:
    """The `Source` of an open file, None where its format is not one of ours. Raises `ImageError`."""
    kind = format_of(path, file)
    from darkfuse.media._rows import FORMATS, Source

    if kind not in FORMATS:
        return None
    source = Source(path, file.fileno(), kind, _HEADER_BYTES, as_stb=as_stb)
    check_size(path, *source.size)
    return source


def _picture(source: Any, turned: int, target: Target | None, keep: int | None) -> Picture:
    """All pixels if they and the decoder may be kept, else rows."""
    source.start()
    width, height = source.size if turned < 5 else source.size[::-1]
    if target is None or keep is None or width * height * 3 + source.held <= keep:
        pixels = bytearray(width * height * 3)
        source.band(turned, 0, height, pixels)
        source.close()
        return Picture(width, height, pixels, width, height)
    lines = 2 * 3 * source.size[0]
    least = 12 * target.width  # one row
    if keep < source.held + lines + least:
        raise TooLarge(source.path, (width, height), source.held + lines + least, keep)
    rows = source.rows(turned, target[:3], target.shape, target.centres, keep - source.held - lines)
    rows.prepare()
    return Picture(width, height, None, width, height, rows=rows)


def _spooled(source: Any, room: Room) -> Any:
    """The same picture from pixels on disk: its decoder is gone when they are there."""
    for emptied in (False, True):
        limit = room(False, emptied)
        source.limit(limit)
        try:
            source.start()
            break
        except TooLarge as error:
            if emptied or limit is None:
                raise TooLarge(source.path, source.size, error.needed + _SMALL_BYTES, limit or 0) from None
    width, height = source.size
    rows = max(1, _CHUNK // (width * 3))
    chunk = memoryview(bytearray(rows * width * 3))
    spool = Spool(source.path)
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        part = chunk[: (bottom - top) * width * 3]
        source.band(1, top, bottom, part)
        spool.write(part)
    source.close()
    return spool.source(width, height)


def _foreign(path: str, target: Target | None, keep: int | None, room: Room, ignore_exif: bool,
             reduce: bool) -> Picture:
    """Decoded by Pillow in another process; the pixels stay in memory if they may be kept, else on disk."""
    told: dict[str, Any] = {}
    limit: int | None = None
    for emptied, scale in ((False, 1), (True, 1), (True, 2), (True, 4), (True, 8)):
        if scale > 1 and not reduce:
            break
        limit = room(True, emptied)
        told, into = _helped(path, limit, scale, keep, ignore_exif)
        if into is not None:
            break
    width, height = told["size"]
    if into is None:
        raise TooLarge(path, (width, height), told["needed"], limit or 0)
    turned = told["orientation"]
    across, down = told["original"] if turned < 5 else told["original"][::-1]
    if isinstance(into, Spool):
        picture = _picture(into.source(width, height), turned, target, keep)
    else:
        picture = Picture(width, height, into.pixels, width, height)
    return picture._replace(original_width=across, original_height=down)


class _Kept:
    """Where pixels go that stay in memory."""

    def __init__(self, size: int) -> None:
        self.pixels, self._at = bytearray(size), 0

    def write(self, piece: Any) -> None:
        self.pixels[self._at : self._at + len(piece)] = piece
        self._at += len(piece)


def _helped(path: str, limit: int | None, scale: int, keep: int | None,
            ignore_exif: bool) -> tuple[dict[str, Any], _Kept | Spool | None]:
    from darkfuse.host.helper import call

    made: list[_Kept | Spool] = []

    def into(answer: dict[str, Any]) -> _Kept | Spool:
        if ignore_exif:
            answer["orientation"] = 1
        plain = answer["orientation"] == 1 and (keep is None or answer["bytes"] <= keep)
        made.append(_Kept(answer["bytes"]) if plain else Spool(path))
        return made[0]

    job = {"path": path, "limit": limit, "reduce": scale}
    failed = f"{path}: cannot decode the picture"
    told, _ = call("darkfuse.media.foreign:pieces", job, failed, ImageError, into)
    return told, made[0] if made else None
