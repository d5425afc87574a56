"""Decoding: the same pixels in less memory, and one clear line for what is not a picture."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from darkfuse.detect.types import letterbox_size
from darkfuse.errors import ImageError
from darkfuse.media._rows import FORMATS, Source
from darkfuse.media.decode import Target, decode
from darkfuse.media.foreign import MAX_PIXELS
from darkfuse.media.header import exif_orientation
from darkfuse.media.picture import TooLarge

pytestmark = pytest.mark.skipif(len(FORMATS) < 2, reason="built without libjpeg or libpng")

PHOTOS = ("dog.jpg", "kite.jpg", "person.jpg")


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


@pytest.mark.parametrize("name", PHOTOS)
def test_jpeg_as_pillow_reads_it(shared: Path, name: str) -> None:
    path = shared / "images" / name
    picture = decode(str(path))
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


def turned(tmp_path: Path, noise: np.ndarray, value: int, kind: str) -> Path:
    """A file of `noise` that says how it was held."""
    exif = Image.Exif()
    exif[0x0112] = value
    path = tmp_path / f"turned.{kind}"
    Image.fromarray(noise).save(path, exif=exif, **({"lossless": True} if kind == "webp" else {}))
    return path


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("value", range(1, 9))
def test_orientation(tmp_path: Path, noise: np.ndarray, value: int, kind: str) -> None:
    path = turned(tmp_path, noise, value, kind)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
    assert np.array_equal(array(decode(str(path))), upright)
    if kind != "tif":  # Pillow turns these itself
        stored = decode(str(path), ignore_exif=True)
        assert (stored.width, stored.height) == (67, 45)


@pytest.mark.parametrize("exif", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff",
                                  b"MM\0*\0\0\0\x08\xff\xff" + b"\0" * 9,
                                  b"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\x09\0\0\0"])
def test_orientation_that_is_nonsense_turns_nothing(exif: bytes) -> None:
    assert exif_orientation(exif) == 1


NETS = [(416, 416), (608, 608), (101, 333)]


@pytest.mark.parametrize("shape", ["letterbox", "stretch", "crop"])
@pytest.mark.parametrize("value", range(1, 9))
def test_rows_are_the_same_however_many_are_at_hand(
    tmp_path: Path, noise: np.ndarray, value: int, shape: str
) -> None:
    """Rows from the top, from the bottom, and here and there, from blocks of every size."""
    path = turned(tmp_path, noise, value, "png")
    for net in ((33, 20, 3), (20, 50, 1), (90, 120, 4)):
        for centres in (False, True):
            with open(path, "rb") as file:
                source = Source(str(path), file.fileno(), "png")
            whole = source.rows(value, net, shape, centres, None)
            visible = range(whole.most)
            expected = [whole.read(y) for y in visible]
            del whole
            for room in (1, 3000, 9000):
                rows = source.rows(value, net, shape, centres, room)
                order = [*visible, *reversed(visible), *visible[::7], *visible[3::5]]
                assert all(rows.read(y) == expected[y] for y in order)
                del rows


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("shape", ["letterbox", "stretch"])
@pytest.mark.parametrize("name", PHOTOS)
def test_rows_are_darknets_resize(shared: Path, name: str, net: tuple[int, int], shape: str) -> None:
    path = str(shared / "images" / name)
    whole = array(decode(path, as_stb=True)).astype(np.float32) / np.float32(255)
    height, width, _ = whole.shape
    inside = letterbox_size(width, height, *net) if shape == "letterbox" else net
    small = decode(path, Target(*net, 3, shape, False), keep_bytes=250_000)
    assert small.pixels is None and (small.width, small.height) == (width, height)
    exact = darknet_resize(whole, *inside)
    got = np.stack([np.frombuffer(small.rows.read(y), np.float32) for y in range(inside[1] - 1)])
    assert np.abs(got.reshape(-1, inside[0], 3) - exact[:-1]).max() < 1e-4


def test_a_progressive_picture_goes_through_a_file(tmp_path: Path, shared: Path) -> None:
    path = tmp_path / "p.jpg"
    Image.open(shared / "images" / "kite.jpg").save(path, progressive=True, quality=95)
    target = Target(416, 416, 3, "letterbox", False)
    with open(path, "rb") as file:
        straight = Source(str(path), file.fileno(), "jpeg", as_stb=True)
        assert straight.whole
        rows = straight.rows(1, (416, 416, 3), "letterbox", False, None)
        expected = [rows.read(y) for y in range(rows.most)]
    short = decode(str(path), target, keep_bytes=200_000)
    assert [short.rows.read(y) for y in range(len(expected))] == expected
    with pytest.raises(TooLarge) as raised:
        decode(str(path), target, 200_000, lambda helper, emptied: 1_000_000)
    enough = raised.value.needed
    assert 1352 * 900 * 3 < enough < 1352 * 900 * 8
    decode(str(path), target, 200_000, lambda helper, emptied: enough)


def test_no_folder_for_what_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.png"
    Image.new("RGB", (640, 480)).save(path)
    with Image.open(path) as image:
        image.save(tmp_path / "p.bmp")
    monkeypatch.setattr("darkfuse.host.nameless._FOLDERS", ())
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    with pytest.raises(ImageError, match="set TMPDIR to one"):
        decode(str(tmp_path / "p.bmp"), Target(416, 416, 3, "letterbox", False), 100_000)


def test_decoding_keeps_this_process_small(shared: Path, tmp_path: Path) -> None:
    code = """
