"""From a map's rows back to those it is computed from, whatever the tiles; `_reach.pyx` goes on."""
from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from darkfuse.plan.layout.region import Step


class Back(NamedTuple):
    """From the reach of a map to that of one it is computed from: each number times `factor`, plus an offset
    of its own."""

    factor: float
    start: float
    end: float
    done: float


@lru_cache(maxsize=4096)
def back(steps: tuple[Step, ...]) -> Back:
    """All steps from a map to one it reads, in one."""
    factor, start, end, done = 1.0, 0.0, 0.0, 0.0
    for step in steps:
        stride, before, extent = step.window.stride, step.window.pad_before, step.window.extent
        grown = 1 if step.scale > 1 else 0  # a row of an upsampled map may begin within a row that is read
        factor = factor * stride / step.scale
        start = (start / step.scale - grown) * stride - before
        end = (end / step.scale + grown - 1) * stride - before + extent
        done = (done / step.scale - 1) * stride - before + extent
    return Back(factor, start, end, done)
