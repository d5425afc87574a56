"""A classifier's last map to the best of its classes."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

from darkfuse.detect.types import Label


def best(raw: Any, count: int, names: Sequence[str]) -> list[Label]:
    """The `count` classes with the largest values, best first; of equal ones the first.

    Parameters
    ----------
    raw : buffer
        float32, a value for each class.
    count : int
    names : sequence of str
        A class without a name is called by its number.
    """
    values = memoryview(raw).cast("B").cast("f")
    chosen = heapq.nlargest(count, enumerate(values), key=lambda item: (item[1], -item[0]))
    return [Label(number, names[number] if number < len(names) else str(number), value)
            for number, value in chosen]
