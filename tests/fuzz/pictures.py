"""Pictures: seeds in every format and mode read, and decoding in this process, whole and row by row.

What runs in the helper process (`foreign`) is called here, where no process has to be started for it.
"""

from __future__ import annotations

import io
import zlib

from darkfuse.host.reading import open_regular
from darkfuse.media import foreign
from darkfuse.media.decode import Target, decode, native

ROOM = 8 << 20  # bytes a decoder may take here
SIZE = (24, 18)
PNG = b"\x89PNG\r\n\x1a\n"
WORDS = (b"\xff\xd8\xff", b"\xff\xda", b"\xff\xc4", b"\xff\xc0", b"\xff\xc2", b"\xff\xdd\0\4",
         b"\xff\xee\0\x0eAdobe", PNG, b"\xff\xff\xff\xff", b"\0\0\0\0", b"IHDR", b"IDAT",
         b"PLTE", b"tRNS", b"eXIf", b"VP8X", b"VP8 ", b"\x21\xf9\4", b"\x2c", b"65535 ", b"P6 ", b"II*\0")


def seeds() -> list[bytes]:
    """Small pictures with something in them."""
    from PIL import Image

    photo = Image.effect_mandelbrot(SIZE, (-2, -1, 1, 1), 40)
    colour = Image.merge("RGB", (photo, photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT), photo))
    exif = Image.Exif()
    exif[0x0112] = 6
    ways = {
        "JPEG": (("RGB", {}), ("RGB", {"progressive": True}), ("L", {}), ("CMYK", {}),
                 ("RGB", {"exif": exif}), ("RGB", {"subsampling": 0, "restart_marker_blocks": 1}),
                 ("RGB", {"optimize": True})),
        "PNG": (("RGB", {}), ("L", {}), ("P", {}), ("1", {}), ("RGBA", {}), ("LA", {}), ("I;16", {}),
                ("P", {"transparency": 0}), ("RGB", {"exif": exif})),
        "BMP": (("RGB", {}), ("L", {}), ("P", {}), ("1", {})),
        "GIF": (("P", {}), ("L", {"interlace": 1}), ("P", {"transparency": 0})),
        "WEBP": (("RGB", {}), ("RGBA", {"lossless": True}), ("RGB", {"exif": exif})),
        "TIFF": (("RGB", {}), ("L", {"compression": "tiff_lzw"}), ("RGB", {"compression": "packbits"}),
                 ("P", {"compression": "tiff_deflate"}), ("1", {"compression": "group4"}), ("I;16", {}),
                 ("RGB", {"compression": "jpeg"})),
        "PPM": (("RGB", {}), ("L", {}), ("1", {}), ("I;16", {})),
    }
    found = []
    for kind, modes in ways.items():
        for mode, options in modes:
            data = io.BytesIO()
            image = colour.convert("L").convert("I;16") if mode == "I;16" else colour.convert(mode)
            image.save(data, kind, **options)
            found.append(data.getvalue())
    return [*found, interlaced(png=found[7])]


def interlaced(png: bytes) -> bytes:
    """A PNG whose header says, wrongly, that it is interlaced."""
    data = bytearray(png)
    data[28] = 1
    return repaired(bytes(data))


def repaired(data: bytes) -> bytes:
    """A PNG with the check sums its chunks should have: else nothing changed would get past them."""
    out, at = bytearray(data), 8
    while at + 12 <= len(out):
        size = int.from_bytes(out[at : at + 4], "big")
        end = at + 8 + size
        if end + 4 > len(out):
            break
        out[end : end + 4] = zlib.crc32(out[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(out)


def prepared(data: bytes) -> bytes:
    """What is written to the file: every other PNG is repaired."""
    return repaired(data) if data.startswith(PNG) and len(data) % 2 else data


def read(path: str) -> object:
    """Decode as `detect` does: all of it, then in little memory, where rows come one by one or from disk."""
    with open_regular(path) as file:
        source = native(path, file)
    if source is None:
        with foreign.opened(path) as image:
            if foreign.needed(image) > ROOM:
                return None
            return foreign.turned(image), sum(map(len, foreign.bands(foreign.rgb(path, image))))
    across, down = source.size
    source.close()
    if across * down * 3 > ROOM:
        return None
    decode(path)
    picture = decode(path, Target(16, 16, 3, "letterbox", False), 3 << 14, lambda _helper, _emptied: ROOM)
    if picture.rows is not None:
        picture.rows.read(0)
        picture.rows.check()
    return picture.width
