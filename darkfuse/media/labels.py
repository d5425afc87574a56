"""Where labels go: beside their boxes, never on one another, and off other objects where there is room.

Each label in turn, the most certain first, takes the cheapest of some seventy places around its box: at its
edges, then farther out, with a line that leads back. A place over a label that is there already is out of the
question; one over another object costs the part of that object it hides, one inside its own box a little, and
one farther away its distance. Photo and film use the same places.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

Rect = tuple[int, int, int, int]  # left, top, right, bottom
RINGS = 7


class Place(NamedTuple):
    """Left and top of a label in pixels; whether it is so far from its box that a line must lead there."""

    x: int
    y: int
    far: bool


def line_width(box: Rect, width: int, height: int) -> int:
    """Width of a box's line: a part of its shorter side, no more than suits the picture."""
    side = min(box[2] - box[0], box[3] - box[1])
    return max(1, min(round(side * 0.045), max(2, round(min(width, height) * 0.005))))


def places(boxes: Sequence[Rect], sizes: Sequence[tuple[int, int]], width: int,
           height: int) -> list[Place | None]:
    """A place for each label.

    Parameters
    ----------
    boxes : sequence of (left, top, right, bottom)
        Pixels, the most certain first.
    sizes : sequence of (width, height)
        Of each box's label; (0, 0) has none.
    width, height : int
        Of the picture; labels stay inside.

    Returns
    -------
    list of Place or None
        None where nothing is free any more, and for empty labels.
    """
    taken: list[Rect] = []
    found: list[Place | None] = []
    for at, (box, (wide, tall)) in enumerate(zip(boxes, sizes)):
        best: tuple[float, Place] | None = None
        others = [other for number, other in enumerate(boxes) if number != at]
        wide, tall = min(wide, width), min(tall, height)
        for x, y, distance in _around(box, wide, tall) if wide > 0 and tall > 0 else ():
            x, y = min(max(x, 0), width - wide), min(max(y, 0), height - tall)
            label = (x, y, x + wide, y + tall)
            if any(_shared(label, other) for other in taken):
                continue
            cost = distance + _hidden(label, box, others)
            if best is None or cost < best[0]:
                best = cost, Place(x, y, _gap(label, box) > tall // 2)
        found.append(best[1] if best else None)
        if best:
            x, y, _ = best[1]
            taken.append((x, y, x + wide, y + tall))
    return found


def _around(box: Rect, wide: int, tall: int) -> Iterator[tuple[int, int, float]]:
    """Left, top and cost of distance of the places around a box, then those inside it."""
    left, top, right, bottom = box
    for ring in range(RINGS):
        out, cost = ring * tall, ring * 0.35
        yield left, top - tall - out, cost
        yield right - wide, top - tall - out, cost + 0.02
        yield left, bottom + out, cost + 0.04
        yield right - wide, bottom + out, cost + 0.05
        yield right + out, top, cost + 0.06
        yield left - wide - out, top, cost + 0.07
        yield right + out, bottom - tall, cost + 0.08
        yield left - wide - out, bottom - tall, cost + 0.09
        if ring:
            yield right + out, top - tall - out, cost + 0.1
            yield left - wide - out, top - tall - out, cost + 0.1
    yield left, top, 0.1
    yield right - wide, top, 0.12
    yield left, bottom - tall, 0.14


def _hidden(label: Rect, own: Rect, others: Sequence[Rect]) -> float:
    """What a label hides: of other objects the part that it covers, of its own object less."""
    area = (label[2] - label[0]) * (label[3] - label[1])
    cost = 0.5 * _shared(label, own) / area
    for other in others:
        shared = _shared(label, other)
        if shared:
            cost += 6 * shared / max(1, (other[2] - other[0]) * (other[3] - other[1])) + shared / area
    return cost


def _shared(a: Rect, b: Rect) -> int:
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return wide * high if wide > 0 and high > 0 else 0


def _gap(label: Rect, box: Rect) -> int:
    """Pixels between the two, 0 where they touch."""
    return max(label[0] - box[2], box[0] - label[2], label[1] - box[3], box[1] - label[3], 0)


def leader(place: Place, size: tuple[int, int], box: Rect) -> Rect:
    """The line from a label's near edge to the nearest point of its box: x, y, x, y."""
    x, y = place.x + size[0] // 2, place.y + size[1] // 2
    if place.y + size[1] <= box[1]:
        y = place.y + size[1]
    elif place.y >= box[3]:
        y = place.y
    else:  # beside it
        x = place.x if place.x >= box[2] else place.x + size[0]
    return x, y, min(max(x, box[0]), box[2]), min(max(y, box[1]), box[3])
