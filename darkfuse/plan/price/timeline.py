"""When weights arrive: storage reads one after another, as early as places allow, while the team computes.

The search takes a layer for the longer of computing and reading. Here one frame is gone through in order, so
that a read which had time to arrive earlier costs nothing, and one that had not costs what it makes wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from darkfuse.plan.layout.weights import PANEL
from darkfuse.plan.program import Program, Weights, slot_bytes


class Work(NamedTuple):
    """What the team does with the weights of one layer while they arrive.

    weights : index into Program.weights
    ms : milliseconds, without waiting
    read_ms : of storage, for one read
    panels : whether each panel is done with as soon as it is computed, not only a whole block
    """

    weights: int
    ms: float
    read_ms: float
    panels: bool


class Slot(NamedTuple):
    """Bytes [low, high) of the arena that hold a read from one moment to another, in milliseconds."""

    low: int
    high: int
    begin: float
    end: float


class Timeline:
    """One frame, stage by stage.

    Attributes
    ----------
    now : float
        Milliseconds since the frame began.
    reading : float
        Milliseconds storage was busy so far.
    waiting : float
        Milliseconds the team waited for it.
    slots : list of Slot
        Where weights lay, and when.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.now = self.reading = self.waiting = 0.0
        self._idle = 0.0  # since when storage is
        self._starts: list[float] = []  # of steps
        self.slots: list[Slot] = []
        self._used: list[Slot] = []  # those of `slots` that no later one covers

    def stage(self, steps: int, works: Sequence[Work], rest_ms: float) -> list[float]:
        """The next stage: what each of `works` takes with all its waiting, one after the other; then
        `rest_ms` of anything else."""
        self._starts += steps * [self.now]  # the first of two is some 4 % of the stage: too short to price
        found = []
        for work in works:
            since = self.now
            self._layer(work)
            found.append(self.now - since)
        self.now += rest_ms
        return found

    def _layer(self, work: Work) -> None:
        w = self.program.weights[work.weights]
        if not w.all_reads:  # none in the file: zeros
            self.now += work.ms
            return
        batch = batch_reads(w, work.panels)
        each = work.ms / -(-w.all_reads // batch)
        size = slot_bytes(w.raw_filters, w.per_filter)
        places = [self._spot(low, low + size, step) for low, step in w.landings]
        waiting: list[_Spot] = []
        for n in range(w.all_reads):
            if n >= w.resident:
                waiting.append(self._read(places, work.read_ms))
            if (n + 1) % batch == 0 or n + 1 == w.all_reads:
                late = max(0.0, self._idle - self.now) if waiting else 0.0
                self.waiting += late
                self.now += late + each
                for spot in waiting:
                    spot.free = spot.used = self.now
                    self.slots.append(Slot(spot.low, spot.high, spot.begin, self.now))
                waiting.clear()
        filled = [Slot(spot.low, spot.high, spot.begin, spot.free) for spot in places if spot.begin >= 0]
        for low, high, _, _ in filled:
            self._used = [slot for slot in self._used if slot[0] >= high or low >= slot[1]]
        self._used += filled

    def _spot(self, low: int, high: int, step: int) -> _Spot:
        used = 0.0
        for slot_low, slot_high, _, end in self._used:
            if slot_low < high and low < slot_high and end > used:
                used = end
        return _Spot(low, high, max(self._starts[step], used), used)

    def _read(self, places: Sequence[_Spot], ms: float) -> _Spot:
        """Where the next read goes, as in the engine: what was used last of what is free."""
        soonest = min(spot.free for spot in places)
        begin = max(self._idle, soonest)
        spot = max((spot for spot in places if spot.free <= begin), key=lambda spot: spot.used)
        spot.begin, spot.free = begin, float("inf")
        self._idle = begin + ms
        self.reading += ms
        return spot


@dataclass
class _Spot:
    """A place of the present layer: bytes [low, high), when it is free, when weights in it were used last,
    when the last of the layer's reads into it began."""

    low: int
    high: int
    free: float
    used: float
    begin: float = -1.0


def batch_reads(w: Weights, panels: bool) -> int:
    """Reads that are in memory at once: of a block of filters, of a panel, or one that is packed."""
    if w.packed >= 0:
        return 1
    return -(-PANEL // w.raw_filters) if panels else w.block_reads
