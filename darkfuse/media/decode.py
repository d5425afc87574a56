"""A picture file to RGB pixels, in no more memory than the caller can spare.

As in Darknet the pixels are taken as stored: EXIF orientation is ignored, transparency is dropped.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from darkfuse.errors import ImageError
from darkfuse.host.reading import open_regular

# First bytes of a file, and the Pillow class that reads it. Named here rather than through Image.open: that
# would import every format Pillow knows, some of which run other programs.
_FORMATS = (
    (b"\xff\xd8\xff", "JpegImagePlugin", "JpegImageFile"),
    (b"\x89PNG\r\n\x1a\n", "PngImagePlugin", "PngImageFile"),
    (b"BM", "BmpImagePlugin", "BmpImageFile"),
    (b"GIF8", "GifImagePlugin", "GifImageFile"),
    (b"RIFF", "WebPImagePlugin", "WebPImageFile"),
    (b"II*\0", "TiffImagePlugin", "TiffImageFile"),
    (b"MM\0*", "TiffImagePlugin", "TiffImageFile"),
    (b"P4", "PpmImagePlugin", "PpmImageFile"),
    (b"P5", "PpmImagePlugin", "PpmImageFile"),
    (b"P6", "PpmImagePlugin", "PpmImageFile"),
)
MAX_PIXELS = 1 << 28  # 1 GiB inside Pillow; a file claiming more is a mistake or an attack
_BAND = 1 << 18  # bytes copied at a time


class Picture(NamedTuple):
    """Pixels, interleaved.

    Attributes
    ----------
    width, height : int
        Of the pixels held here.
    pixels : bytearray or buffer
        (height, width, channels) uint8: RGB, or what the caller of `detect` gave, RGBA or grey.
    original_width, original_height : int
        Of the file; larger than `width` and `height` when the picture was brought to the network's size
        because there was no memory for more.
    channels : int
    """

    width: int
    height: int
    pixels: Any
    original_width: int
    original_height: int
    channels: int = 3


def decode(
    path: str,
    fit: tuple[int, int] | None = None,
    letterbox: bool = True,
    keep_bytes: int | None = None,
    work_bytes: int | None = None,
    aside: bool = False,
) -> Picture:
    """Read a picture file.

    Parameters
    ----------
    path : str
        JPEG, PNG, BMP, GIF (first frame), WebP, TIFF or binary PNM; told by content, not by name.
    fit : (width, height), optional
        The network's input. Needed for `keep_bytes` and `work_bytes` to have an effect.
    letterbox : bool
        Whether the picture will keep its aspect inside `fit`.
    keep_bytes : int, optional
        Most bytes of pixels to hand back. A picture that needs more is brought to the size it has inside the
        network, by Darknet's own bilinear rule: what the network sees differs by less than one grey level
        (unless `work_bytes` forces more).
    work_bytes : int, optional
        Most bytes to decode in. A JPEG that needs more is decoded at 1/2, 1/4 or 1/8 by its own transform,
        never below its size inside the network. Other formats cannot be decoded in parts and take what they
        need.
    aside : bool
        Decode in a short-lived process, so that this one does not grow by Pillow.

    Raises
    ------
    ImageError
        Missing, unreadable, not a picture, truncated, or too large.
    """
    path = os.fspath(path)
    job: dict[str, Any] = {"path": path, "fit": fit, "letterbox": letterbox, "keep_bytes": keep_bytes,
                           "work_bytes": work_bytes}
    if aside:
        from darkfuse.host.helper import call

        task, failed = "darkfuse.media.decode:pieces", f"{path}: cannot decode the picture"
        told, pixels = call(task, job, failed, ImageError)
    else:
        told, source = pieces(**job)
        pixels, at = bytearray(told["bytes"]), 0
        for band in source:
            pixels[at : at + len(band)] = band
            at += len(band)
    width, height, original_width, original_height = told["size"]
    return Picture(width, height, pixels, original_width, original_height)


def pieces(
    path: str, fit: tuple[int, int] | None, letterbox: bool, keep_bytes: int | None, work_bytes: int | None
) -> tuple[dict[str, Any], Iterator[bytes]]:
    """What `decode` does, wherever it does it: the sizes, then the pixels a few rows at a time."""
    with opened(path) as image:
        original = image.size
        image = shrunk(path, image, fit, letterbox, keep_bytes, work_bytes)
    width, height = image.size
    return {"size": (width, height, *original), "bytes": width * height * 3}, bands(image)


@contextmanager
def opened(path: str) -> Iterator[Any]:
    """The file as a Pillow image whose pixels are not read yet. Raises `ImageError`."""
    try:
        file = open_regular(path)
    except OSError as error:
        raise ImageError(f"{path}: cannot read the picture: {error.strerror or error}") from None
    with file:
        yield _recognised(path, file)


def _recognised(path: str, file: Any) -> Any:
    import importlib

    try:
        magic = file.read(12)
        file.seek(0)
    except OSError as error:
        raise ImageError(f"{path}: cannot read the picture: {error.strerror or error}") from None
    for first, module, name in _FORMATS:
        if not magic.startswith(first):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # metadata that does not change the pixels
                image = getattr(importlib.import_module("PIL." + module), name)(file)
        except Exception as error:  # plugins raise SyntaxError, OSError, struct.error, KeyError...
            raise ImageError(f"{path}: not a picture that can be read: {one_line(error)}") from None
        width, height = image.size
        if width < 1 or height < 1 or width * height > MAX_PIXELS:
            raise ImageError(f"{path}: {width}x{height} is outside the {MAX_PIXELS >> 20} million pixels "
                             "a picture may have; scale it down first")
        return image
    what = "the file is empty" if not magic else "not a JPEG, PNG, BMP, GIF, WebP, TIFF or binary PNM file"
    raise ImageError(f"{path}: {what}")


def shrunk(
    path: str,
    image: Any,
    fit: tuple[int, int] | None,
    letterbox: bool,
    keep_bytes: int | None,
    work_bytes: int | None,
) -> Any:
    """Decode an `opened` image to RGB within the bytes named (see `decode`)."""
    target = None
    if fit is not None:
        from darkfuse.detect.types import letterbox_size

        inside = letterbox_size(image.width, image.height, *fit) if letterbox else fit
        over = keep_bytes is not None and _pixels(image.size) * 3 > keep_bytes
        if over and _pixels(inside) < _pixels(image.size):
            target = inside
        if work_bytes is not None:
            reduce_jpeg(image, inside, work_bytes)
    image = rgb(path, image)
    if target is None:
        return image
    from PIL.Image import Resampling, Transform

    # Darknet's resize: corners on corners, two neighbours each way, nothing averaged when shrinking.
    # Pillow maps the middle of output pixel x to scale * (x + 0.5) + offset, minus half a pixel.
    across = (image.width - 1) / max(1, target[0] - 1)
    down = (image.height - 1) / max(1, target[1] - 1)
    shift = (across, 0, 0.5 - 0.5 * across, 0, down, 0.5 - 0.5 * down)
    return image.transform(target, Transform.AFFINE, shift, Resampling.BILINEAR)


def reduce_jpeg(image: Any, least: tuple[int, int], work_bytes: int) -> None:
    """Have an `opened` JPEG decode itself smaller: as little as fits `work_bytes`, never below `least`."""
    if image.format != "JPEG":
        return
    width, height = image.size
    # A progressive file's coefficients are held whole, 2 bytes each, whatever size comes out
    coefficients = 6 * width * height if image.info.get("progressive") else 0
    chosen = 1
    for scale in (1, 2, 4, 8):
        reduced = (-(-width // scale), -(-height // scale))
        if reduced[0] < least[0] or reduced[1] < least[1]:
            break
        chosen = scale
        if 4 * _pixels(reduced) + coefficients <= work_bytes:
            break
    if chosen > 1:
        image.draft("RGB", (max(1, width // chosen), max(1, height // chosen)))


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
        raise ImageError(f"{path}: not enough memory to decode {image.width}x{image.height} pixels") from None
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


def _pixels(size: tuple[int, int]) -> int:
    return size[0] * size[1]
