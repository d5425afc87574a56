"""Lifetimes to offsets: where each buffer lies in the one arena.

Nothing here knows what the blocks are for. Two blocks may share bytes if and only if their lifetimes do not
meet, or they are tied. Finding the smallest arena is NP-hard (dynamic storage allocation); placing by size
into the best gap, then moving what lies under the top about in the order of placing, ends at or near the
lower bound for networks.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

Chain = tuple[tuple[int, int], ...]  # blocks, and where each begins in what they take together
Ban = tuple[int, int, int]  # another chain, and how far from its place one may not begin: in (low, high)

EFFORT = 25_000  # see `pack`
ALIGN = 64  # bytes: a cache line, and the widest vector register


class Block(NamedTuple):
    """Bytes alive from step `first` to step `last`, both included."""

    bytes: int
    first: int
    last: int


class Tie(NamedTuple):
    """Block `source` lies `shift` bytes behind the start of block `target`, and they may share bytes: the one
    is written while the other dies, in the step in which `target` begins and `source` ends. No block is the
    source, or the target, of two ties."""

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
    near = _neighbours(blocks, chains)
    placed, top = _arrange(blocks, chains, near, effort, max(bound, enough) - floor)
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


def _neighbours(blocks: Sequence[Block], chains: Sequence[Chain]) -> list[list[Ban]]:
    """Per chain, the places it may not take once another one has its own."""
    found: list[list[Ban]] = [[] for _ in chains]
    members = sorted((blocks[n].first, which, at, aligned(blocks[n].bytes), blocks[n].last)
                     for which, chain in enumerate(chains) for n, at in chain)
    here: list[tuple[int, int, int, int]] = []
    for first, which, at, size, last in members:
        here = [member for member in here if member[3] >= first]
        for other, other_at, other_size, _ in here:
            if other != which:
                low, high = other_at - at - size, other_at + other_size - at
                found[which].append((other, low, high))
                found[other].append((which, -high, -low))
        here.append((which, at, size, last))
    return found


def _arrange(blocks: Sequence[Block], chains: Sequence[Chain], near: Sequence[Sequence[Ban]],
             effort: int, goal: int) -> tuple[list[int], int]:
    """Places of all chains, and their end: several orders of placing, the best of them improved."""
    sizes = [max(at + aligned(blocks[n].bytes) for n, at in chain) for chain in chains]
    first = [min(blocks[n].first for n, _ in chain) for chain in chains]
    life = [max(blocks[n].last for n, _ in chain) - begin + 1 for chain, begin in zip(chains, first)]
    numbers = range(len(chains))
    starts = [
        sorted(numbers, key=lambda n: (-sizes[n], -life[n], n)),
        sorted(numbers, key=lambda n: (-sizes[n] * life[n], n)),
        sorted(numbers, key=lambda n: (-life[n], -sizes[n], n)),
        sorted(numbers, key=lambda n: (first[n], -sizes[n], n)),
    ]
    order, placed = starts[0], [-1] * len(chains)
    top = _place(sizes, near, order, 0, placed, 1 << 62)
    for other in starts[1:]:
        if top <= goal:
            break
        changed = [-1] * len(chains)
        end = _place(sizes, near, other, 0, changed, top - 1)
        if end < top:
            order, placed, top = other, changed, end
    best, least, chance = placed, top, 1
    for _ in range(effort // len(chains)):
        if least <= goal:
            break
        # Whatever is alive with a block at the top may be in its way: one of those gets another turn.
        chance = (chance * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        crown = next(n for n in order if placed[n] + sizes[n] == top)
        beside = {crown, *(ban[0] for ban in near[crown])}
        movers = [at for at, n in enumerate(order) if n in beside]
        old = movers[(chance >> 48) % len(movers)]
        new = (chance >> 32) % len(order)
        changed_order = order[:old] + order[old + 1 :]
        changed_order.insert(new, order[old])
        same = min(old, new)
        changed = placed[:]
        for n in changed_order[same:]:
            changed[n] = -1
        end = _place(sizes, near, changed_order, same, changed, top)
        if end <= top:
            order, placed, top = changed_order, changed, end
        if end < least:
            best, least = changed, end
    return best, least


def _place(sizes: Sequence[int], near: Sequence[Sequence[Ban]], order: Sequence[int], done: int,
           placed: list[int], most: int) -> int:
    """Place one chain after another, each into the smallest gap that holds it, or else on top of its
    neighbours.

    Parameters
    ----------
    sizes : sequence of int
        Bytes of each chain, from its first to its last.
    near : sequence of sequence of Ban
        What each must keep away from.
    order : sequence of int
        Chains as they get their turn; the first `done` of them have their places.
    placed : list of int
        Where each chain begins, -1 for none as yet; filled in.
    most : int
        Bytes beyond which the order is of no use: placing ends there.

    Returns the highest end, more than `most` where it was not placed to the end.
    """
    highest = max((placed[n] + sizes[n] for n in order[:done]), default=0)
    for chain in order[done:]:
        taken = [(placed[n] + low, placed[n] + high) for n, low, high in near[chain] if placed[n] >= 0]
        taken.sort()
        top, choice, slack = 0, -1, 0
        for low, high in taken:
            if low >= top and (choice < 0 or low - top < slack):
                choice, slack = top, low - top
            if high > top:
                top = high
        at = placed[chain] = choice if choice >= 0 else top
        if at + sizes[chain] > highest:
            highest = at + sizes[chain]
            if highest > most:
                break
    return highest


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
    best = needed, pack(blocks, needed)
    for dropped in needed:
        others = [tie for tie in best[0] if tie != dropped]
        if best[1].bytes > best[1].bound and max(alive(blocks, others)) < best[1].bytes:
            packing = pack(blocks, others, enough=best[1].bytes - 1)
            best = min(best, (others, packing), key=lambda found: found[1].bytes)
    return best
