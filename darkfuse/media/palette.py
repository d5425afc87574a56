"""Colours of classes: eighty that differ, and a class keeps its own in every picture, film and page."""

from __future__ import annotations

# Farthest-point choice in OKLab (Ottosson, 2020) from colours neither dark, pale nor grey, from a red on:
# each is the one least like all before it, so that models with few classes get those that differ most.
_HEX = (
    "ff3c3c 0000ff 00ff00 006900 69b4ff d200ff 782d69 ffe1a5 96a52d 1e78a5 ff87e1 00ffff 965a1e 7869ff "
    "b469a5 ff962d 6900c3 ff00a5 c3005a 00d2a5 c3d200 009669 ffd2ff 960000 004bb4 a51eb4 00c300 a5ffa5 "
    "c3785a c378ff 005a69 9600ff 4ba5b4 f0a5a5 785a96 ff4bf0 f06996 697800 c3c387 5a2dff c3a5f0 0087f0 "
    "87d2e1 8787d2 c3ff00 c32d00 2df087 ffc33c 694b00 d23cc3 5a3c96 007869 2db469 005af0 a55a69 009600 "
    "874bd2 3c0fd2 f00069 a57800 a53c87 f0f069 783c3c 87b487 f06900 96e1b4 d2a500 d287c3 78d24b a5f0ff "
    "d24b5a 780096 5a69c3 2dc3d2 96004b 3c5a96 d29678 00e100 f0b4ff ff7869"
)
PALETTE = tuple((int(c[:2], 16), int(c[2:4], 16), int(c[4:], 16)) for c in _HEX.split())


def class_colour(class_id: int) -> tuple[int, int, int]:
    """RGB of a class, 0..255; from the eighty-first class on colours come again."""
    return PALETTE[class_id % len(PALETTE)]


def ink_on(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """Black or white, whichever reads better on a colour."""
    red, green, blue = colour
    return (0, 0, 0) if 299 * red + 587 * green + 114 * blue > 128_000 else (255, 255, 255)
