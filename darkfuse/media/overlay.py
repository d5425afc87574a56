"""Boxes and figures onto a video frame, with OpenCV, in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from darkfuse.media.draw import Mark
from darkfuse.media.labels import leader, line_width, places
from darkfuse.media.opencv import opencv
from darkfuse.media.palette import class_colour, ink_on

_INK_DARK, _INK_LIGHT = (0, 0, 0), (255, 255, 255)


def draw_marks(image: Any, marks: Sequence[Mark]) -> None:
    """Draw boxes with their labels, as on photos: see `media.labels`.

    Parameters
    ----------
    image : ndarray
        (height, width, 3) uint8, BGR; drawn on.
    marks : sequence of (class id, text, left, top, right, bottom)
        Best first; edges as parts of the image's size, as `media.draw.draw` takes them.
    """
    cv2 = opencv()
    height, width = image.shape[:2]
    _, scale, pad = _sizes(height, width)
    boxes = [(_inside(m[2], width), _inside(m[3], height), _inside(m[4], width), _inside(m[5], height))
             for m in marks]
    texts = [plain(m[1]) for m in marks]
    measured = [cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1) for text in texts]
    sizes = [(wide + 2 * pad, tall + below + pad) if text else (0, 0)
             for text, ((wide, tall), below) in zip(texts, measured)]
    for mark, box in reversed(list(zip(marks, boxes))):
        line = line_width(box, width, height)
        cv2.rectangle(image, box[:2], box[2:], class_colour(mark[0])[::-1], line)
        if min(box[2] - box[0], box[3] - box[1]) > 8 * line:  # a dark edge inside, as on photos
            cv2.rectangle(image, (box[0] + line, box[1] + line), (box[2] - line, box[3] - line), _INK_DARK, 1)
    for mark, box, text, size, (_, below), place in zip(
            marks, boxes, texts, sizes, measured, places(boxes, sizes, width, height)):
        if place is None:
            continue
        x, y, _ = place
        colour = class_colour(mark[0])
        if place.far:
            ends = leader(place, size, box)
            cv2.line(image, ends[:2], ends[2:], colour[::-1], 1, cv2.LINE_AA)
        cv2.rectangle(image, (x, y), (x + size[0] - 1, y + size[1] - 1), colour[::-1], cv2.FILLED)
        cv2.putText(image, text, (x + pad, y + size[1] - below), cv2.FONT_HERSHEY_SIMPLEX, scale,
                    ink_on(colour), 1, cv2.LINE_AA)


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
