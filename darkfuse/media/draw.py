"""Boxes and labels onto a picture file, saved as a new one of the same size, some rows at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import IO, Any

from darkfuse.errors import ImageError
from darkfuse.host.files import WholeFile, failed
from darkfuse.host.reading import open_regular
from darkfuse.media import foreign
from darkfuse.media.decode import Room, any_room, decode, native
from darkfuse.media.header import format_of, orientation
from darkfuse.media.picture import TooLarge
from darkfuse.media.sketch import Mark, Sketch

_SAVES = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}
_QUALITY = 90
_BAND = 1 << 18  # bytes of pixels painted on at a time, where there is no need to take more
_ROW_ROOM = 1 << 18  # bytes for rows beside what a decoder holds
_PIXEL = 10  # bytes each takes meanwhile: decoded, in Pillow's form, and to be written


def out_path(out: str) -> str:
    """Where a picture called `out` goes: as Darknet, `.jpg` is added unless the name says JPEG or PNG."""
    if os.path.basename(out) in ("", ".", ".."):
        raise ImageError(f"{out!r} names a folder and no picture; name the annotated picture with --out")
    return out if os.path.splitext(out)[1].lower() in _SAVES else out + ".jpg"


def draw(
    path: str,
    marks: Sequence[Mark],
    out: str,
    room: Room = any_room,
    helped: bool = False,
    ignore_exif: bool = False,
) -> str:
    """Draw boxes on the picture in `path` and save it.

    Parameters
    ----------
    path : str
        A picture `decode.decode` can read.
    marks : sequence of (class id, text, left, top, right, bottom)
        Edges as parts of the picture's width and height; what lies outside is cut off.
    out : str
        Name of the new picture; `.jpg` is added unless it ends in .jpg, .jpeg or .png. It is written beside
        its place and renamed, so that it is never there in part.
    room : callable
        Memory to do it in; see `decode.Room`.
    helped : bool
        Draw in a short-lived process, as is done in any case where Pillow has to decode.
    ignore_exif : bool
        As for `decode.decode`; otherwise the new picture is upright.

    Returns
    -------
    str
        The path written.

    Raises
    ------
    ImageError
        As `decode.decode`; or `out` cannot be written.
    """
    path, target = os.fspath(path), out_path(os.fspath(out))
    if os.path.exists(target) and os.path.exists(path) and os.path.samefile(path, target):
        raise ImageError(f"{target}: is the picture itself; give the annotated one another name with --out")
    helper = helped or _is_foreign(path)
    for emptied in (False, True):
        limit = room(helper, emptied)
        try:
            with WholeFile(target, "the picture", ImageError) as file:
                if helper:
                    # The part is this process's: it goes with it even where the other one is killed
                    _help(path, marks, limit, target, file.part or target, ignore_exif)
                else:
                    _draw(path, marks, limit, target, file.file, ignore_exif)
            break
        except TooLarge:
            if emptied or limit is None:
                raise
    return target


def _help(path: str, marks: Sequence[Mark], work_bytes: int | None, target: str, part: str,
          ignore_exif: bool) -> None:
    from darkfuse.host.helper import call

    job = {"path": path, "marks": marks, "work_bytes": work_bytes, "target": target,
           "part": part, "ignore_exif": ignore_exif}
    told, _ = call("darkfuse.media.draw:drawn", job, f"{target}: cannot draw the picture", ImageError)
    if "needed" in told:
        raise TooLarge(path, told["size"], told["needed"], work_bytes or 0)


def drawn(path: str, marks: Sequence[Mark], work_bytes: int | None, target: str,
          part: str, ignore_exif: bool) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """`draw` into a file that is there, `part`, as a job for `helper.call`; messages name `target`."""
    try:
        with open(part, "r+b" if os.path.isfile(part) else "wb") as file:
            _draw(path, marks, work_bytes, target, file, ignore_exif)
    except TooLarge as error:
        return {"needed": error.needed, "size": (error.width, error.height)}, ()
    except OSError as error:
        raise failed(target, "the picture", error, ImageError) from None
    return {}, ()


def _is_foreign(path: str) -> bool:
    try:
        with open_regular(path) as file:
            return native(path, file) is None
    except OSError as error:
        raise ImageError(f"{path}: cannot read the picture: {error.strerror or error}") from None


def _draw(path: str, marks: Sequence[Mark], work_bytes: int | None, target: str,
          file: IO[bytes], ignore_exif: bool) -> None:
    from darkfuse.media._rows import FORMATS, Sink

    kind = _SAVES[os.path.splitext(target)[1].lower()]
    whole, sink, sketch = None, None, None
    for top, band, size in _bands(path, work_bytes, ignore_exif):
        sketch = sketch or Sketch(marks, size)
        sketch.onto(band, top)
        if kind.lower() in FORMATS:
            sink = sink or Sink(target, file.fileno(), kind.lower(), *size, _QUALITY)
            sink.write(band.tobytes())
        else:
            from PIL import Image

            whole = whole or Image.new("RGB", size)
            whole.paste(band, (0, top))
    if sink is not None:
        sink.finish()
    if whole is not None:
        _save(whole, target, file, kind)


def _bands(path: str, work_bytes: int | None,
           ignore_exif: bool) -> Iterator[tuple[int, Any, tuple[int, int]]]:
    """Rows of the upright picture from top to bottom: the first one's number, they, the picture's size."""
    with open_regular(path) as file:
        source = native(path, file)
        if source is None:
            image = _foreign(path, work_bytes, ignore_exif)
            rows = max(1, _BAND // (image.width * 3))
            for top in range(0, image.height, rows):
                yield top, image.crop((0, top, image.width, min(image.height, top + rows))), image.size
            return
        turned = 1 if ignore_exif else orientation(file, format_of(path, file))
        try:
            source.limit(work_bytes)
            source.start()
        except TooLarge as error:
            raise TooLarge(path, source.size, error.needed + _ROW_ROOM, work_bytes or 0) from None
        width, height = source.size if turned < 5 else source.size[::-1]
        room = width * height * _PIXEL if work_bytes is None else work_bytes - source.held
        if turned < 3:  # rows come in the file's order: a few at a time cost nothing
            room = min(room, _BAND * _PIXEL // 3)
        rows = min(height, max(1, room // (width * _PIXEL)))
        for top in range(0, height, rows):
            bottom = min(height, top + rows)
            pixels = bytearray((bottom - top) * width * 3)
            source.band(turned, top, bottom, pixels)
            yield top, pillow(pixels, (width, bottom - top)), (width, height)


def pillow(pixels: bytearray, size: tuple[int, int]) -> Any:
    """(height, width, 3) bytes as a Pillow image of `size` (width, height), through no decoder of Pillow's:
    `frombytes` makes one, and where that is refused its memory Pillow (13.0) calls what was never set."""
    from PIL import Image

    planes = [Image.frombuffer("L", size, pixels[channel::3], "raw", "L", 0, 1) for channel in range(3)]
    return Image.merge("RGB", planes)


def _foreign(path: str, work_bytes: int | None, ignore_exif: bool) -> Any:
    from PIL import ImageOps

    from darkfuse.host.process import limit_growth

    with foreign.opened(path) as image:
        need = foreign.needed(image)
        if work_bytes is not None and need > work_bytes:
            raise TooLarge(path, image.size, need, work_bytes)
        if work_bytes is not None:
            limit_growth(work_bytes + foreign.ROOM)
        pixels = foreign.rgb(path, image)
        upright = ignore_exif or image.format == "TIFF" or foreign.turned(image) == 1
    return pixels if upright else ImageOps.exif_transpose(pixels)


def save(image: Any, out: str) -> str:
    """Write a Pillow image whole or not at all, by its ending; returns the path. Raises `ImageError`."""
    target = out_path(out)
    with WholeFile(target, "the picture", ImageError) as file:
        _save(image, target, file.file, _SAVES[os.path.splitext(target)[1].lower()])
    return target


def canvas(source: Any, bgr: bool = False) -> Any:
    """A picture to draw on: an RGB Pillow image of its own, from a path, an array or a Pillow image.

    Raises `ImageError` for what is none of them.
    """
    from PIL import Image

    if isinstance(source, bytes):
        import io

        return Image.open(io.BytesIO(source)).convert("RGB")
    if isinstance(source, (str, os.PathLike)):
        picture = decode(os.fspath(source))
        return pillow(picture.pixels, (picture.width, picture.height))
    try:
        image = source if isinstance(source, Image.Image) else Image.fromarray(source)
    except (TypeError, ValueError, AttributeError) as error:
        raise ImageError(f"expected a picture to draw on, not {type(source).__name__}: {error}") from None
    image = image.convert("RGB")
    return Image.merge("RGB", image.split()[::-1]) if bgr else image.copy()


def paint(image: Any, marks: Sequence[Mark]) -> None:
    """Draw `marks` (see `draw`), best first, onto an RGB Pillow image; labels where there is room."""
    Sketch(marks, image.size).onto(image)


def _save(image: Any, target: str, file: IO[bytes], kind: str) -> None:
    try:
        image.save(file, kind, **({"quality": _QUALITY} if kind == "JPEG" else {}))
    except (OSError, ValueError) as error:
        text = getattr(error, "strerror", None) or foreign.one_line(error)
        raise ImageError(f"{target}: cannot write the picture: {text}") from None
