"""Lifetimes to offsets: where each buffer lies in the one arena.

Nothing here knows what the blocks are for. Two blocks may share bytes if and only if their lifetimes do not
meet, or they are tied. Finding the smallest arena is NP-hard (dynamic storage allocation); placing by size
into the best gap, then moving what lies under the top about in the order of placing, ends at or near the
lower bound for networks.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from darkfuse.host.record import dataclass
from darkfuse.plan.layout._arrange import arrange

Chain = tuple[tuple[int, int], ...]  # blocks, and where each begins in what they take together

EFFORT = 120_000  # see `pack`
ROUGH = 15_000  # the same, for each choice of ties
ALIGN = 64  # bytes: a cache line, and the widest vector register


class Block(NamedTuple):
    """Bytes alive from step `first` to step `last`, both included."""

    bytes: int
    first: int
    last: int


class Tie(NamedTuple):
    """Block `source` begins `shift` bytes after block `target`, at the higher address, and they may share
    bytes: the one is written while the other dies, in the step in which `target` begins and `source` ends.
    No block is the source, or the target, of two ties. Numbers are those of the caller's blocks: root
    storages in `overlap`, buffers from `place` on."""

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
    for size, first, last in blocks:
        size = -(-size // ALIGN) * ALIGN
        change[first] += size
        change[last + 1] -= size
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
    return _pack(blocks, ties, max(alive(blocks, ties), default=0), enough, effort)


def _pack(blocks: Sequence[Block], ties: Sequence[Tie], bound: int, enough: int, effort: int) -> Packing:
    rest, offsets, floor = _bottom(blocks, ties)
    if not rest:
        return Packing(tuple(offsets), floor, bound)
    chains = _chains(blocks, ties, rest)
    members = [(first, last, which, at, -(-size // ALIGN) * ALIGN)
               for which, chain in enumerate(chains) for n, at in chain for size, first, last in (blocks[n],)]
    placed, top = arrange(members, len(chains), effort // len(chains), max(bound, enough) - floor)
    for chain, at in zip(chains, placed):
        for number, behind in chain:
            offsets[number] = floor + at + behind
    return Packing(tuple(offsets), floor + top, bound)


def _bottom(blocks: Sequence[Block], ties: Sequence[Tie]) -> tuple[list[int], list[int], int]:
    """Blocks that are always alive lie at the bottom, in a row: numbers of the others, offsets of these, and
    where the others may begin."""
    start = min([first for _, first, _ in blocks], default=0)
    end = max([last for _, _, last in blocks], default=0)
    tied = {n for tie in ties for n in (tie.source, tie.target)}
    rest, offsets, floor = [], [0] * len(blocks), 0
    for number, (size, first, last) in enumerate(blocks):
        if first == start and last == end and number not in tied:
            offsets[number] = floor
            floor += aligned(size)
        elif size:
            rest.append(number)
    return rest, offsets, floor


def _chains(blocks: Sequence[Block], ties: Sequence[Tie], numbers: Sequence[int]) -> list[Chain]:
    """Blocks in a row of ties, each with its place behind the first byte of all; most stand alone."""
    before = {tie.target: tie for tie in ties}
    after = {tie.source: tie for tie in ties}
    chains: list[Chain] = []
    for number in numbers:
        if number in before:
            continue
        if number not in after:
            chains.append(((number, 0),))
            continue
        chain = [(number, 0)]
        while number in after:
            tie = after[number]
            number = tie.target
            chain.append((number, chain[-1][1] - tie.shift))
        lowest = min(at for _, at in chain)
        chains.append(tuple((n, at - lowest) for n, at in chain))
    return chains


def pack_tied(blocks: Sequence[Block], ties: Sequence[Tie], limit: int = 0) -> tuple[list[Tie], Packing]:
    """Place blocks with those ties that make the arena smaller. The last few answers are remembered: a plan
    is laid out several times, with other reads or for other purposes, before it runs.

    Blocks in a row of ties are hard to place: every map of the row lies further down than the one before. So
    only those are kept without which a step would need more than so many bytes: first what must be alive at
    once, then two hundredths more and more, as long as that may yet be less than the best that was found.

    With a `limit` nothing more is asked than whether so many bytes will do: the first packing that is as
    small is good enough, and no effort is made for one that cannot be.
    """
    return _pack_tied(tuple(blocks), tuple(ties), limit)


@lru_cache(maxsize=16)
def _pack_tied(blocks: tuple[Block, ...], ties: tuple[Tie, ...], limit: int) -> tuple[list[Tie], Packing]:
    rest, offsets, floor = _bottom(blocks, ties)
    place = {number: at for at, number in enumerate(rest)}
    tied = {Tie(place[tie.source], place[tie.target], tie.shift): tie for tie in ties}
    kept, found = _fewest_ties([blocks[n] for n in rest], list(tied), max(limit - floor, 1) if limit else 0)
    for number, at in zip(rest, found.offsets):
        offsets[number] = floor + at
    return [tied[tie] for tie in kept], Packing(tuple(offsets), floor + found.bytes, floor + found.bound)


def _fewest_ties(blocks: Sequence[Block], ties: Sequence[Tie], limit: int) -> tuple[list[Tie], Packing]:
    live = alive(blocks, ties)
    kept, best, enough = list(ties), None, max(live, default=0)
    fewer: list[Tie] | None = None
    while best is None or (fewer and enough < best.bytes):
        needed, bound = _needed(blocks, ties, live, enough)
        if needed != fewer:
            fewer = needed
            found = _pack(blocks, fewer, bound, limit, ROUGH)
            if best is None or found.bytes < best.bytes:
                kept, best = fewer, found
            if best.bytes <= limit:
                return kept, best
        enough += enough // 50 + 1
    if best.bytes > best.bound and not 0 < limit < best.bound:
        again = _pack(blocks, kept, best.bound, limit, EFFORT)
        best = again if again.bytes < best.bytes else best
    return kept, best


def _needed(blocks: Sequence[Block], ties: Sequence[Tie], live: Sequence[int],
            enough: int) -> tuple[list[Tie], int]:
    """Ties without which some step would need more than `enough` bytes, and what the step that needs most
    does with them; `live` is what each step needs with all ties."""
    without, needed = list(live), []
    for tie in ties:
        step = blocks[tie.target].first
        more = shared(blocks[tie.source].bytes, blocks[tie.target].bytes, tie.shift)
        if without[step] + more > enough:
            needed.append(tie)
        else:
            without[step] += more
    return needed, max(without, default=0)
