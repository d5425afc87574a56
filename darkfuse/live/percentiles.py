"""Percentiles of durations in a run that may last for weeks."""

from __future__ import annotations

import math
from array import array

STEPS = 60  # to a factor of e
_LEAST = 0.05  # ms
_COUNTS = 1024


class Percentiles:
    """Percentiles of any number of durations, in 8 kB: how many fell into each step of 1.7%."""

    def __init__(self) -> None:
        self._counts = array("q", bytes(8 * _COUNTS))
        self.total = 0

    def add(self, ms: float) -> None:
        """Count one duration; below 0.05 ms and above 20 minutes all count alike."""
        at = int(math.log(max(ms, _LEAST) / _LEAST) * STEPS)
        self._counts[min(at, _COUNTS - 1)] += 1
        self.total += 1

    def percentile(self, percent: float) -> float:
        """The duration in ms that `percent` of all do not exceed; 0 when there are none."""
        left = self.total * percent / 100
        for at, count in enumerate(self._counts):
            left -= count
            if count and left <= 0:
                return _LEAST * math.exp((at + 0.5) / STEPS)
        return 0.0

    def words(self) -> str:
        """p50, p95 and p99 for people to read."""
        return " / ".join(f"{self.percentile(p):.1f}" for p in (50, 95, 99))
