"""Lifetimes to offsets: where each buffer lies in the one arena.

Nothing here knows what the blocks are for. Two blocks may share bytes if and only if their lifetimes do not
meet. Finding the smallest arena is NP-hard (dynamic storage allocation); placing by size into the best gap,
then moving what lies under the top about in the order of placing, ends at or near the lower bound for
networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Tuple

ALIGN = 64  # bytes: a cache line, and the widest vector register


class Block(NamedTuple):
    """Bytes alive from step `first` to step `last`, both included."""

    bytes: int
    first: int
    last: int


@dataclass(frozen=True)
class Packing:
    """Offsets in bytes, the arena's size, and the least any packing could have."""

    offsets: Tuple[int, ...]
    bytes: int
    bound: int


def aligned(size: int) -> int:
    """Round a size up to `ALIGN`."""
    return -(-size // ALIGN) * ALIGN


def lower_bound(blocks: Sequence[Block]) -> int:
    """Most bytes alive at once: no packing can be smaller."""
    events: list[tuple[int, int]] = []
    for block in blocks:
        if block.bytes:
            events.append((block.first, aligned(block.bytes)))
            events.append((block.last + 1, -aligned(block.bytes)))
    live = most = 0
    for _, change in sorted(events):  # at one step, what ends comes before what begins
        live += change
        most = max(most, live)
    return most


def pack(blocks: Sequence[Block], rounds: int = 120, enough: int = 0) -> Packing:
    """Place blocks so that no two alive at the same time overlap.

    Parameters
    ----------
    blocks : sequence of Block
        Sizes in bytes; offsets returned are multiples of `ALIGN`.
    rounds : int
        Improvements to try at most; the search ends early when the lower bound is met. The result depends
        on the arguments alone.
    enough : int
        Bytes the search may stop at.

    Raises
    ------
    ValueError
        A block with a negative size, or one that ends before it begins.
    """
    for block in blocks:
        if block.bytes < 0 or block.last < block.first:
            raise ValueError(f"no block: {block}")
    bound = lower_bound(blocks)
    start = min((b.first for b in blocks), default=0)
    end = max((b.last for b in blocks), default=0)
    goal = max(bound, enough)
    offsets = [0] * len(blocks)
    floor = 0
    rest: list[int] = []
    for number, block in enumerate(blocks):
        if block.first == start and block.last == end:  # never shares with anything: at the bottom, in a row
            offsets[number] = floor
            floor += aligned(block.bytes)
        elif block.bytes:
            rest.append(number)
    if not rest:
        return Packing(tuple(offsets), floor, bound)

    def size(number: int) -> int:
        return blocks[number].bytes

    def life(number: int) -> int:
        return blocks[number].last - blocks[number].first + 1

    sizes = {n: aligned(size(n)) for n in rest}
    near = _neighbours(blocks, rest)
    beside = {n: set(others) for n, others in near.items()}
    starts = [
        sorted(rest, key=lambda n: (-size(n), -life(n), n)),
        sorted(rest, key=lambda n: (-size(n) * life(n), n)),
        sorted(rest, key=lambda n: (-life(n), -size(n), n)),
        sorted(rest, key=lambda n: (blocks[n].first, -size(n), n)),
    ]
    order = starts[0]
    placed, top = _place(sizes, near, order)
    for other in starts[1:]:
        if floor + top <= goal:
            break
        new, new_top = _place(sizes, near, other)
        if new_top < top:
            order, placed, top = other, new, new_top
    best, least, chance = placed, top, 1
    for _ in range(rounds):
        if floor + least <= goal:
            break
        # Whatever is alive with a block at the top may be in its way: one of those gets another turn.
        chance = (chance * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        crown = next(n for n in order if placed[n] + sizes[n] == top)
        movers = [n for n in order if n == crown or n in beside[crown]]
        mover = movers[(chance >> 48) % len(movers)]
        changed = [n for n in order if n != mover]
        changed.insert((chance >> 32) % len(order), mover)
        new, new_top = _place(sizes, near, changed)
        if new_top <= top:
            order, placed, top = changed, new, new_top
        if new_top < least:
            best, least = new, new_top
    for number, offset in best.items():
        offsets[number] = floor + offset
    return Packing(tuple(offsets), floor + least, bound)


def begin_earlier(
    blocks: Sequence[Block], wanted: Mapping[int, int], packing: Packing
) -> tuple[list[Block], Packing]:
    """Let some blocks live longer at the front, where the arena has room for that anyway.

    Parameters
    ----------
    blocks : sequence of Block
    wanted : mapping of int to int
        Blocks that would rather begin before their `first`, and how early.
    packing : Packing
        Of the blocks as they are.

    Returns
    -------
    list of Block, Packing
        Never larger than `packing`.
    """
    end = max((b.last for b in blocks), default=0)
    live = [0] * (end + 1)
    for block in blocks:
        for step in range(block.first, block.last + 1):
            live[step] += aligned(block.bytes)
    longer = list(blocks)
    for number, earliest in wanted.items():
        size, first = aligned(blocks[number].bytes), blocks[number].first
        while first > max(earliest, 0) and live[first - 1] + size <= packing.bytes:
            first -= 1
            live[first] += size
        longer[number] = longer[number]._replace(first=first)
    changed = pack(longer, enough=packing.bytes)
    return (longer, changed) if changed.bytes <= packing.bytes else (list(blocks), packing)


def _neighbours(blocks: Sequence[Block], numbers: Sequence[int]) -> dict[int, list[int]]:
    """Per block, those alive at some time it is alive too."""
    return {
        number: [n for n in numbers if n != number and blocks[n].first <= blocks[number].last
                 and blocks[number].first <= blocks[n].last]
        for number in numbers
    }


def _place(sizes: dict[int, int], near: dict[int, list[int]], order: Sequence[int],
           ) -> tuple[dict[int, int], int]:
    """One block after another, each into the smallest gap that holds it, or else on top of its neighbours.

    Parameters
    ----------
    sizes : dict of int to int
        Aligned bytes by block.
    near : dict of int to list of int
        Blocks each one must not overlap.

    Returns offsets and the highest end.
    """
    placed: dict[int, int] = {}
    highest = 0
    for number in order:
        need = sizes[number]
        taken = sorted([(placed[n], placed[n] + sizes[n]) for n in near[number] if n in placed])
        top, choice, slack = 0, -1, 0
        for begin, end in taken:
            gap = begin - top
            if gap >= need and (choice < 0 or gap - need < slack):
                choice, slack = top, gap - need
            if end > top:
                top = end
        placed[number] = at = choice if choice >= 0 else top
        if at + need > highest:
            highest = at + need
    return placed, highest
