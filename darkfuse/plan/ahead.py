"""Where each read of weights lands: in whatever of the arena is idle from the read until its use.

Reads happen in the order of use, and storage should never have to wait for the team while there are bytes to
read into. So every read gets the place that is free soonest: one of the layer's own slots, which are nobody
else's in its stage, or any other. Time is counted in steps, 4.5 being half-way through step 4.
"""

from __future__ import annotations

from typing import Dict, Iterable, List, NamedTuple, Sequence, Tuple

from darkfuse.plan.program import PAGE, Buffer, Read, Weights, slot_bytes

FEW = 64  # reads of one layer; more are too small, and too many, for places of their own
NEVER = float("inf")


class _Taken(NamedTuple):
    """Bytes [low, high) are free again at `free`."""

    low: int
    high: int
    free: float
    layer: int
    block: int  # filters that are in memory together; -1: none have to be


class _Needs(NamedTuple):
    """A layer's reads: its number in the program, the step until which they may arrive, bytes of each, and
    each one's block."""

    number: int
    until: int
    bytes: int
    blocks: Sequence[int]

    def over(self, n: int) -> float:
        """When read `n` has been used."""
        return self.until + (n + 1) / (len(self.blocks) + 1)


def place_reads(buffers: Sequence[Buffer], weights: Sequence[Weights], until: Dict[int, int],
                arena: int) -> List[Tuple[Read, ...]]:
    """Places of all reads of each layer but those that are kept.

    Parameters
    ----------
    buffers : sequence of Buffer
        With offsets. Those named by `Weights.raw` are the layers' own slots.
    weights : sequence of Weights
    until : dict
        The last step in which reads of each layer in `weights` may arrive, in the order of use.
    arena : int
        Bytes.

    Returns
    -------
    list of tuple of Read
        One for each of `weights`. A read may overlap earlier ones, which are to be out by then, but none of
        its own block where a block is computed with as it lies.
    """
    own = {w.raw for w in weights}
    last = max((b.last for b in buffers), default=0)
    others = [b for n, b in enumerate(buffers) if n not in own and b.bytes]
    always = _joined((b.offset, b.offset + b.bytes) for b in others if b.first <= 0 and b.last == last)
    others = [b for b in others if b.first > 0 or b.last < last]
    found: List[Tuple[Read, ...]] = [()] * len(weights)
    taken: List[_Taken] = []
    now = 0.0
    reading = [(n, step) for n, step in until.items() if weights[n].all_reads > weights[n].kept]
    for (number, step), (_, then) in zip(reading, [*reading[1:], (-1, -1)]):
        w = weights[number]
        blocks = [n // w.block_reads if w.packed < 0 else -1 for n in range(w.kept, w.all_reads)]
        needs = _Needs(number, step, slot_bytes(w.raw_filters, w.per_filter), blocks)
        here = [b for b in others if b.first <= step and b.last + 1 > now]
        first = -(-buffers[w.raw].offset // PAGE) * PAGE
        ring = [first + n * needs.bytes for n in range(w.slots)]
        if len(blocks) > FEW:
            placed = _ring(needs, ring, here, taken, now)
        else:
            lost = [(b.offset, b.offset + b.bytes) for b in others if step < b.first <= then <= b.last]
            placed = _freely(needs, ring, [*always, *_leaving(here, step)], taken, now, arena, lost)
        offsets, taken, now = placed
        found[number] = tuple(Read(at, _begin(others, at, at + needs.bytes, step)) for at in offsets)
    return found


Placed = Tuple[List[int], List[_Taken], float]
_Obstacles = Sequence[Tuple[int, int, float]]  # bytes [low, high) and when they are free, by `low`


def _joined(spans: Iterable[Tuple[int, int]]) -> List[Tuple[int, int, float]]:
    """What is never free, with less than a page between as one."""
    found: List[Tuple[int, int, float]] = []
    for low, high in sorted(spans):
        if found and low < found[-1][1] + PAGE:
            low, high = found[-1][0], max(high, found.pop()[1])
        found.append((low, high, NEVER))
    return found


def _leaving(here: Sequence[Buffer], step: int) -> List[Tuple[int, int, float]]:
    return [(b.offset, b.offset + b.bytes, NEVER if b.last >= step else b.last + 1.0) for b in here]


def _begin(others: Sequence[Buffer], low: int, high: int, step: int) -> int:
    """First step from which on nobody else uses the bytes until after `step`."""
    return max((b.last + 1 for b in others
                if b.last < step and b.offset < high and low < b.offset + b.bytes), default=0)


def _freely(needs: _Needs, ring: Sequence[int], maps: _Obstacles, taken: Sequence[_Taken], now: float,
            arena: int, lost: Sequence[Tuple[int, int]]) -> Placed:
    """Each read where there is room soonest: one of the layer's own slots, or elsewhere, rather in bytes that
    are `lost` to the next layer's reads."""
    size = needs.bytes
    own = ring[0], ring[-1] + size, NEVER
    busy = list(taken)
    offsets = []
    for n, block in enumerate(needs.blocks):
        busy = [t for t in busy if t[2] > now]
        maps = [t for t in maps if t[2] > now]
        in_use = [(low, high, NEVER if layer == needs.number and block == theirs >= 0 else free)
                  for low, high, free, layer, theirs in busy]
        obstacles = sorted(maps + in_use)
        at, free = ring[0], NEVER
        for place in ring:
            then = _free(obstacles, place, size)
            if then < free:
                at, free = place, then
                if free == 0.0:
                    break
        if free > 0.0:
            others = sorted([*obstacles, own])
            gap = _gap(others, size, arena, lost)
            if gap >= 0:
                at, free = gap, 0.0
            else:
                elsewhere, then = _soonest(others, size, arena)
                if then < free:
                    at, free = elsewhere, then
        now = max(now, free)
        offsets.append(at)
        busy.append(_Taken(at, at + size, needs.over(n), needs.number, block))
    return offsets, busy, now


def _free(obstacles: _Obstacles, at: int, size: int) -> float:
    """When the bytes from `at` on are free; 0.0: now."""
    end, last = at + size, 0.0
    for low, high, free in obstacles:
        if low >= end:
            break
        if high > at and free > last:
            last = free
    return last


def _gap(obstacles: _Obstacles, size: int, arena: int, lost: Sequence[Tuple[int, int]]) -> int:
    """Where so many bytes are free, -1 if nowhere: most of them `lost` to later layers, in a small gap."""
    best, most, slack, at = -1, -1, arena, 0
    for low, high, _ in (*obstacles, (arena // PAGE * PAGE, arena, NEVER)):
        if size <= low - at:
            starts = [at, low - size]
            for begin, end in lost:
                starts += [begin, end - size]
            for start in starts:
                start = -(-start // PAGE) * PAGE
                if at <= start <= low - size:
                    over = sum(min(end, start + size) - max(begin, start) for begin, end in lost
                               if begin < start + size and start < end)
                    if over > most or (over == most and low - at < slack):
                        best, most, slack = start, over, low - at
        if high > at:
            at = -(-high // PAGE) * PAGE
    return best


def _soonest(obstacles: _Obstacles, size: int, arena: int) -> Tuple[int, float]:
    """A place whose bytes are free soonest, and when that is: about the reads that leave next."""
    starts, end = [], 0
    for low, high, free in obstacles:
        if free < NEVER:
            starts.append((free, low, end, high - size))
        end = max(end, high)
    starts.sort()
    best, soonest = -1, NEVER
    for free, *places in starts:
        if free >= soonest:
            break  # who lies there now stays as long
        for start in places:
            at = -(-int(start) // PAGE) * PAGE
            if 0 <= at <= arena - size:
                then = _free(obstacles, at, size)
                if then < soonest:
                    best, soonest = at, then
    return best, soonest


def _ring(needs: _Needs, ring: Sequence[int], here: Sequence[Buffer], taken: Sequence[_Taken],
          now: float) -> Placed:
    """The layer's own slots, one after another."""
    low, high, slots, count = ring[0], ring[-1] + needs.bytes, len(ring), len(needs.blocks)
    for b in here:
        if b.last < needs.until and b.offset < high and low < b.offset + b.bytes:
            now = max(now, b.last + 1)
    now = max([now, *(t.free for t in taken if t.low < high and low < t.high)])
    offsets = [ring[n % slots] for n in range(count)]
    if count > slots:
        now = max(now, needs.over(count - slots - 1))
    busy = [t for t in taken if t.free > now]
    busy += [_Taken(offsets[n], offsets[n] + needs.bytes, needs.over(n), needs.number, -1)
             for n in range(max(0, count - slots), count)]
    return offsets, busy, now
