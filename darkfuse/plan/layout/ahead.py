"""Where reads of weights may land: wherever of the arena is idle from the read until its use.

Reads happen in the order of use, and storage should never have to wait for the team while there are bytes to
read into. So a layer's reads may go into its own slots, which are nobody else's in its step, and into all
else that no map, window or scratch needs from some earlier step on. Which of these is free of other reads
too, the engine sees when it reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from darkfuse.plan.layout.arena import aligned
from darkfuse.plan.program import PAGE, Buffer, Landing, Weights, slot_bytes

FEW = 64  # landings of one layer: more reads at a time help nobody
Span = tuple[int, int]  # bytes [low, high)


class _Idle(NamedTuple):
    """Bytes [low, high) that only reads use from step `since` on."""

    low: int
    high: int
    since: int


def landings_of(buffers: Sequence[Buffer], weights: Sequence[Weights], until: dict[int, int],
              arena: int) -> list[tuple[Landing, ...]]:
    """Landings for the reads of each layer: first its own slots, then others, the earliest first.

    Parameters
    ----------
    buffers : sequence of Buffer
        With offsets. Those named by `Weights.raw` are the layers' own slots.
    weights : sequence of Weights
    until : dict
        By number in `weights`, the last step in which reads of that layer may arrive.
    arena : int
        Bytes.

    Returns
    -------
    list of tuple of Landing
        One for each of `weights`; no landing of a layer lies over another.
    """
    own = {w.raw for w in weights}
    last = max((b.last for b in buffers), default=0)
    always: list[Buffer] = []
    others: list[Buffer] = []
    for number, b in enumerate(buffers):
        if number not in own and b.bytes:
            (always if b.first <= 0 and b.last == last else others).append(b)
    others.sort(key=lambda b: -b.last)
    by_offset = sorted([*_in_a_row(always), *others], key=lambda b: b.offset)
    found: list[tuple[Landing, ...]] = [()] * len(weights)
    for number, step in until.items():
        w = weights[number]
        if w.all_reads == w.resident:
            continue
        size = slot_bytes(w.raw_filters, w.per_filter)
        first = -(-buffers[w.raw].offset // PAGE) * PAGE
        slots = first, first + w.slots * size
        idle = _idle(others, by_offset, step, arena)
        landings = [Landing(at, _since(idle, at, at + size)) for at in range(*slots, size)]
        found[number] = (*landings, *_cut(idle, slots, size, FEW - w.slots))
    return found


def _in_a_row(always: Sequence[Buffer]) -> list[Buffer]:
    """Buffers that are always alive, those that lie side by side as one."""
    found: list[Buffer] = []
    for b in sorted(always, key=lambda b: b.offset):
        if found and b.offset <= found[-1].offset + aligned(found[-1].bytes):
            found[-1] = replace(found[-1], bytes=b.offset + b.bytes - found[-1].offset)
        else:
            found.append(b)
    return found


def _since(idle: Sequence[_Idle], begin: int, end: int) -> int:
    return max((since for low, high, since in idle if low < end and begin < high), default=0)


def _idle(others: Sequence[Buffer], by_offset: Sequence[Buffer], step: int, arena: int) -> list[_Idle]:
    """What nobody else uses in a step, and since when; `others` are those that end last first."""
    gaps: list[Span] = []
    low, end = 0, arena // PAGE * PAGE
    for b in by_offset:
        if b.first <= step <= b.last:
            if b.offset > low:
                gaps.append((low, min(b.offset, end)))
            low = max(low, b.offset + b.bytes)
    if low < end:
        gaps.append((low, end))
    found: list[_Idle] = []
    for b in others:
        if b.last >= step or not gaps:
            continue
        end = b.offset + b.bytes
        here = [(max(low, b.offset), min(high, end)) for low, high in gaps if low < end and b.offset < high]
        if here:
            found += [_Idle(low, high, b.last + 1) for low, high in here]
            gaps = [part for low, high in gaps for part in ((low, min(high, b.offset)), (max(low, end), high))
                    if part[0] < part[1]]
    found += [_Idle(low, high, 0) for low, high in gaps]
    return sorted(found)


def _cut(idle: Sequence[_Idle], slots: Span, size: int, most: int) -> list[Landing]:
    """As many landings as fit, those that are idle soonest first, none over the layer's own slots."""
    found: list[Landing] = []
    taken = [slots]
    for since in sorted({piece.since for piece in idle}):
        if len(found) >= most:
            break
        for low, high in _joined([piece for piece in idle if piece.since <= since]):
            at = -(-low // PAGE) * PAGE
            for start, end in sorted(taken):
                if end <= at or start >= high:
                    continue
                while at + size <= start and len(found) < most:
                    found.append(Landing(at, since))
                    at += size
                at = max(at, -(-end // PAGE) * PAGE)
            while at + size <= high and len(found) < most:
                found.append(Landing(at, since))
                at += size
        taken = [slots, *((landing.offset, landing.offset + size) for landing in found)]
    return found


def _joined(pieces: Sequence[_Idle]) -> list[Span]:
    found: list[Span] = []
    for low, high, _ in pieces:
        if found and found[-1][1] == low:
            low = found.pop()[0]
        found.append((low, high))
    return found
