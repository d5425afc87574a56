"""Progressive JPEGs at an eighth (`media.eighth`), against libjpeg's own scale of 1/8."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from darkfuse.errors import ImageError
from darkfuse.media.decode import Target, decode
from darkfuse.media.eighth import Eighth, needed_bytes
from darkfuse.media.picture import TooLarge

ROOM = 3 << 20


@pytest.fixture(scope="module")
def photo(root: Path) -> Image.Image:
    with Image.open(root / "tests" / "golden" / "cat.png") as image:
        return image.convert("RGB")


def saved(image: Image.Image, **how: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", **{"progressive": True, "quality": 85, **how})
    return out.getvalue()


def ours(data: bytes) -> np.ndarray:
    made = Eighth("p.jpg", io.BytesIO(data), ROOM)
    return np.frombuffer(b"".join(made.rows()), np.uint8).reshape(made.height, made.width, 3)


def theirs(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        image.draft("RGB", (image.size[0] // 8, image.size[1] // 8))
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("how", [
    {"subsampling": 0}, {"subsampling": 1}, {"quality": 30, "subsampling": 0},
    {"restart_marker_blocks": 5, "subsampling": 0}, {"restart_marker_rows": 1, "subsampling": 1},
])
@pytest.mark.parametrize("size", [(160, 120), (149, 83), (9, 17)])
def test_it_is_what_libjpeg_makes_of_it(
    photo: Image.Image, how: dict[str, int], size: tuple[int, int]
) -> None:
    data = saved(photo.resize(size), **how)
    assert np.array_equal(ours(data), theirs(data))


def test_grey_and_colour_that_was_stored_smaller(photo: Image.Image) -> None:
    grey = saved(photo.convert("L"))
    assert np.array_equal(ours(grey), theirs(grey))
    data = saved(photo, subsampling=2)  # brightness is the same; libjpeg takes colour at twice the detail
    difference = ours(data).astype(float) - theirs(data)
    assert np.abs(difference @ (0.299, 0.587, 0.114)).mean() < 3 and np.abs(difference).mean() < 6


@pytest.mark.parametrize("data, says", [
    (b"\xff\xd8\xff\xd9", "not a progressive one"), (b"\xff\xd8", "not a progressive one"),
    (b"\xff\xd8\xff\xc2\0\x11", "it ends early"),
    (b"\xff\xd8\xff\xc2\0\x0b\x08\0\x10\0\x10\x01\x01\0\0", "it is damaged"),
    (b"\xff\xd8\xff\xc2\0\x0b\x0c\0\x10\0\x10\x01\x01\x11\0", "is not known"),
])
def test_what_is_none_says_so(data: bytes, says: str) -> None:
    with pytest.raises(ImageError, match=f"p.jpg: cannot reduce the picture: .*{says}"):
        Eighth("p.jpg", io.BytesIO(data), ROOM)


def test_damage_never_ends_otherwise(photo: Image.Image) -> None:
    data, rng = saved(photo.resize((64, 48))), np.random.default_rng(1)
    whole = ours(data).shape
    for _ in range(300):
        broken = bytearray(data)
        for place in rng.integers(2, len(data), 3):
            broken[place] = rng.integers(256)
        try:
            made = Eighth("p.jpg", io.BytesIO(bytes(broken[: rng.integers(4, len(data))])), ROOM)
            b"".join(made.rows())
        except ImageError:
            continue
    assert ours(data).shape == whole


def test_decode_reduces_only_when_asked(photo: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "p.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    path.write_bytes(saved(photo.resize((1600, 1200)), exif=exif))
    target = Target(64, 64, 3, "letterbox", False)
    room = needed_bytes(1600, 1200) + 1000

    def there(_helper: bool, _emptied: bool) -> int:
        return room

    with pytest.raises(TooLarge):
        decode(str(path), target, 150_000, there)
    small = decode(str(path), target, 150_000, there, reduce=True)
    assert (small.width, small.height) == (150, 200) and small.reduced
    assert (small.original_width, small.original_height) == (1200, 1600)
    room = 1000
    with pytest.raises(TooLarge) as refused:
        decode(str(path), target, 150_000, there, reduce=True)
    assert refused.value.needed == needed_bytes(1600, 1200)


def test_the_command_says_what_would_do_and_reduces_when_asked(
    root: Path, photo: Image.Image, tmp_path: Path, command: Any
) -> None:
    path = tmp_path / "p.jpg"
    path.write_bytes(saved(photo.resize((3200, 2400))))
    words = ("darkfuse", "detect", path, "--no-draw", "--json", "-", "--mem", "24M", "--threads", "1")
    refused = command(*words)
    assert refused.returncode == 2 and refused.stdout == ""
    assert "3200x2400 pixels do not fit in 24M while they are decoded: the least that works" in refused.stderr
    reduced = command(*words, "--reduce-pictures", "--stats")
    assert reduced.returncode == 0 and "picture reduced to 400x300" in reduced.stderr
    assert json.loads(reduced.stdout)[0]["stats"]["reduced_to"] == [400, 300]
