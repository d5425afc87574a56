"""When weights arrive: storage reads one after another, as early as places allow, while the team computes.

The search takes a layer for the longer of computing and reading. Here one frame is gone through in order, so
that a read which had time to arrive earlier costs nothing, and one that had not costs what it makes wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from darkfuse.plan.layout.weights import PANEL
from darkfuse.plan.price._storage import Storage
from darkfuse.plan.program import Program, Weights, slot_bytes

SAME = 1e-7  # part of a time that sums of such times differ by, at most


class Work(NamedTuple):
    """What the team does with the weights of one layer while they arrive.

    weights : index into Program.weights
    ms : milliseconds, without waiting
    read_ms : of storage, for one read
    panels : whether each panel is done with as soon as it is computed, not only a whole block
    passes : how often the weights are read, once for each tile; `ms` is of all of them
    """

    weights: int
    ms: float
    read_ms: float
    panels: bool
    passes: int = 1


class Slot(NamedTuple):
    """Bytes [low, high) of the arena that hold a read from one moment to another, in milliseconds."""

    low: int
    high: int
    begin: float
    end: float


class Timeline(Storage):
    """One frame, stage by stage."""

    def __init__(self, program: Program) -> None:
        self.program = program

    @property
    def slots(self) -> list[Slot]:
        """Where weights lay, and when."""
        return [Slot(*slot) for slot in self.lain()]

    def stage(self, steps: int, works: Sequence[Work], rest_ms: float) -> list[float]:
        """The next stage: what each of `works` takes with all its waiting, one after the other, tile after
        tile; then `rest_ms` of anything else. Once a tile takes what the one before took, so will all that
        follow: they are not gone through."""
        self.begin(steps)  # the first of two is some 4 % of the stage: too short to price
        found = [0.0] * len(works)
        done = 0  # tiles
        for passes in sorted({work.passes for work in works}):
            left = [(n, self._pass(work)) for n, work in enumerate(works) if work.passes >= passes]
            before: list[float] = []
            while done < passes:
                state = self.state() if passes > 2 else ()
                took, more = [self._once(*one) for _, one in left], 0
                if state:
                    change = [new - old for new, old in zip(self.state(), state)]
                    in_step = _alike(change[:1], change[1:2]) or not change[2]  # storage and team
                    if in_step and _alike(took + change, before):
                        more = passes - done - 1
                        self.again(more)
                    before = took + change
                done += 1 + more
                for (n, _), ms in zip(left, took):
                    found[n] += (1 + more) * ms
        self.now += rest_ms
        return found

    def _once(self, ms: float, reads: tuple[Any, ...]) -> float:
        """The weights of a layer come, for one tile; what that takes."""
        since = self.now
        if reads:
            self.layer(*reads)
        else:  # none in the file: zeros
            self.now += ms
        return self.now - since

    def _pass(self, work: Work) -> tuple[float, tuple[Any, ...]]:
        """What the weights of a layer are for one tile: milliseconds, and what `layer` is told."""
        w, each = self.program.weights[work.weights], work.ms / work.passes
        reads = w.all_reads
        if not reads:
            return each, ()
        batch, size = batch_reads(w, work.panels), slot_bytes(w.raw_filters, w.per_filter)
        return each, (w.landings, size, w.resident, reads, batch, each / -(-reads // batch), work.read_ms)


def _alike(some: Sequence[float], others: Sequence[float]) -> bool:
    """Whether as many milliseconds are the same, but for rounding."""
    return len(some) == len(others) and all(abs(a - b) <= SAME * abs(a) for a, b in zip(some, others))


def batch_reads(w: Weights, panels: bool) -> int:
    """Reads that are in memory at once: of a block of filters, of a panel, or one that is packed."""
    if w.packed >= 0:
        return 1
    return -(-PANEL // w.raw_filters) if panels else w.block_reads
