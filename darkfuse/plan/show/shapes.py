"""Shapes of a picture, and the two files they go into: an SVG, written by hand, or through Pillow a PNG.

Every shape may carry words about itself; in a browser an SVG shows them where the mouse rests.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Union

from darkfuse.host.record import dataclass

PHOTO = Path(__file__).parent / "photo.jpg"
INK, PAPER = "#1f2933", "#ffffff"


@dataclass(frozen=True)
class Box:
    """A rectangle: left, top, width, height in pixels, its colours ('' is none), how much covers, words."""

    x: float
    y: float
    w: float
    h: float
    fill: str
    line: str = ""
    cover: float = 1.0
    words: str = ""


@dataclass(frozen=True)
class Text:
    """Words at their left end (or middle, or right), on a baseline; `up` turns them to run upwards."""

    x: float
    y: float
    words: str
    size: int = 12
    anchor: str = "start"
    ink: str = INK
    up: bool = False


@dataclass(frozen=True)
class Line:
    """A line, dashed or not."""

    x: float
    y: float
    to_x: float
    to_y: float
    ink: str
    dashed: bool = False
    words: str = ""


@dataclass(frozen=True)
class Photo:
    """The sample photo in a rectangle, its aspect kept on grey, or stretched."""

    x: float
    y: float
    w: float
    h: float
    keep_aspect: bool
    words: str = ""


Shape = Union[Box, Text, Line, Photo]
_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}


def to_svg(shapes: Sequence[Shape], width: int, height: int) -> str:
    """The picture as an SVG document."""
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
             f'viewBox="0 0 {width} {height}" font-family="DejaVu Sans, Helvetica, sans-serif">']
    for shape in shapes:
        words = getattr(shape, "words", "")
        title = f"<title>{_escaped(words)}</title>" if words else ""
        if isinstance(shape, Box):
            line = f' stroke="{shape.line}"' if shape.line else ""
            cover = f' fill-opacity="{shape.cover:g}"' if shape.cover < 1 else ""
            at = f'x="{shape.x:.1f}" y="{shape.y:.1f}" width="{shape.w:.1f}" height="{shape.h:.1f}"'
            lines.append(_element("rect", f'{at} fill="{shape.fill or "none"}"{cover}{line}', title))
        elif isinstance(shape, Text):
            turn = f' transform="rotate(-90 {shape.x:.1f} {shape.y:.1f})"' if shape.up else ""
            lines.append(f'<text x="{shape.x:.1f}" y="{shape.y:.1f}" font-size="{shape.size}" '
                         f'text-anchor="{shape.anchor}" fill="{shape.ink}"{turn} pointer-events="none">'
                         f'{_escaped(words)}</text>')
        elif isinstance(shape, Line):
            dashes = ' stroke-dasharray="6 4"' if shape.dashed else ""
            at = f'x1="{shape.x:.1f}" y1="{shape.y:.1f}" x2="{shape.to_x:.1f}" y2="{shape.to_y:.1f}"'
            lines.append(_element("line", f'{at} stroke="{shape.ink}" stroke-width="1.5"{dashes}', title))
        else:
            lines.append(_photo(shape, title))
    return "\n".join([*lines, "</svg>", ""])


def _element(name: str, attributes: str, title: str) -> str:
    return f"<{name} {attributes}>{title}</{name}>" if title else f"<{name} {attributes}/>"


def _photo(shape: Photo, title: str) -> str:
    import base64

    aspect = "xMidYMid meet" if shape.keep_aspect else "none"
    data = base64.b64encode(PHOTO.read_bytes()).decode()
    at = f'x="{shape.x:.1f}" y="{shape.y:.1f}" width="{shape.w:.1f}" height="{shape.h:.1f}"'
    where = f'preserveAspectRatio="{aspect}" href="data:image/jpeg;base64,{data}"'
    return _element("image", f"{at} {where}", title)


def _escaped(words: str) -> str:
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def save_png(shapes: Sequence[Shape], width: int, height: int, file: IO[bytes]) -> None:
    """The picture as a PNG, written to a file object through Pillow. Raises OSError."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(image, "RGBA")
    for shape in shapes:
        if isinstance(shape, Box):
            x0, y0 = round(shape.x), round(shape.y)
            x1, y1 = max(x0, round(shape.x + shape.w) - 1), max(y0, round(shape.y + shape.h) - 1)
            fill = shape.fill + f"{round(shape.cover * 255):02x}" if shape.fill else None
            pen.rectangle((x0, y0, x1, y1), fill=fill, outline=shape.line or None)
        elif isinstance(shape, Text):
            _write(image, pen, shape)
        elif isinstance(shape, Line):
            _rule(pen, shape)
        else:
            _paste(image, shape)
    image.save(file, "PNG", optimize=True)


def _write(image: Any, pen: Any, text: Text) -> None:
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(text.size)
    if not text.up:
        pen.text((text.x, text.y), text.words, fill=text.ink, font=font, anchor=_ANCHORS[text.anchor])
        return
    long = round(font.getlength(text.words)) + 2
    strip = Image.new("L", (long, text.size * 2))
    ImageDraw.Draw(strip).text((0, round(text.size * 1.5)), text.words, fill=255, font=font, anchor="ls")
    strip = strip.rotate(90, expand=True)
    shift = {"start": long, "middle": long // 2, "end": 0}[text.anchor]
    place = round(text.x - text.size * 1.5), round(text.y) - shift
    image.paste(Image.new("RGB", strip.size, text.ink), place, strip)


def _rule(pen: Any, line: Line) -> None:
    whole = max(abs(line.to_x - line.x), abs(line.to_y - line.y)) or 1.0
    at = 0.0
    while at < whole:
        end = min(at + 6, whole) if line.dashed else whole
        ends = [(line.x + (line.to_x - line.x) * part, line.y + (line.to_y - line.y) * part)
                for part in (at / whole, end / whole)]
        pen.line(ends, fill=line.ink, width=2 if line.dashed else 1)
        at = end + 4


def _paste(image: Any, shape: Photo) -> None:
    from PIL import Image

    with Image.open(PHOTO) as photo:
        scale = min(shape.w / photo.width, shape.h / photo.height)
        size = ((round(photo.width * scale), round(photo.height * scale)) if shape.keep_aspect
                else (round(shape.w), round(shape.h)))
        image.paste(photo.resize(size), (round(shape.x + (shape.w - size[0]) / 2),
                                         round(shape.y + (shape.h - size[1]) / 2)))
