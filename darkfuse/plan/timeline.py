"""When weights arrive: storage reads one after another, as early as places allow, while the team computes.

The search takes a layer for the longer of computing and reading. Here one frame is gone through in order, so
that a read which had time to arrive earlier costs nothing, and one that had not costs what it makes wait.
"""

from __future__ import annotations

from typing import List, NamedTuple, Sequence, Tuple

from darkfuse.plan.program import Program, Weights, slot_bytes
from darkfuse.plan.weights import PANEL


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
        self._starts: List[float] = []  # of steps
        self.slots: List[Slot] = []
        self._used: List[Slot] = []  # those of `slots` that no later read lies in

    def stage(self, steps: int, works: Sequence[Work], rest_ms: float) -> List[float]:
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
        waiting: List[Tuple[int, float]] = []  # where, and since when
        for n in range(w.all_reads):
            if n >= w.kept:
                low, step = w.reads[n - w.kept]
                waiting.append((low, self._read(low, low + size, self._starts[step], work.read_ms)))
            if (n + 1) % batch == 0 or n + 1 == w.all_reads:
                late = max(0.0, self._idle - self.now) if waiting else 0.0
                self.waiting += late
                self.now += late + each
                new = [Slot(low, low + size, begin, self.now) for low, begin in waiting]
                self.slots += new
                self._used += new
                waiting.clear()

    def _read(self, low: int, high: int, start: float, ms: float) -> float:
        """When the next read begins, whose place the arena has from `start` on."""
        others = []
        for used in self._used:
            if used.low < high and low < used.high:
                start = max(start, used.end)
            else:
                others.append(used)
        self._used = others
        start = max(self._idle, start)
        self._idle = start + ms
        self.reading += ms
        return start


def batch_reads(w: Weights, panels: bool) -> int:
    """Reads that are in memory at once: of a block of filters, of a panel, or one that is packed."""
    if w.packed >= 0:
        return 1
    return -(-PANEL // w.raw_filters) if panels else w.block_reads
