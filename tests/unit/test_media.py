"""Decoding and drawing: the same pixels in less memory, and one clear line for what is not a picture."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from darkfuse.detect.types import letterbox_size
from darkfuse.errors import DarkfuseError, ImageError
from darkfuse.media.decode import MAX_PIXELS, decode
from darkfuse.media.draw import draw
from darkfuse.media.palette import class_colour

PHOTOS = ("dog.jpg", "kite.jpg", "person.jpg")


def size_of(path: Path | str) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def array(picture) -> np.ndarray:
    return np.frombuffer(picture.pixels, np.uint8).reshape(picture.height, picture.width, 3)


def darknet_resize(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Darknet's `resize_image`: corners on corners, across first, then down."""

    def line(size_in: int, size_out: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        at = np.arange(size_out) * ((size_in - 1) / max(1, size_out - 1))
        low = np.minimum(at.astype(int), size_in - 1)
        return low, np.minimum(low + 1, size_in - 1), at - low

    a, b, part = line(pixels.shape[1], width)
    wide = pixels[:, a] * (1 - part)[None, :, None] + pixels[:, b] * part[None, :, None]
    a, b, part = line(pixels.shape[0], height)
    return wide[a] * (1 - part)[:, None, None] + wide[b] * part[:, None, None]


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (45, 67, 3), np.uint8)


@pytest.mark.parametrize("aside", [False, True])
@pytest.mark.parametrize("name", PHOTOS)
def test_jpeg_as_pillow_reads_it(shared: Path, name: str, aside: bool) -> None:
    path = shared / "images" / name
    picture = decode(str(path), aside=aside)
    assert np.array_equal(array(picture), np.asarray(Image.open(path).convert("RGB")))
    assert (picture.original_width, picture.original_height) == (picture.width, picture.height)


@pytest.mark.parametrize("kind", ["png", "bmp", "gif", "webp", "tif", "ppm"])
def test_formats_told_by_content(tmp_path: Path, noise: np.ndarray, kind: str) -> None:
    path = tmp_path / f"right.{kind}"
    image = Image.fromarray(noise)
    image.save(path, **({"lossless": True} if kind == "webp" else {}))
    wrong = tmp_path / "wrong.jpg"
    path.rename(wrong)
    picture = decode(str(wrong))
    expected = (
        np.asarray(image.quantize(256, Image.Quantize.MEDIANCUT).convert("RGB")) if kind == "gif" else noise
    )
    if kind == "gif":  # 256 colours at best
        assert picture.width == 67 and np.abs(array(picture) - expected.astype(int)).mean() < 30
    else:
        assert np.array_equal(array(picture), expected)


def test_other_modes_become_rgb(tmp_path: Path, noise: np.ndarray) -> None:
    path = tmp_path / "x.png"
    Image.fromarray(np.dstack([noise, noise[..., :1]])).save(path)  # transparency is dropped, not blended
    assert np.array_equal(array(decode(str(path))), noise)
    Image.fromarray(noise[..., 0]).save(path)
    assert np.array_equal(array(decode(str(path))), np.repeat(noise[..., :1], 3, 2))
    Image.fromarray(noise[..., 0].astype(np.uint16) * 256 + 255).save(path)  # 16 bits: the high byte
    assert np.array_equal(array(decode(str(path))), np.repeat(noise[..., :1], 3, 2))


def test_orientation_is_ignored(tmp_path: Path, noise: np.ndarray) -> None:
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise).save(path, exif=exif)
    picture = decode(str(path))
    assert (picture.width, picture.height) == (67, 45)


@pytest.mark.parametrize("net", [(416, 416), (608, 608), (101, 333)])
@pytest.mark.parametrize("letterbox", [True, False])
@pytest.mark.parametrize("name", PHOTOS)
def test_short_of_memory_is_darknets_resize(
    shared: Path, name: str, net: tuple[int, int], letterbox: bool
) -> None:
    path = str(shared / "images" / name)
    whole, small = decode(path), decode(path, net, letterbox, keep_bytes=1)
    inside = letterbox_size(whole.width, whole.height, *net) if letterbox else net
    if inside[0] * inside[1] >= whole.width * whole.height:
        inside = (whole.width, whole.height)
    assert (small.width, small.height) == inside
    assert (small.original_width, small.original_height) == (whole.width, whole.height)
    exact = darknet_resize(array(whole).astype(float), *inside)
    assert np.abs(array(small) - exact).max() < 1.001


def test_jpeg_scaled_by_its_own_transform(shared: Path) -> None:
    path = str(shared / "images" / "kite.jpg")  # 1352 x 900
    half = decode(path, (416, 416), work_bytes=4 * 676 * 450)
    assert (half.width, half.height, half.original_width) == (676, 450, 1352)
    least = decode(path, (416, 416), work_bytes=1)
    assert (least.width, least.height) == (676, 450)  # a quarter would be below the network's 416
    assert decode(path, (300, 300), work_bytes=1).width == 338


