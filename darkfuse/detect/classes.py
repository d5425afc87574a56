"""A classifier's last map to the best of its classes."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

from darkfuse.detect.tree import among_siblings, products
from darkfuse.detect.types import Label
from darkfuse.model.tree import Tree


def best(raw: Any, count: int, names: Sequence[str], tree: Tree | None = None) -> list[Label]:
    """The `count` classes with the largest values, best first; of equal ones the first.

    Parameters
    ----------
    raw : buffer
        float32, a value for each class.
    count : int
    names : sequence of str
        A class without a name is called by its number.
    tree : Tree, optional
        Of a softmax with a word tree, `raw` being its input: the classes are then the words that no other
        word is a kind of, as in Darknet's `predict`.
    """
    values: Sequence[float] = memoryview(raw).cast("B").cast("f")
    if tree is not None:
        values = products(tree, among_siblings(tree, values), only_leaves=True)
    chosen = heapq.nlargest(count, enumerate(values), key=lambda item: (item[1], -item[0]))
    return [Label(number, names[number] if number < len(names) else str(number), value)
            for number, value in chosen]
