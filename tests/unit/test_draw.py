"""Boxes drawn on pictures: in their places and colours, the same in any amount of memory."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

from darkfuse.errors import ImageError
from darkfuse.media._rows import FORMATS
from darkfuse.media.draw import draw, pillow
from darkfuse.media.palette import class_colour
from darkfuse.media.sketch import Sketch

pytestmark = pytest.mark.skipif(len(FORMATS) < 2, reason="built without libjpeg or libpng")


def size_of(path: Path | str) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


MARKS = [(16, "dog 57%", 0.2, 0.4, 0.6, 0.9), (1, "bicycle 99%", 0.1, 0.1, 0.5, 0.5)]


@pytest.mark.parametrize("helped", [False, True])
def test_draws_frame_and_label_in_the_class_colour(tmp_path: Path, helped: bool) -> None:
    source = tmp_path / "grey.png"
    Image.new("RGB", (400, 300), (90, 90, 90)).save(source)
    out = draw(str(source), MARKS, str(tmp_path / "out.png"), helped=helped)
    pixels = np.asarray(Image.open(out))
    assert out == str(tmp_path / "out.png") and pixels.shape == (300, 400, 3)
    for class_id, _, left, top, right, bottom in MARKS:
        x0, y0, x1, y1 = (round(v) for v in (left * 399, top * 299, right * 399, bottom * 299))
        colour = class_colour(class_id)
        assert tuple(pixels[y1, (x0 + x1) // 2]) == colour and tuple(pixels[(y0 + y1) // 2, x0]) == colour
        mask = (pixels == colour).all(axis=2)
        mask[y0 : y1 + 1, x0 : x1 + 1] = False
        assert mask.sum() > 200  # the label stands beside its box
    assert tuple(pixels[290, 390]) == (90, 90, 90)


def test_boxes_beyond_the_edge(tmp_path: Path) -> None:
    source = tmp_path / "grey.png"
    Image.new("RGB", (200, 100), (90, 90, 90)).save(source)
    marks = [
        (3, "a name much longer than the picture is wide, by far", -0.4, -2.0, 1.5, 3.0),
        (2, "", 0.9, 0.9, 7, 7),
    ]
    pixels = np.asarray(Image.open(draw(str(source), marks, str(tmp_path / "out.png"))))
    assert tuple(pixels[99, 0]) == class_colour(3)


def test_jpg_is_added_and_nothing_is_left_half_written(tmp_path: Path, shared: Path) -> None:
    photo = str(shared / "images" / "dog.jpg")
    assert draw(photo, MARKS, str(tmp_path / "predictions")) == str(tmp_path / "predictions.jpg")
    assert size_of(tmp_path / "predictions.jpg") == (768, 576)
    with pytest.raises(ImageError, match="cannot write the picture: No such file"):
        draw(photo, MARKS, str(tmp_path / "no" / "predictions"))
    (tmp_path / "taken.jpg").mkdir()
    with pytest.raises(ImageError, match="cannot write the picture"):
        draw(photo, MARKS, str(tmp_path / "taken"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["predictions.jpg", "taken.jpg"]


@pytest.mark.parametrize("value", [1, 6])
def test_drawing_in_little_memory_draws_the_same(tmp_path: Path, shared: Path, value: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    photo, drawn = str(tmp_path / "kite.jpg"), []
    Image.open(shared / "images" / "kite.jpg").save(photo, exif=exif)
    for number, room in enumerate((None, 400_000, 2_000_000)):
        out = draw(photo, MARKS, str(tmp_path / f"{number}.png"), lambda helper, emptied, room=room: room)
        drawn.append(np.asarray(Image.open(out)))
    assert drawn[0].shape[:2] == ((900, 1352) if value == 1 else (1352, 900))
    assert np.array_equal(drawn[0], drawn[1]) and np.array_equal(drawn[0], drawn[2])


def test_colours_are_steady_and_apart() -> None:
    colours = [class_colour(i) for i in range(80)]
    assert colours == [class_colour(i) for i in range(80)]
    assert len(set(colours)) == 80
    assert class_colour(80) == class_colour(0)


def test_pixels_become_a_pillow_image_as_they_are() -> None:
    size, pixels = (7, 5), bytearray(os.urandom(7 * 5 * 3))
    assert pillow(pixels, size).tobytes() == Image.frombytes("RGB", size, bytes(pixels)).tobytes()


def test_letters_set_otherwise_than_before_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """FreeType, refused memory as it loads a font, goes on with other hints."""
    load, sizes = ImageFont.load_default, iter((12.0, 13.0))
    monkeypatch.setattr(ImageFont, "load_default", lambda _size: load(next(sizes)))
    with pytest.raises(MemoryError):
        Sketch([(0, "cat 78%", 0.1, 0.1, 0.9, 0.9)], (200, 100))
