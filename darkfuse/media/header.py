"""What a picture file's first bytes tell: its format, and which way up it is to be seen."""

from __future__ import annotations

from typing import IO

from darkfuse.errors import ImageError

# First bytes of a file, and what it is
_MAGIC = (
    (b"\xff\xd8\xff", "jpeg"), (b"\x89PNG\r\n\x1a\n", "png"), (b"BM", "bmp"), (b"GIF8", "gif"),
    (b"RIFF", "webp"), (b"II*\0", "tiff"), (b"MM\0*", "tiff"), (b"P4", "ppm"), (b"P5", "ppm"), (b"P6", "ppm"),
)
_MOST_SEGMENTS = 1000  # looked at before the pixels
_MOST_EXIF = 1 << 16  # bytes; what JPEG can hold of it in one piece
_ORIENTATION, _SHORT = 0x0112, 3


def format_of(path: str, file: IO[bytes]) -> str:
    """The format of an open file, by content: 'jpeg', 'png', 'bmp', 'gif', 'webp', 'tiff' or 'ppm'.

    Raises `ImageError` when it is none of them or cannot be read.
    """
    try:
        magic = file.read(12)
        file.seek(0)
    except OSError as error:
        raise ImageError(f"{path}: cannot read the picture: {error.strerror or error}") from None
    for first, name in _MAGIC:
        if magic.startswith(first):
            return name
    what = "the file is empty" if not magic else "not a JPEG, PNG, BMP, GIF, WebP, TIFF or binary PNM file"
    raise ImageError(f"{path}: {what}")


def orientation(file: IO[bytes], kind: str) -> int:
    """EXIF's orientation, 1 (upright) to 8, of an open JPEG or PNG; 1 when it has none that makes sense."""
    try:
        exif = _jpeg_exif(file) if kind == "jpeg" else _png_exif(file)
    except OSError:
        return 1
    finally:
        file.seek(0)
    return exif_orientation(exif)


def exif_orientation(exif: bytes) -> int:
    """The same from an EXIF block, a TIFF file in small (Exif 2.32, 4.6.2)."""
    order = {b"II*\0": "little", b"MM\0*": "big"}.get(exif[:4])
    if order is None:
        return 1

    def number(at: int, size: int) -> int:
        return int.from_bytes(exif[at : at + size], order)  # type: ignore[arg-type]

    table = number(4, 4)
    for at in range(table + 2, table + 2 + 12 * min(number(table, 2), 1000), 12):
        if at + 12 > len(exif):
            break
        if number(at, 2) == _ORIENTATION:
            value = number(at + 8, 2) if number(at + 2, 2) == _SHORT else 0
            return value if 1 <= value <= 8 else 1
    return 1


def _jpeg_exif(file: IO[bytes]) -> bytes:
    file.seek(2)
    for _ in range(_MOST_SEGMENTS):
        mark = file.read(2)
        while mark[:1] == b"\xff" and mark[1:] == b"\xff":  # bytes to fill up
            mark = mark[1:] + file.read(1)
        if len(mark) < 2 or mark[0] != 0xFF or mark[1] in (0xD9, 0xDA):  # the end; pixels
            break
        if mark[1] == 0x01 or 0xD0 <= mark[1] <= 0xD8:  # stand alone
            continue
        size = int.from_bytes(file.read(2), "big") - 2
        if mark[1] == 0xE1 and size > 6:
            data = file.read(size)
            if data.startswith(b"Exif\0\0"):
                return data[6:]
        else:
            file.seek(max(size, 0), 1)
    return b""


def _png_exif(file: IO[bytes]) -> bytes:
    file.seek(8)
    for _ in range(_MOST_SEGMENTS):
        head = file.read(8)
        size = int.from_bytes(head[:4], "big")
        if len(head) < 8 or head[4:] in (b"IDAT", b"IEND"):
            break
        if head[4:] == b"eXIf" and size <= _MOST_EXIF:
            return file.read(size)
        file.seek(size + 4, 1)
    return b""
