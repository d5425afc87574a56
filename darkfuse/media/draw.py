"""Boxes and labels onto a picture file, saved as a new one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import IO, Any

from darkfuse.errors import ImageError
from darkfuse.host.files import WholeFile, failed
from darkfuse.media.decode import one_line, opened, reduce_jpeg, rgb
from darkfuse.media.labels import Rect, leader, line_width, places
from darkfuse.media.palette import class_colour, ink_on

# class id, text, then left, top, right, bottom as parts of the picture's size
Mark = tuple[int, str, float, float, float, float]

_SAVES = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}


def out_path(out: str) -> str:
    """Where a picture called `out` goes: as Darknet, `.jpg` is added unless the name says JPEG or PNG."""
    if os.path.basename(out) in ("", ".", ".."):
        raise ImageError(f"{out!r} names a folder and no picture; name the annotated picture with --out")
    return out if os.path.splitext(out)[1].lower() in _SAVES else out + ".jpg"


def draw(
    path: str,
    marks: Sequence[Mark],
    out: str,
    work_bytes: int | None = None,
    aside: bool = False,
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
    work_bytes : int, optional
        Memory to do it in. A JPEG that needs more is drawn at 1/2, 1/4 or 1/8 of its size, not below 640
        pixels across.
    aside : bool
        Draw in a short-lived process.

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
    if aside:
        from darkfuse.host.helper import call

        # The part is this process's, so that it goes with this process even where the other one is killed.
        with WholeFile(target, "the picture", ImageError) as file:
            job = {"path": path, "marks": marks, "work_bytes": work_bytes,
                   "target": target, "part": file.part or target}
            call("darkfuse.media.draw:drawn", job, f"{target}: cannot draw the picture", ImageError)
        return target
    painted = _drawn(path, marks, work_bytes)
    with WholeFile(target, "the picture", ImageError) as file:
        _save(painted, target, file.file)
    return target


def drawn(path: str, marks: Sequence[Mark], work_bytes: int | None, target: str,
          part: str) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """`draw` into a file that is there, `part`, as a job for `helper.call`; messages name `target`."""
    painted = _drawn(path, marks, work_bytes)
    try:
        with open(part, "r+b" if os.path.isfile(part) else "wb") as file:
            _save(painted, target, file)
    except OSError as error:
        raise failed(target, "the picture", error, ImageError) from None
    return {}, ()


def _drawn(path: str, marks: Sequence[Mark], work_bytes: int | None) -> Any:
    with opened(path) as image:
        if work_bytes is not None:
            reduce_jpeg(image, (min(640, image.width), 1), work_bytes)
        painted = rgb(path, image)
    paint(painted, marks)
    return painted


def save(image: Any, out: str) -> str:
    """Write a Pillow image whole or not at all, by its ending; returns the path. Raises `ImageError`."""
    target = out_path(out)
    with WholeFile(target, "the picture", ImageError) as file:
        _save(image, target, file.file)
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
        path = os.fspath(source)
        with opened(path) as image:
            return rgb(path, image).copy()
    try:
        image = source if isinstance(source, Image.Image) else Image.fromarray(source)
    except (TypeError, ValueError, AttributeError) as error:
        raise ImageError(f"expected a picture to draw on, not {type(source).__name__}: {error}") from None
    image = image.convert("RGB")
    return Image.merge("RGB", image.split()[::-1]) if bgr else image.copy()


def paint(image: Any, marks: Sequence[Mark]) -> None:
    """Draw `marks` (see `draw`), best first, onto an RGB Pillow image; labels where there is room."""
    from PIL import ImageDraw, ImageFont

    width, height = image.size
    size = max(10.0, min(width, height) * 0.024)
    brush = ImageDraw.Draw(image)
    boxes = [_pixels(mark, width, height) for mark in marks]
    fonts = [ImageFont.load_default(_font_size(size, box)) for box in boxes]
    pad = max(2, round(size / 6))
    extents = [brush.textbbox((0, 0), mark[1], font=font) if mark[1] else (0, 0, -2 * pad, -2 * pad)
               for mark, font in zip(marks, fonts)]
    sizes = [(round(c - a) + 2 * pad, round(d - b) + 2 * pad) for a, b, c, d in extents]
    for mark, box in reversed(list(zip(marks, boxes))):
        line = line_width(box, width, height)
        brush.rectangle(box, outline=class_colour(mark[0]), width=line)
        if min(box[2] - box[0], box[3] - box[1]) > 8 * line:  # a dark edge inside: legible on its own colour
            inner = box[0] + line, box[1] + line, box[2] - line, box[3] - line
            brush.rectangle(inner, outline=(0, 0, 0), width=1)
    for mark, box, font, extent, extra, place in zip(
            marks, boxes, fonts, extents, sizes, places(boxes, sizes, width, height)):
        if place is None:
            continue
        colour = class_colour(mark[0])
        if place.far:
            brush.line(leader(place, extra, box), fill=colour, width=max(1, round(size / 12)))
        brush.rectangle((place.x, place.y, place.x + extra[0] - 1, place.y + extra[1] - 1), fill=colour)
        brush.text((place.x + pad - extent[0], place.y + pad - extent[1]), mark[1], fill=ink_on(colour),
                   font=font)


def _font_size(size: float, box: Sequence[int]) -> float:
    """Letters of a small object are smaller, down to what can be read."""
    return max(10.0, min(size, size * 0.55 + 0.12 * min(box[2] - box[0], box[3] - box[1])))


def _pixels(mark: Mark, width: int, height: int) -> Rect:
    _, _, left, top, right, bottom = mark
    return _inside(left, width), _inside(top, height), _inside(right, width), _inside(bottom, height)


def _inside(part: float, size: int) -> int:
    return round(max(0.0, min(1.0, part)) * (size - 1))


def _save(image: Any, target: str, file: IO[bytes]) -> None:
    kind = _SAVES[os.path.splitext(target)[1].lower()]
    try:
        image.save(file, kind, **({"quality": 90} if kind == "JPEG" else {}))
    except (OSError, ValueError) as error:
        text = getattr(error, "strerror", None) or one_line(error)
        raise ImageError(f"{target}: cannot write the picture: {text}") from None
