"""Scores of the classes of a word tree, after Darknet's `tree.c`: a softmax for each set of siblings."""

from __future__ import annotations

import math
from collections.abc import Sequence

from darkfuse.model.tree import Tree


def among_siblings(tree: Tree, raw: Sequence[float], temperature: float = 1.0) -> list[float]:
    """Each class's probability, given its parent."""
    found: list[float] = []
    for first, count in tree.groups:
        values = raw[first : first + count]
        largest = max(values)
        powers = [math.exp((value - largest) / temperature) for value in values]
        total = math.fsum(powers)
        found += [power / total for power in powers]
    return found


def products(tree: Tree, scores: Sequence[float], only_leaves: bool = False) -> list[float]:
    """Each class's own probability: its score times those of all it is a kind of (`hierarchy_predictions`).

    With `only_leaves` classes that others are a kind of count as 0.
    """
    found = list(scores)
    for place, parent in enumerate(tree.parents):
        if parent >= 0:
            found[place] *= found[parent]
    if only_leaves:
        found = [0.0 if child >= 0 else value for value, child in zip(found, tree.children)]
    return found


def most_special(tree: Tree, scores: Sequence[float], thresh: float) -> int:
    """The class found by going down from the top, to the best of the siblings, while it is probable enough.

    As Darknet's `hierarchy_top_prediction`, which is given `products` and multiplies them again on the way.
    """
    probability, group = 1.0, 0
    while True:
        first, count = tree.groups[group]
        best = max(range(first, first + count), key=scores.__getitem__)
        if not probability * scores[best] > thresh:
            return best if group == 0 else tree.parents[first]
        probability *= scores[best]
        group = tree.children[best]
        if group < 0:
            return best