import sys
from darkfuse.media.decode import decode, Target
from darkfuse.host.process import rss_bytes, peak_rss_bytes
import darkfuse.host.helper, darkfuse.media._rows
before = rss_bytes()
picture = decode(sys.argv[1], Target(416, 416, 3, "letterbox", False), 500_000)
for y in range(100):
    picture.rows.read(y)
print(peak_rss_bytes() - before, any(name.startswith("PIL") for name in sys.modules))
"""
    large = tmp_path / "12mp.jpg"
    Image.open(shared / "images" / "kite.jpg").resize((4000, 3000)).save(large, quality=90)
    for path in (large, shared / "images" / "kite.jpg"):
        run = subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True,
                             text=True)
        grown, has_pillow = run.stdout.split()
        assert has_pillow == "False"
        assert int(grown) < 2 << 20


def test_inks_and_sixteen_bits(tmp_path: Path, noise: np.ndarray) -> None:
    smooth = Image.fromarray(noise).resize((200, 150), Image.Resampling.BICUBIC)
    path = tmp_path / "x.jpg"
    smooth.convert("CMYK").save(path, quality=95)
    assert np.array_equal(array(decode(str(path))), np.asarray(Image.open(path).convert("RGB")))
    smooth.convert("L").save(path)
    assert np.array_equal(array(decode(str(path))), np.asarray(Image.open(path).convert("RGB")))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (b"hello, I am a text\n", "not a JPEG, PNG"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 20, "not a picture that can be read"),
        (b"\x89PNG\r\n\x1a\n" + b"rubbish" * 9, "not a picture that can be read"),
    ],
)
def test_not_a_picture(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError) as raised:
        decode(str(path))
    assert str(raised.value).startswith(f"{path}: ") and says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_missing_and_folder(tmp_path: Path) -> None:
    for path, says in ((tmp_path / "none.jpg", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ImageError, match=says):
            decode(str(path))


def test_truncated(shared: Path, tmp_path: Path) -> None:
    whole = (shared / "images" / "dog.jpg").read_bytes()
    path = tmp_path / "half.jpg"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError, match=r"half\.jpg: the picture is damaged"):
        decode(str(path))


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


def bomb(kind: str, tmp_path: Path) -> Path:
    """A small file that claims 10,000 by 10,000 pixels and has them, more or less."""
    path = tmp_path / f"bomb.{kind}"
    Image.new("1" if kind == "png" else "L", (10_000, 10_000)).save(path)
    return path


@pytest.mark.parametrize("kind", ["gif", "webp", "tif", "bmp"])
def test_bombs_are_refused_before_they_take_anything(tmp_path: Path, kind: str) -> None:
    with pytest.raises(TooLarge) as raised:
        decode(str(bomb(kind, tmp_path)), None, None, lambda helper, emptied: 20 << 20)
    assert raised.value.needed > 100 << 20


def test_a_wide_bomb_comes_as_rows(tmp_path: Path) -> None:
    path = bomb("png", tmp_path)
    assert path.stat().st_size < 100_000
    rows = decode(str(path), Target(416, 416, 3, "letterbox", False), 1 << 20).rows
    assert rows.read(0) == bytes(416 * 3 * 4)


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
            picture = decode(str(path), Target(100, 100, 3, "letterbox", False), keep_bytes=90_000)
            if picture.pixels is not None:
                assert len(picture.pixels) == picture.width * picture.height * 3
            else:
                for y in range(0, letterbox_size(picture.width, picture.height, 100, 100)[1], 9):
                    picture.rows.read(y)
        except ImageError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 0