def test_decoding_aside_keeps_this_process_small(shared: Path) -> None:
    code = """
import sys
from darkfuse.media.decode import decode
from darkfuse.host.process import rss_bytes
import darkfuse.host.helper
before = rss_bytes()
picture = decode(sys.argv[1], aside=True)
print(rss_bytes() - before - len(picture.pixels), any(name.startswith("PIL") for name in sys.modules))
"""
    run = subprocess.run(
        [sys.executable, "-c", code, str(shared / "images" / "kite.jpg")],
        check=True,
        capture_output=True,
        text=True,
    )
    grown, has_pillow = run.stdout.split()
    assert has_pillow == "False"
    assert int(grown) < 1 << 20


@pytest.mark.parametrize("aside", [False, True])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (b"hello, I am a text\n", "not a JPEG, PNG"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 20, "not a picture that can be read"),
        (b"\x89PNG\r\n\x1a\n" + b"rubbish" * 9, "not a picture that can be read"),
    ],
)
def test_not_a_picture(tmp_path: Path, content: bytes, says: str, aside: bool) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError) as raised:
        decode(str(path), aside=aside)
    assert str(raised.value).startswith(f"{path}: ") and says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_missing_and_folder(tmp_path: Path) -> None:
    for path, says in ((tmp_path / "none.jpg", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ImageError, match=says):
            decode(str(path))


@pytest.mark.parametrize("aside", [False, True])
def test_truncated(shared: Path, tmp_path: Path, aside: bool) -> None:
    whole = (shared / "images" / "dog.jpg").read_bytes()
    path = tmp_path / "half.jpg"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError, match=r"half\.jpg: the picture is damaged"):
        decode(str(path), aside=aside)


def test_absurd_size_is_refused_before_any_memory_is_taken(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    side = 100_000
    assert side * side > MAX_PIXELS
    path = tmp_path / "bomb.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + chunk(b"IEND", b"")
    )
    with pytest.raises(ImageError, match="100000x100000 is outside"):
        decode(str(path))


def test_dead_helper_is_reported(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ImageError, match=r"cannot decode the picture: .* status 1"):
        decode(str(shared / "images" / "dog.jpg"), aside=True)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(DarkfuseError, match="cannot start /nowhere/python"):
        decode(str(shared / "images" / "dog.jpg"), aside=True)


def test_no_descriptor_or_child_is_left(shared: Path, tmp_path: Path) -> None:
    broken = tmp_path / "x.jpg"
    broken.write_bytes(b"no")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        decode(str(shared / "images" / "dog.jpg"), aside=True)
        with pytest.raises(ImageError):
            decode(str(broken), aside=True)
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


MARKS = [(16, "dog 57%", 0.2, 0.4, 0.6, 0.9), (1, "bicycle 99%", 0.1, 0.1, 0.5, 0.5)]


@pytest.mark.parametrize("aside", [False, True])
def test_draws_frame_and_label_in_the_class_colour(tmp_path: Path, aside: bool) -> None:
    source = tmp_path / "grey.png"
    Image.new("RGB", (400, 300), (90, 90, 90)).save(source)
    out = draw(str(source), MARKS, str(tmp_path / "out.png"), aside=aside)
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


def test_drawing_in_little_memory_scales_the_jpeg(tmp_path: Path, shared: Path) -> None:
    out = draw(str(shared / "images" / "kite.jpg"), MARKS, str(tmp_path / "small"), work_bytes=2_000_000)
    assert size_of(out) == (676, 450)


def test_colours_are_steady_and_apart() -> None:
    colours = [class_colour(i) for i in range(80)]
    assert colours == [class_colour(i) for i in range(80)]
    assert len(set(colours)) == 80
    assert class_colour(80) == class_colour(0)


def test_progressive_jpeg(tmp_path: Path) -> None:
    smooth = np.linspace(0, 255, 800 * 600 * 3).reshape(600, 800, 3).astype(np.uint8)
    kept = io.BytesIO()
    Image.fromarray(smooth).save(kept, "JPEG", progressive=True, quality=95)
    path = tmp_path / "p.jpg"
    path.write_bytes(kept.getvalue())
    # its coefficients alone are 2.9 MB, so a budget that holds a plain one of this size does not hold this
    assert decode(str(path), (200, 200), work_bytes=3_000_000).width < 800
    assert decode(str(path), (200, 200), work_bytes=5_000_000).width == 800


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM"])
def test_spoilt_files_decode_or_are_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    kept = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").resize((160, 120)).save(kept, kind)
    whole, path = kept.getvalue(), tmp_path / "spoilt"
    pick = np.random.default_rng(7)
    refused = 0
    for _ in range(60):
        spoilt = bytearray(whole)
        for at in pick.integers(0, pick.choice([min(200, len(whole)), len(whole)]), pick.choice([1, 3, 20])):
            spoilt[at] = pick.integers(256)
        if pick.random() < 0.2:
            del spoilt[pick.integers(len(spoilt)) :]
        path.write_bytes(spoilt)
        try:
            picture = decode(str(path), (100, 100), keep_bytes=20_000, work_bytes=50_000)
            assert len(picture.pixels) == picture.width * picture.height * 3
        except ImageError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 0
