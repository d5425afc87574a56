"""Inputs near those there are: bytes changed, cut, doubled, spliced, and words of the format put in."""

from __future__ import annotations

import random


def mutated(draw: random.Random, pool: list[bytes], words: tuple[bytes, ...], limit: int) -> bytes:
    """One of `pool`, changed in one to eight places."""
    data = bytearray(draw.choice(pool))
    for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
        at = draw.randrange(len(data) + 1)
        way = draw.randrange(8)
        if way == 0 and data:
            data[at % len(data)] ^= 1 << draw.randrange(8)
        elif way == 1 and data:
            data[at % len(data)] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))
        elif way == 2:
            del data[at: at + draw.choice((1, 1, 4, 40))]
        elif way == 3:
            data[at:at] = data[at: at + draw.choice((1, 4, 40, 400))]
        elif way == 4 and words:
            data[at:at] = draw.choice(words)
        elif way == 5 and words:
            word = draw.choice(words)
            data[at: at + len(word)] = word
        elif way == 6:
            other = draw.choice(pool)
            data[at:] = other[draw.randrange(len(other) + 1):]
        else:
            del data[at:]
    return bytes(data[:limit])
