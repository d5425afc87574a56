"""Lifetimes to offsets: where each buffer lies in the one arena.

Nothing here knows what the blocks are for. Two blocks may share bytes if and only if their lifetimes do not
meet, or they are tied. Finding the smallest arena is NP-hard (dynamic storage allocation); placing by size
into the best gap, then moving what lies under the top about in the order of placing, ends at or near the
lower bound for networks.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from darkfuse.plan.layout._arrange import arrange

Chain = tuple[tuple[int, int], ...]  # blocks, and where each begins in what they take together

EFFORT = 400_000  # see `pack`
ROUGH = 20_000  # the same, where ties are chosen
TRIALS = 10_000  # blocks of all packings tried to choose ties, at most
ALIGN = 64  # bytes: a cache line, and the widest vector register


class Block(NamedTuple):
    """Bytes alive from step `first` to step `last`, both included."""

    bytes: int
    first: int
    last: int


class Tie(NamedTuple):
    """Block `source` begins `shift` bytes after block `target`, at the higher address, and they may share
    bytes: the one is written while the other dies, in the step in which `target` begins and `source` ends.
    No block is the source, or the target, of two ties."""

    source: int
    target: int
    shift: int


@dataclass(frozen=True)
class Packing:
    """Offsets in bytes, the arena's size, and the least any packing could have."""

    offsets: tuple[int, ...]
    bytes: int
    bound: int


def aligned(size: int) -> int:
    """Round a size up to `ALIGN`."""
    return -(-size // ALIGN) * ALIGN


def shared(source: int, target: int, shift: int) -> int:
    """Bytes that two tied blocks of so many bytes have in common."""
    source, target = aligned(source), aligned(target)
    return source + target - max(target, shift + source)


def alive(blocks: Sequence[Block], ties: Sequence[Tie] = ()) -> list[int]:
    """Bytes alive at each step, what tied blocks share counted once."""
    change = [0] * (max((b.last for b in blocks), default=-1) + 2)
    for block in blocks:
        change[block.first] += aligned(block.bytes)
        change[block.last + 1] -= aligned(block.bytes)
    for tie in ties:
        less = shared(blocks[tie.source].bytes, blocks[tie.target].bytes, tie.shift)
        change[blocks[tie.target].first] -= less
        change[blocks[tie.target].first + 1] += less
    return list(itertools.accumulate(change[:-1]))


def pack(blocks: Sequence[Block], ties: Sequence[Tie] = (), enough: int = 0,
         effort: int = EFFORT) -> Packing:
    """Place blocks so that no two alive at the same time overlap, but for tied ones.

    Parameters
    ----------
    blocks : sequence of Block
        Sizes in bytes; offsets returned are multiples of `ALIGN`.
    ties : sequence of Tie
        Blocks that must lie so.
    enough : int
        Bytes the search may stop at, as it does when the lower bound is met. The result depends on the
        arguments alone.
    effort : int
        Chains placed again, at most, in search of a better order.

    Raises
    ------
    ValueError
        A block with a negative size, or one that ends before it begins; a tie of blocks that do not meet in
        one step, or at a distance that is no multiple of `ALIGN`.
    """
    for block in blocks:
        if block.bytes < 0 or block.first < 0 or block.last < block.first:
            raise ValueError(f"no block: {block}")
    for tie in ties:
        if blocks[tie.source].last != blocks[tie.target].first or tie.shift < 0 or tie.shift % ALIGN:
            raise ValueError(f"no tie: {tie}")
    bound = max(alive(blocks, ties), default=0)
    start, end = min((b.first for b in blocks), default=0), max((b.last for b in blocks), default=0)
    offsets = [0] * len(blocks)
    floor = 0
    rest: list[int] = []
    tied = {n for tie in ties for n in (tie.source, tie.target)}
    for number, block in enumerate(blocks):
        if block.first == start and block.last == end and number not in tied:
            offsets[number] = floor  # never shares with anything: at the bottom, in a row
            floor += aligned(block.bytes)
        elif block.bytes:
            rest.append(number)
    if not rest:
        return Packing(tuple(offsets), floor, bound)
    chains = _chains(blocks, ties, rest)
    members = [(blocks[n].first, blocks[n].last, which, at, aligned(blocks[n].bytes))
               for which, chain in enumerate(chains) for n, at in chain]
    placed, top = arrange(members, len(chains), _orders(members, len(chains)), effort // len(chains),
                          max(bound, enough) - floor)
    for chain, at in zip(chains, placed):
        for number, behind in chain:
            offsets[number] = floor + at + behind
    return Packing(tuple(offsets), floor + top, bound)


def _chains(blocks: Sequence[Block], ties: Sequence[Tie], numbers: Sequence[int]) -> list[Chain]:
    """Blocks in a row of ties, each with its place behind the first byte of all; most stand alone."""
    before = {tie.target: tie for tie in ties}
    after = {tie.source: tie for tie in ties}
    chains: list[Chain] = []
    for number in numbers:
        if number in before:
            continue
        chain = [(number, 0)]
        while number in after:
            tie = after[number]
            number = tie.target
            chain.append((number, chain[-1][1] - tie.shift))
        lowest = min(at for _, at in chain)
        chains.append(tuple((n, at - lowest) for n, at in chain))
    return chains


def _orders(members: Sequence[tuple[int, int, int, int, int]], count: int) -> list[list[int]]:
    """Orders in which chains may be placed: by size, by size and life together, by life, by beginning."""
    size, first, last = [0] * count, [1 << 62] * count, [0] * count
    for begin, end, chain, at, bytes_ in members:
        size[chain] = max(size[chain], at + bytes_)
        first[chain], last[chain] = min(first[chain], begin), max(last[chain], end)
    life = [end - begin + 1 for begin, end in zip(first, last)]
    keys: list[Callable[[int], tuple[int, ...]]] = [
        lambda n: (-size[n], -life[n], n),
        lambda n: (-size[n] * life[n], n),
        lambda n: (-life[n], -size[n], n),
        lambda n: (first[n], -size[n], n),
    ]
    return [sorted(range(count), key=key) for key in keys]


def pack_tied(blocks: Sequence[Block], ties: Sequence[Tie]) -> tuple[list[Tie], Packing]:
    """Place blocks with those ties that make the arena smaller. The last few answers are remembered: a plan
    is laid out several times, with other reads or for other purposes, before it runs.

    Blocks in a row of ties are hard to place: every map of the row lies further down than the one before. So
    first only those are kept without which a step would need more than the whole arena does.
    """
    return _pack_tied(tuple(blocks), tuple(ties))


@lru_cache(maxsize=16)
def _pack_tied(blocks: tuple[Block, ...], ties: tuple[Tie, ...]) -> tuple[list[Tie], Packing]:
    live = alive(blocks, ties)
    needed = []
    for tie in ties:
        step = blocks[tie.target].first
        more = shared(blocks[tie.source].bytes, blocks[tie.target].bytes, tie.shift)
        if live[step] + more > max(live):
            needed.append(tie)
        else:
            live[step] += more
    best = first = needed, pack(blocks, needed)
    for dropped in needed[: TRIALS // len(blocks)]:
        others = [tie for tie in best[0] if tie != dropped]
        if best[1].bytes > best[1].bound and max(alive(blocks, others)) < best[1].bytes:
            packing = pack(blocks, others, enough=best[1].bytes - 1, effort=ROUGH)
            best = min(best, (others, packing), key=lambda found: found[1].bytes)
    if best is not first and best[1].bytes > best[1].bound:
        best = min(best, (best[0], pack(blocks, best[0])), key=lambda found: found[1].bytes)
    return best
