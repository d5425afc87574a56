"""Boxes and labels onto an RGB image, all of it or some rows at a time: the same pixels either way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from darkfuse.media.labels import Rect, leader, line_width, places
from darkfuse.media.palette import class_colour, ink_on

# class id, text, then left, top, right, bottom as parts of the picture's size
Mark = tuple[int, str, float, float, float, float]


class Sketch:
    """Where the marks of a picture of `size` (width, height) go: best first; labels where there is room."""

    def __init__(self, marks: Sequence[Mark], size: tuple[int, int]) -> None:
        self._marks, (self._width, self._height) = marks, size
        self._size = max(10.0, min(size) * 0.024)
        self._boxes = [_pixels(mark, *size) for mark in marks]
        sizes = [_font_size(self._size, box) for box in self._boxes]
        letters = "".join(sorted({letter for mark in marks for letter in mark[1]}))
        fonts = {size: _font(size, letters) for size in set(sizes)}
        self._fonts = [fonts[size] for size in sizes]
        pad = self._pad = max(2, round(self._size / 6))
        self._extents = [font.getbbox(mark[1]) if mark[1] else (0, 0, -2 * pad, -2 * pad)
                         for mark, font in zip(marks, self._fonts)]
        self._sizes = [(round(c - a) + 2 * pad, round(d - b) + 2 * pad) for a, b, c, d in self._extents]
        self._places = places(self._boxes, self._sizes, *size)

    def onto(self, band: Any, top: int = 0) -> None:
        """Draw on a Pillow image with the picture's rows from `top` on."""
        from PIL import ImageDraw

        brush = ImageDraw.Draw(band)
        for mark, (left, upper, right, lower) in reversed(list(zip(self._marks, self._boxes))):
            line = line_width((left, upper, right, lower), self._width, self._height)
            box = left, upper - top, right, lower - top
            brush.rectangle(box, outline=class_colour(mark[0]), width=line)
            if min(right - left, lower - upper) > 8 * line:  # a dark edge inside: legible on its own colour
                inner = box[0] + line, box[1] + line, box[2] - line, box[3] - line
                brush.rectangle(inner, outline=(0, 0, 0), width=1)
        for mark, box, font, extent, extra, place in zip(
                self._marks, self._boxes, self._fonts, self._extents, self._sizes, self._places):
            if place is None:
                continue
            colour, y = class_colour(mark[0]), place.y - top
            if place.far:
                x0, y0, x1, y1 = leader(place, extra, box)
                brush.line((x0, y0 - top, x1, y1 - top), fill=colour, width=max(1, round(self._size / 12)))
            brush.rectangle((place.x, y, place.x + extra[0] - 1, y + extra[1] - 1), fill=colour)
            brush.text((place.x + self._pad - extent[0], y + self._pad - extent[1]), mark[1],
                       fill=ink_on(colour), font=font)


def _font(size: float, letters: str) -> Any:
    """Pillow's own font. Where memory is refused meanwhile, FreeType sets other letters and says nothing
    (HarfBuzz then tells its hinter that the font has no script): loaded twice it must be the same."""
    from PIL import ImageFont

    font, again = (ImageFont.load_default(size) for _ in range(2))
    if letters and _drawn(font, letters) != _drawn(again, letters):
        raise MemoryError
    return font


def _drawn(font: Any, letters: str) -> Any:
    from PIL import Image, ImageDraw

    _, _, right, bottom = font.getbbox(letters)
    image = Image.new("L", (max(1, round(right)), max(1, round(bottom))))
    ImageDraw.Draw(image).text((0, 0), letters, 255, font)
    return image


def _font_size(size: float, box: Sequence[int]) -> float:
    """Letters of a small object are smaller, down to what can be read."""
    return max(10.0, min(size, size * 0.55 + 0.12 * min(box[2] - box[0], box[3] - box[1])))


def _pixels(mark: Mark, width: int, height: int) -> Rect:
    _, _, left, top, right, bottom = mark
    return _inside(left, width), _inside(top, height), _inside(right, width), _inside(bottom, height)


def _inside(part: float, size: int) -> int:
    return round(max(0.0, min(1.0, part)) * (size - 1))
