"""Labels stand where nothing is hidden; colours of classes differ."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkfuse.media import overlay
from darkfuse.media.labels import Place, Rect, _shared, leader, line_width, places
from darkfuse.media.palette import PALETTE
from darkfuse.media.sketch import Sketch

WIDTH, HEIGHT = 640, 480
boxes_of_pictures = st.lists(st.builds(
    lambda x, y, w, h: (x, y, min(WIDTH - 1, x + w), min(HEIGHT - 1, y + h)),
    st.integers(0, WIDTH - 10), st.integers(0, HEIGHT - 10), st.integers(4, 400), st.integers(4, 300)),
    max_size=12)


@given(boxes_of_pictures)
def test_no_label_lies_over_another_or_leaves_the_picture(boxes: list[tuple[int, int, int, int]]) -> None:
    found = places(boxes, [(90, 16)] * len(boxes), WIDTH, HEIGHT)
    labels = [(p.x, p.y, p.x + 90, p.y + 16) for p in found if p]
    assert len(labels) == len(boxes)  # a dozen find room
    for at, one in enumerate(labels):
        assert one[0] >= 0 and one[1] >= 0 and one[2] <= WIDTH and one[3] <= HEIGHT
        assert not any(_shared(one, other) for other in labels[:at])


def test_a_label_keeps_off_another_object_where_there_is_room() -> None:
    big, small = (100, 100, 300, 300), (110, 76, 180, 99)  # the small one is where the label would stand
    place, other = places([big, small], [(60, 16), (60, 16)], WIDTH, HEIGHT)
    assert place and other
    assert not _shared((place.x, place.y, place.x + 60, place.y + 16), small)
    assert not place.far and not other.far


def test_labels_of_a_crowd_are_led_back_to_their_boxes() -> None:
    crowd = [(200 + 12 * n, 200, 210 + 12 * n, 230) for n in range(16)]
    found = places(crowd, [(80, 14)] * 16, WIDTH, HEIGHT)
    far = [(box, place) for box, place in zip(crowd, found) if place and place.far]
    assert far and all(found)
    for box, place in far:
        x, y = leader(place, (80, 14), box)[2:]
        assert box[0] <= x <= box[2] and box[1] <= y <= box[3]


# What yolov4-tiny finds in horses.jpg, kite.jpg and frame 100 of vtest.avi
SEEN = {
    "horses": (773, 512, [
        (19, "cow 95%", 0.5552, 0.4208, 0.7775, 0.6761),
        (17, "horse 83%", 0.0037, 0.3738, 0.4187, 0.7978),
        (17, "horse 70%", 0.0051, 0.3566, 0.2060, 0.5217),
        (17, "horse 55%", 0.5569, 0.4185, 0.7694, 0.6754),
        (17, "horse 42%", 0.3188, 0.3760, 0.5685, 0.7399),
    ]),
    "kite": (1352, 900, [
        (33, "kite 99%", 0.4412, 0.0874, 0.4961, 0.1643),
        (0, "person 97%", 0.1564, 0.7737, 0.1998, 0.9585),
        (0, "person 92%", 0.0825, 0.6783, 0.1244, 0.8455),
    ]),
    "vtest": (768, 576, [
        (0, "person 97%", 0.7615, 0.2633, 0.8038, 0.4120),
        (2, "car 96%", 0.9544, 0.0860, 1.0002, 0.1647),
        (0, "person 94%", 0.4938, 0.3103, 0.5361, 0.4492),
        (0, "person 91%", 0.6554, 0.2665, 0.7016, 0.3787),
        (0, "person 81%", 0.4455, 0.3403, 0.4836, 0.4757),
        (7, "truck 68%, car 40%", 0.8491, 0.0756, 0.9433, 0.1705),
        (0, "person 52%", 0.2123, 0.4319, 0.2592, 0.4832),
        (0, "person 35%", 0.6371, 0.2642, 0.6634, 0.3735),
    ]),
}


def drawn(name: str, video: bool) -> tuple[list[Rect], list[Rect]]:
    """Boxes and labels as a photo has them, or a frame of a video."""
    width, height, marks = SEEN[name]
    if not video:
        sketch = Sketch(marks, (width, height))
        return sketch._boxes, [(place.x, place.y, place.x + size[0], place.y + size[1])
                               for place, size in zip(sketch._places, sketch._sizes) if place]
    found: list[tuple[list[Rect], list[Rect]]] = []

    def noted(boxes: list[Rect], sizes: list[tuple[int, int]], wide: int, tall: int) -> list[Place | None]:
        where = places(boxes, sizes, wide, tall)
        found.append((boxes, [(p.x, p.y, p.x + s[0], p.y + s[1]) for p, s in zip(where, sizes) if p]))
        return where

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlay, "places", noted)
        overlay.draw_marks(np.zeros((height, width, 3), np.uint8), marks)
    return found[0]


@pytest.mark.parametrize("video", [False, True], ids=["photo", "video"])
@pytest.mark.parametrize("name", list(SEEN))
def test_pictures_a_designer_would_sign(name: str, video: bool) -> None:
    """Every object has its label, none lies on another, and none hides more of another object than a rim."""
    boxes, labels = drawn(name, video)
    assert len(labels) == len(boxes) == len(SEEN[name][2])
    for at, label in enumerate(labels):
        assert not any(_shared(label, other) for other in labels[:at])
        for number, box in enumerate(boxes):
            hidden = _shared(label, box) / ((box[2] - box[0]) * (box[3] - box[1]))
            assert number == at or hidden < 0.02, (SEEN[name][2][at], SEEN[name][2][number])


def test_lines_are_thin_on_small_boxes() -> None:
    widths = [line_width((0, 0, side, side), 1920, 1080) for side in (10, 60, 500)]
    assert widths[0] == 1 < widths[1] < widths[2] == 5


def test_eighty_colours_differ_to_the_eye() -> None:
    def oklab(colour: tuple[int, int, int]) -> tuple[float, float, float]:
        r, g, b = (c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour)
        long, middle, short = (v ** (1 / 3) for v in (
            0.4122 * r + 0.5363 * g + 0.0514 * b, 0.2119 * r + 0.6807 * g + 0.1074 * b,
            0.0883 * r + 0.2817 * g + 0.63 * b))
        return (0.2105 * long + 0.7936 * middle - 0.0041 * short,
                1.978 * long - 2.4286 * middle + 0.4506 * short,
                0.0259 * long + 0.7828 * middle - 0.8087 * short)

    seen = [oklab(c) for c in PALETTE]
    assert len(PALETTE) == 80
    assert min(math.dist(a, b) for at, a in enumerate(seen) for b in seen[:at]) > 0.07
