"""Formats Pillow reads for us, in a process of its own that is held to the memory named.

BMP, GIF (first frame), WebP (first frame), TIFF and binary PNM; JPEG and PNG too where darkfuse was built
without their libraries. Pillow decodes a picture whole.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from darkfuse.errors import ImageError
from darkfuse.host.reading import open_regular
from darkfuse.media.header import format_of

# The Pillow class of each format. Named here rather than through Image.open: that would import every format
# Pillow knows, some of which run other programs.
_CLASSES = {
    "jpeg": ("JpegImagePlugin", "JpegImageFile"), "png": ("PngImagePlugin", "PngImageFile"),
    "bmp": ("BmpImagePlugin", "BmpImageFile"), "gif": ("GifImagePlugin", "GifImageFile"),
    "webp": ("WebPImagePlugin", "WebPImageFile"), "tiff": ("TiffImagePlugin", "TiffImageFile"),
    "ppm": ("PpmImagePlugin", "PpmImageFile"),
}
MAX_PIXELS = 1 << 28  # 1 GiB inside Pillow; a file claiming more is a mistake or an attack
_BAND = 1 << 16  # bytes copied at a time
# Bytes a pixel takes while it is decoded, by mode; in other modes than RGB there is an RGB copy besides
_MODE_BYTES = {"1": 1, "L": 1, "P": 1, "LA": 4, "I;16": 2, "I;16B": 2, "I;16L": 2}
_WEBP_BYTES = 20  # two canvases and a copy inside libwebp, and what Pillow makes of them
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257  # tags
ROOM = 1 << 18  # beside the pixels


def pieces(path: str, limit: int | None, reduce: int = 1) -> tuple[dict[str, Any], Iterator[bytes]]:
    """Decode, as a job for `helper.call`.

    Parameters
    ----------
    path : str
    limit : int or None
        Bytes the process may grow by.
    reduce : int
        Have a JPEG decode itself at a half, a quarter or an eighth of its size.

    Returns
    -------
    answer : dict
        `size`: width and height as decoded; `original`: as in the file; `orientation`: EXIF's; `bytes`: of
        the pixels. Where the limit does not do: `needed`, bytes that would, and no pixels.
    pixels : iterator of bytes
        (rows, width, 3) uint8 RGB, as stored, a few rows at a time.
    """
    with opened(path) as image:
        original = width, height = image.size
        if reduce > 1 and image.format == "JPEG":
            image.draft("RGB", (max(1, width // reduce), max(1, height // reduce)))
        answer = {"size": image.size, "original": original, "bytes": 0}
        need = needed(image)
        if limit is not None and need > limit:
            return {**answer, "needed": need}, iter(())
        if limit is not None:
            from darkfuse.host.process import limit_growth

            limit_growth(limit + ROOM)
        try:
            pixels = rgb(path, image)
        except MemoryError:
            return {**answer, "needed": max(need, limit or 0) * 3 // 2}, iter(())
        width, height = pixels.size
        if image.format == "TIFF":  # turned upright by Pillow, as its format demands of every reader
            answer.update(original=pixels.size, orientation=1)
        else:
            answer["orientation"] = turned(image)
    return {**answer, "size": pixels.size, "bytes": width * height * 3}, bands(pixels)


def size(path: str) -> tuple[dict[str, Any], Iterator[bytes]]:
    """`size` and `orientation` of `pieces`, from the file's first bytes, as a job for `helper.call`."""
    with opened(path) as image:
        stored = image.size
        if image.format == "TIFF":  # some versions of Pillow have turned its size, but not yet its pixels
            stored = image.tag_v2[_TIFF_WIDTH], image.tag_v2[_TIFF_HEIGHT]
            return {"size": stored if turned(image) < 5 else stored[::-1], "orientation": 1}, iter(())
        return {"size": stored, "orientation": turned(image)}, iter(())


def needed(image: Any) -> int:
    """Bytes decoding an `opened` image takes at most."""
    width, height = image.size
    if image.format == "WEBP":
        each = _WEBP_BYTES
    else:
        each = _MODE_BYTES.get(image.mode, 4) + (0 if image.mode == "RGB" else 4)
        if image.mode == "P" and "transparency" in image.info:
            each += 4
        if image.format == "JPEG" and image.info.get("progressive"):
            each += 6  # coefficients, 2 bytes each
        if image.format == "TIFF":
            each += 4  # a strip can be all of it
    return int(width * height * each + ROOM)


def turned(image: Any) -> int:
    """EXIF's orientation of an `opened` image, 1 where there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = image.getexif().get(0x0112, 1)
    except Exception:  # metadata that is broken turns nothing
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


@contextmanager
def opened(path: str) -> Iterator[Any]:
    """The file as a Pillow image whose pixels are not read yet. Raises `ImageError`."""
    try:
        file = open_regular(path)
    except OSError as error:
        raise ImageError(f"{path}: cannot read the picture: {error.strerror or error}") from None
    with file:
        yield _image(path, file)


def _image(path: str, file: IO[bytes]) -> Any:
    module, name = _CLASSES[format_of(path, file)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # metadata that does not change the pixels
            image = getattr(importlib.import_module("PIL." + module), name)(file)
    except Exception as error:  # plugins raise SyntaxError, OSError, struct.error, KeyError...
        raise ImageError(f"{path}: not a picture that can be read: {one_line(error)}") from None
    check_size(path, *image.size)
    return image


def check_size(path: str, width: int, height: int) -> None:
    """Raise `ImageError` for a size no picture has."""
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise ImageError(f"{path}: {width}x{height} is outside the {MAX_PIXELS >> 20} million pixels "
                         "a picture may have; scale it down first")


def rgb(path: str, image: Any) -> Any:
    """The image decoded, as RGB. Raises `ImageError` when the file breaks off or holds nonsense."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image.load()
            if image.mode.startswith("I;16"):  # 16-bit grey: the high byte, as stb_image has it
                image = image.convert("I").point(lambda level: level / 256).convert("L")
            if image.mode == "P" and "transparency" in image.info:
                image = image.convert("RGBA")
            return image if image.mode == "RGB" else image.convert("RGB")
    except MemoryError:
        raise
    except Exception as error:  # as above: each plugin has its own ways to fail on a broken file
        raise ImageError(f"{path}: the picture is damaged: {one_line(error)}") from None


def bands(image: Any) -> Iterator[bytes]:
    """The RGB image as (rows, width, 3) bytes, a few rows at a time.

    Pillow holds 4 bytes a pixel and its `tobytes` holds the result twice while it joins the pieces.
    """
    width, height = image.size
    rows = max(1, _BAND // (width * 3))
    for top in range(0, height, rows):
        yield image.crop((0, top, width, min(height, top + rows))).tobytes()


def one_line(error: BaseException) -> str:
    """An exception's text without line breaks, or its type when it has none."""
    return " ".join(str(error).split()) or type(error).__name__
