"""What the decoders share: a candidate box, and arithmetic that saturates where C's floats would.

What is not finite in a map stays so, and is a candidate whatever the threshold: `decode` counts and drops it.
A comparison with NaN is false, so thresholds are written `not value <= thresh`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from darkfuse.detect.types import Box
from darkfuse.graph.ir import Shape
from darkfuse.host.record import dataclass


@dataclass
class Candidate:
    """A box on its way through NMS; `probs` holds the classes whose score exceeds the threshold.

    Decoders leave out boxes without such a class, unless told to judge by `objectness` alone (`classless`).
    """

    box: Box
    probs: dict[int, float]
    objectness: float = 0.0


def float_view(raw: Any, shape: Shape) -> memoryview[float]:
    """A flat view of float32 values over any contiguous buffer that holds one map of `shape`."""
    view = memoryview(raw)
    if not view.c_contiguous or view.format not in ("f", "<f", "B", "b", "c"):
        raise ValueError(f"expected contiguous float32 values, got format {view.format!r}")
    if view.nbytes != shape.bytes:
        raise ValueError(f"expected {shape.bytes} bytes for a map of {shape}, got {view.nbytes}")
    return view.cast("B").cast("f")


def logistic(x: float) -> float:
    """1 / (1 + e^-x) without overflow; NaN of what is not finite."""
    if not math.isfinite(x):
        return math.nan
    return 1.0 / (1.0 + math.exp(-x)) if x > -700.0 else 0.0


def logit(p: float) -> float:
    """The x whose logistic is p; infinite at and beyond 0 and 1."""
    if p <= 0.0:
        return -math.inf
    return math.inf if p >= 1.0 else math.log(p / (1.0 - p))


def exp32(x: float) -> float:
    """e^x, infinite where a float32 would be; NaN of what is not finite."""
    if not math.isfinite(x):
        return math.nan
    return math.exp(x) if x < 88.72 else math.inf


def passing(raw: memoryview[float], start: int, count: int, limit: float) -> Iterator[int]:
    """Positions in raw[start : start + count] whose value exceeds `limit`, or is NaN."""
    return (i for i, value in enumerate(raw[start : start + count]) if not value <= limit)


def is_finite(candidate: Candidate) -> bool:
    """Whether its box and all its scores can be drawn or written down."""
    return math.isfinite(sum(candidate.box)) and math.isfinite(sum(candidate.probs.values()))
