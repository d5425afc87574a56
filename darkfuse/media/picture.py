"""What decoding gives back, and what it raises when there is not memory enough."""

from __future__ import annotations

from typing import Any, NamedTuple

from darkfuse.errors import ImageError


class TooLarge(ImageError):
    """A picture that cannot be decoded in the memory there is.

    `needed` bytes would do where there were `there`.
    """

    def __init__(self, path: str, size: tuple[int, int], needed: int, there: int = 0) -> None:
        width, height = size
        super().__init__(f"{path}: decoding {width}x{height} pixels takes {needed} bytes; there are {there}")
        self.path, self.width, self.height, self.needed, self.there = path, width, height, needed, there


class Picture(NamedTuple):
    """An upright picture: its pixels, or where they come from row by row.

    Attributes
    ----------
    width, height : int
        Of the picture as the network gets it.
    pixels : bytearray or buffer or None
        (height, width, channels) uint8: RGB, or what the caller of `detect` gave, RGBA or grey.
    original_width, original_height : int
        Of the file, upright; larger than `width` and `height` when the picture was reduced, as asked.
    channels : int
        Of `pixels`.
    rows : Rows or None
        The picture scaled to the network, made while it runs.
    """

    width: int
    height: int
    pixels: Any
    original_width: int
    original_height: int
    channels: int = 3
    rows: Any = None

    @property
    def reduced(self) -> bool:
        """Whether the network gets less than the file holds."""
        return (self.width, self.height) != (self.original_width, self.original_height)
