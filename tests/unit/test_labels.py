"""Labels stand where nothing is hidden; colours of classes differ."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from darkfuse.media.labels import _shared, leader, line_width, places
from darkfuse.media.palette import PALETTE

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
