from __future__ import annotations

from typing import Any

FORMATS: tuple[str, ...]  # of 'jpeg' and 'png', those whose library was there when darkfuse was built

class Source:
    """Rows of a picture file, read without the rest of it in memory.

    Parameters
    ----------
    path : str
        How to call it in messages.
    descriptor : int
        Of the open file; it is copied, and read from its start.
    kind : str
        'jpeg', 'png', or 'raw': (height, width, 3) bytes and nothing else, of the size named.
    limit : int, optional
        Bytes the decoder may hold.
    width, height : int
        Of a raw one.
    as_stb : bool
        A JPEG's pixels are those stb_image, and so Darknet, makes of it; else libjpeg-turbo's, as Pillow and
        OpenCV have them. They differ by up to 3 levels of 255.

    Raises
    ------
    ImageError
        Here and in all methods: what is wrong with the file. `TooLarge` where the limit does not do; a higher
        one may be set and the method tried again.
    """

    path: str
    def __init__(self, path: str, descriptor: int, kind: str, limit: int | None = None, width: int = 0,
                 height: int = 0, as_stb: bool = False) -> None: ...
    @property
    def size(self) -> tuple[int, int]:
        """Width and height as stored."""
    @property
    def whole(self) -> bool:
        """Whether its format makes the decoder hold all of it: progressive JPEG, interlaced PNG."""
    @property
    def held(self) -> int:
        """Most bytes the decoder has held so far, or asked for."""
    def limit(self, bytes: int | None) -> None:
        """Set another limit."""
    def start(self) -> None:
        """Have the decoder take the memory it will need."""
    def band(self, orientation: int, top: int, bottom: int, into: Any) -> None:
        """Decode rows [top, bottom) of the upright picture, (rows, width, 3) bytes, `into` a buffer.

        Rows that follow the last ones read are read on; others, and all rows of a turned picture, are read
        from the file's start.
        """
    def rows(self, orientation: int, net: tuple[int, int, int], shape: str, centres: bool,
             bytes: int | None) -> Rows:
        """The picture scaled to a network of (width, height, channels), with `bytes` for rows at hand.

        `shape`: 'letterbox', 'stretch' or 'crop'; `centres`: as OpenCV scales, not as Darknet.
        """
    def close(self) -> None:
        """Let go of the decoder and the file."""

class Rows:
    """An upright picture scaled to a network's input, made while the engine asks for it; from `Source.rows`.

    The source reads for it alone as long as it is there.
    """

    capsule: Any
    net: tuple[int, int, int]
    @property
    def most(self) -> int:
        """Rows at hand at a time."""
    def prepare(self) -> None:
        """Make the first `most` rows; what is wrong with the file may show here."""
    def read(self, y: int) -> bytes:
        """Row `y` of the scaled picture, (columns inside the network, channels) float32."""
    def check(self) -> None:
        """Raise what went wrong meanwhile."""

class Sink:
    """A 'jpeg' or 'png' file being written to an open descriptor, which is copied. Raises `ImageError`."""

    path: str
    def __init__(self, path: str, descriptor: int, kind: str, width: int, height: int,
                 quality: int = 90) -> None: ...
    def write(self, rows: Any) -> None:
        """Append whole rows, (rows, width, 3) bytes."""
    def finish(self) -> None:
        """Write what comes after the last row."""
