"""Boxes and labels onto a picture file, saved as a new one."""

from __future__ import annotations

import os
from typing import IO, Any, Sequence, Tuple

from darkfuse.errors import ImageError
from darkfuse.host.files import WholeFile, failed
from darkfuse.media.decode import one_line, opened, reduce_jpeg, rgb

# class id, text, then left, top, right, bottom as parts of the picture's size
Mark = Tuple[int, str, float, float, float, float]

# Darknet's six corner colours (its `get_color`); classes lie between them, so a class keeps its colour
_CORNERS = ((1, 0, 1), (0, 0, 1), (0, 1, 1), (0, 1, 0), (1, 1, 0), (1, 0, 0))
_SAVES = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}


def class_colour(class_id: int, classes: int) -> tuple[int, int, int]:
    """RGB of a class, 0..255, the same for every picture and run: Darknet's choice."""
    at = class_id * 123457 % classes / classes * 5
    low = int(at)
    part = at - low
    first, second = _CORNERS[low], _CORNERS[min(low + 1, 5)]
    # Darknet names the third of a corner red
    red, green, blue = ((1 - part) * first[c] + part * second[c] for c in (2, 1, 0))
    return round(255 * red), round(255 * green), round(255 * blue)


def out_path(out: str) -> str:
    """Where a picture called `out` goes: as Darknet, `.jpg` is added unless the name says JPEG or PNG."""
    if os.path.basename(out) in ("", ".", ".."):
        raise ImageError(f"{out!r} names a folder and no picture; name the annotated picture with --out")
    return out if os.path.splitext(out)[1].lower() in _SAVES else out + ".jpg"


def draw(
    path: str,
    marks: Sequence[Mark],
    classes: int,
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
    classes : int
        How many classes there are, for the colours.
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
            job = {"path": path, "marks": marks, "classes": classes, "work_bytes": work_bytes,
                   "target": target, "part": file.part or target}
            call("darkfuse.media.draw:drawn", job, f"{target}: cannot draw the picture", ImageError)
        return target
    canvas = _drawn(path, marks, classes, work_bytes)
    with WholeFile(target, "the picture", ImageError) as file:
        _save(canvas, target, file.file)
    return target


def drawn(path: str, marks: Sequence[Mark], classes: int, work_bytes: int | None, target: str,
          part: str) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """`draw` into a file that is there, `part`, as a job for `helper.call`; messages name `target`."""
    canvas = _drawn(path, marks, classes, work_bytes)
    try:
        with open(part, "r+b" if os.path.isfile(part) else "wb") as file:
            _save(canvas, target, file)
    except OSError as error:
        raise failed(target, "the picture", error, ImageError) from None
    return {}, ()


def _drawn(path: str, marks: Sequence[Mark], classes: int, work_bytes: int | None) -> Any:
    with opened(path) as image:
        if work_bytes is not None:
            reduce_jpeg(image, (min(640, image.width), 1), work_bytes)
        canvas = rgb(path, image)
    paint(canvas, marks, classes)
    return canvas


def paint(image: Any, marks: Sequence[Mark], classes: int) -> None:
    """Draw `marks` (see `draw`) onto an RGB Pillow image, least certain first when they come best first."""
    from PIL import ImageDraw, ImageFont

    width, height = image.size
    line = max(2, round(min(width, height) * 0.006))
    font = ImageFont.load_default(max(11, min(width, height) * 0.03))
    canvas = ImageDraw.Draw(image)
    for class_id, text, left, top, right, bottom in reversed(marks):
        x0, x1 = (_inside(side, width) for side in (left, right))
        y0, y1 = (_inside(side, height) for side in (top, bottom))
        colour = class_colour(class_id, classes)
        canvas.rectangle((x0, y0, x1, y1), outline=colour, width=line)
        if not text:
            continue
        a, b, c, d = canvas.textbbox((0, 0), text, font=font)
        pad = max(2, line // 2)
        tall, wide = d - b + 2 * pad, c - a + 2 * pad
        # above the box; inside it when there is no room above; pushed left when it would leave the picture
        y = y0 - tall if y0 >= tall else y0
        x = max(0, min(x0, width - wide))
        canvas.rectangle((x, y, x + wide - 1, y + tall - 1), fill=colour)
        red, green, blue = colour
        ink = (0, 0, 0) if 299 * red + 587 * green + 114 * blue > 128_000 else (255, 255, 255)
        canvas.text((x + pad - a, y + pad - b), text, fill=ink, font=font)


def _inside(part: float, size: int) -> int:
    return round(max(0.0, min(1.0, part)) * (size - 1))


def _save(image: Any, target: str, file: IO[bytes]) -> None:
    kind = _SAVES[os.path.splitext(target)[1].lower()]
    try:
        image.save(file, kind, **({"quality": 90} if kind == "JPEG" else {}))
    except (OSError, ValueError) as error:
        text = getattr(error, "strerror", None) or one_line(error)
        raise ImageError(f"{target}: cannot write the picture: {text}") from None
