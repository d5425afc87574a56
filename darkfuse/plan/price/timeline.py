"""When weights arrive: storage reads one after another, as early as places allow, while the team computes.

The search takes a layer for the longer of computing and reading. Here one frame is gone through in order, so
that a read which had time to arrive earlier costs nothing, and one that had not costs what it makes wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from darkfuse.plan.layout.weights import PANEL
from darkfuse.plan.price._storage import Storage
from darkfuse.plan.program import Program, Weights, slot_bytes


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
        tile; then `rest_ms` of anything else."""
        self.begin(steps)  # the first of two is some 4 % of the stage: too short to price
        found = [0.0] * len(works)
        for turn in range(max([work.passes for work in works], default=0)):
            for number, work in enumerate(works):
                if turn < work.passes:
                    since = self.now
                    self._once(work)
                    found[number] += self.now - since
        self.now += rest_ms
        return found

    def _once(self, work: Work) -> None:
        """The weights of a layer come, for one tile."""
        w = self.program.weights[work.weights]
        if w.all_reads:
            batch, size = batch_reads(w, work.panels), slot_bytes(w.raw_filters, w.per_filter)
            self.layer(w.landings, size, w.resident, w.all_reads, batch,
                       work.ms / work.passes / -(-w.all_reads // batch), work.read_ms)
        else:  # none in the file: zeros
            self.now += work.ms / work.passes


def batch_reads(w: Weights, panels: bool) -> int:
    """Reads that are in memory at once: of a block of filters, of a panel, or one that is packed."""
    if w.packed >= 0:
        return 1
    return -(-PANEL // w.raw_filters) if panels else w.block_reads
