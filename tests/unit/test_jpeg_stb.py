"""JPEG as stb_image, and so Darknet, decodes it: against Darknet's own inputs, and by its arithmetic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from darkfuse.detect.types import letterbox_size
from darkfuse.media.decode import Target, decode


def pixels(path: Path, as_stb: bool = True) -> np.ndarray:
    picture = decode(str(path), as_stb=as_stb)
    return np.frombuffer(picture.pixels, np.uint8).reshape(picture.height, picture.width, 3)


def to_rgb(light: np.ndarray, blue: np.ndarray, red: np.ndarray) -> np.ndarray:
    """stb_image's colours: factors of 12 bits, green without the low half of blue's part."""
    y, b, r = (plane.astype(np.int64) for plane in (light, blue, red))
    y, b, r = (y << 20) + (1 << 19), b - 128, r - 128
    factor = {name: int(value * 4096 + 0.5) << 8 for name, value in
              {"r": 1.402, "gr": 0.71414, "gb": 0.34414, "b": 1.772}.items()}
    green = y - r * factor["gr"] + ((-b * factor["gb"]) & ~0xFFFF)
    return np.clip(np.stack([y + r * factor["r"], green, y + b * factor["b"]], -1) >> 20, 0, 255)


def wider(plane: np.ndarray, axis: int) -> np.ndarray:
    """Twice as many, each from three parts of the nearer and one of the farther, not divided yet."""
    plane = np.moveaxis(plane, axis, 0)
    edges = np.concatenate([plane[:1], plane, plane[-1:]])
    both = np.stack([3 * plane + edges[:-2], 3 * plane + edges[2:]], 1)
    return np.moveaxis(both.reshape(-1, *plane.shape[1:]), 0, axis)


def flat_blocks(path: Path, across: int, down: int, subsampling: int) -> tuple[np.ndarray, ...]:
    """A JPEG of flat blocks; the components of each as they are stored."""
    colours = np.random.default_rng(3).integers(0, 256, (down, across, 3), np.uint8)
    Image.fromarray(colours.repeat(16, 0).repeat(16, 1)).save(path, quality=97, subsampling=subsampling)
    image = Image.open(path)
    image.draft("YCbCr", image.size)
    stored = np.asarray(image)
    assert image.mode == "YCbCr" and np.ptp(stored[2:14, 2:14], axis=(0, 1)).max() == 0
    return tuple(stored[8::16, 8::16, k].astype(np.int64) for k in range(3))


@pytest.mark.parametrize("subsampling", [0, 1, 2], ids=["4:4:4", "4:2:2", "4:2:0"])
def test_colours_and_their_scaling(tmp_path: Path, subsampling: int) -> None:
    light, *colours = flat_blocks(tmp_path / "x.jpg", 5, 4, subsampling)
    planes = []
    for plane in colours:
        plane = plane.repeat(16 if subsampling < 2 else 8, 0).repeat(16 if subsampling < 1 else 8, 1)
        if subsampling == 1:
            plane = (wider(plane, 1) + 2) >> 2
        elif subsampling == 2:
            plane = (wider(wider(plane, 0), 1) + 8) >> 4
        planes.append(plane)
    expected = to_rgb(light.repeat(16, 0).repeat(16, 1), *planes)
    assert np.array_equal(pixels(tmp_path / "x.jpg"), expected)
    assert not np.array_equal(pixels(tmp_path / "x.jpg", False), expected)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("size", [(1, 1), (17, 33), (64, 16), (203, 151)])
def test_it_is_close_to_what_others_make_of_it(tmp_path: Path, root: Path, size: tuple[int, int], mode: str,
                                               progressive: bool) -> None:
    small = Image.open(root / "docs" / "images" / "cat.jpg").convert(mode).resize(size)
    for subsampling in (0, 1, 2):
        small.save(tmp_path / "x.jpg", quality=90, subsampling=subsampling, progressive=progressive)
        ours, theirs = pixels(tmp_path / "x.jpg"), pixels(tmp_path / "x.jpg", False)
        assert ours.shape == (size[1], size[0], 3)
        assert np.abs(ours.astype(int) - theirs).max() <= 4
        assert np.abs(ours.astype(int) - theirs).mean() < 0.5


def test_inks_are_left_to_libjpeg(tmp_path: Path, root: Path) -> None:
    Image.open(root / "docs" / "images" / "cat.jpg").convert("CMYK").save(tmp_path / "x.jpg")
    assert np.array_equal(pixels(tmp_path / "x.jpg"), pixels(tmp_path / "x.jpg", False))


def test_progressive_pictures_come_the_same_by_way_of_the_disk(tmp_path: Path, root: Path) -> None:
    Image.open(root / "docs" / "images" / "cat.jpg").save(tmp_path / "x.jpg", progressive=True)
    target, whole = Target(97, 83, 3, "stretch", False), pixels(tmp_path / "x.jpg")
    rows = decode(str(tmp_path / "x.jpg"), target, keep_bytes=whole.size // 4).rows
    Image.fromarray(whole).save(tmp_path / "x.png")
    expected = decode(str(tmp_path / "x.png"), target, keep_bytes=whole.size // 4).rows
    assert all(rows.read(y) == expected.read(y) for y in range(83))


@pytest.mark.parametrize("case", ["yolov2-608-random-dog", "yolov3-tiny-giraffe", "yolov2-lite-coco-person"])
def test_the_networks_input_is_darknets(shared: Path, case: str) -> None:
    """Letterboxed, with what differs the rounding of a float32 or two: 1e-7 of a level's range."""
    theirs = np.load(shared / "golden" / f"{case}.npz")["input"]
    width, height = theirs.shape[2], theirs.shape[1]
    picture = decode(str(shared / "images" / f"{case.rpartition('-')[2]}.jpg"),
                     Target(width, height, 3, "letterbox", False), keep_bytes=250_000)
    across, down = letterbox_size(picture.width, picture.height, width, height)
    left, top = (width - across) // 2, (height - down) // 2
    ours = np.stack([np.frombuffer(picture.rows.read(y), np.float32) for y in range(down)])
    inside = theirs[:, top : top + down, left : left + across].transpose(1, 2, 0)
    assert np.abs(ours.reshape(down, across, 3) - inside).max() < 3e-7
