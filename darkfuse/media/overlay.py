"""Boxes and figures onto a video frame, with OpenCV, in place."""

from __future__ import annotations

from typing import Any, Sequence

from darkfuse.media.draw import Mark, class_colour
from darkfuse.media.opencv import opencv

_INK_DARK, _INK_LIGHT = (0, 0, 0), (255, 255, 255)


def draw_marks(image: Any, marks: Sequence[Mark], classes: int) -> None:
    """Draw boxes with their labels, the most certain on top.

    Parameters
    ----------
    image : ndarray
        (height, width, 3) uint8, BGR; drawn on.
    marks : sequence of (class id, text, left, top, right, bottom)
        Best first; edges as parts of the image's size, as `media.draw.draw` takes them.
    classes : int
        How many there are, for the colours: those of the still pictures.
    """
    cv2 = opencv()
    height, width = image.shape[:2]
    line, scale, pad = _sizes(height, width)
    for class_id, text, left, top, right, bottom in reversed(marks):
        x0, x1 = _inside(left, width), _inside(right, width)
        y0, y1 = _inside(top, height), _inside(bottom, height)
        red, green, blue = class_colour(class_id, classes)
        cv2.rectangle(image, (x0, y0), (x1, y1), (blue, green, red), line)
        if not text:
            continue
        text = plain(text)
        (wide, tall), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
        wide, tall = wide + 2 * pad, tall + below + pad
        # above the box; inside it when there is no room above; pushed left when it would leave the picture
        y = y0 - tall if y0 >= tall else y0
        x = max(0, min(x0 - line // 2, width - wide))
        cv2.rectangle(image, (x, y), (x + wide, y + tall), (blue, green, red), cv2.FILLED)
        ink = _INK_DARK if 299 * red + 587 * green + 114 * blue > 128_000 else _INK_LIGHT
        cv2.putText(image, text, (x + pad, y + tall - below), cv2.FONT_HERSHEY_SIMPLEX, scale, ink, 1,
                    cv2.LINE_AA)


def draw_status(image: Any, text: str) -> None:
    """Write a line of figures into the lower left corner, on a darkened strip; labels are at boxes' tops."""
    cv2 = opencv()
    height, width = image.shape[:2]
    _, scale, pad = _sizes(height, width)
    text = plain(text)
    (wide, tall), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    if wide + 2 * pad > width:
        scale *= width / (wide + 2 * pad)
    strip = image[max(0, height - tall - below - 2 * pad):, : min(width, wide + 2 * pad)]
    cv2.convertScaleAbs(strip, strip, 0.35)
    cv2.putText(image, text, (pad, height - pad - below), cv2.FONT_HERSHEY_SIMPLEX, scale, _INK_LIGHT, 1,
                cv2.LINE_AA)


def plain(text: str) -> str:
    """Text as OpenCV's strokes can write it: ASCII, `?` for the rest."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)


def _sizes(height: int, width: int) -> tuple[int, float, int]:
    """Width of lines in pixels, scale of the font, margin around text."""
    small = min(height, width)
    return max(2, round(small * 0.005)), max(0.4, small / 1000), max(3, small // 120)


def _inside(part: float, size: int) -> int:
    return round(max(0.0, min(1.0, part)) * (size - 1))
