"""Anchors for a set of labels: k-means over widths and heights, a box's distance 1 - IoU, as Darknet's."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

ROUNDS = 1000  # of k-means at most; it ends when no box changes its cluster


class Anchors(NamedTuple):
    """Anchors by area, smallest first, in the unit of the boxes; the mean IoU of boxes with their own; rounds
    of k-means."""

    sizes: tuple[tuple[float, float], ...]
    iou: float
    rounds: int


def find_anchors(boxes: Sequence[tuple[float, float]], count: int, seed: int = 0) -> Anchors:
    """Cluster the (width, height) of boxes.

    Parameters
    ----------
    boxes : sequence of (width, height)
        Positive; more of them than `count`.
    count : int
        Anchors wanted.
    seed : int
        Of the start, k-means++ (Arthur and Vassilvitskii, 2007); the same seed gives the same anchors.
    """
    from darkfuse.host.extras import need

    np: Any = need("numpy", "anchors")
    sizes, draw = np.asarray(boxes, np.float64), random.Random(seed)
    centres = sizes[[draw.randrange(len(sizes))]]
    while len(centres) < count:
        far = (1 - _ious(sizes, centres, np).max(1)) ** 2
        total = np.cumsum(far)
        if total[-1] <= 0:  # fewer sizes than anchors: the rest are any of them
            centres = np.concatenate([centres, sizes[: count - len(centres)]])
            break
        pick = int(np.searchsorted(total, draw.random() * total[-1], "right"))
        centres = np.concatenate([centres, sizes[[min(pick, len(sizes) - 1)]]])
    cluster, rounds = None, 0
    while True:
        nearest = _ious(sizes, centres, np).argmax(1)
        if rounds == ROUNDS or (cluster is not None and (nearest == cluster).all()):
            break
        cluster, rounds = nearest, rounds + 1
        for at in range(count):
            if (cluster == at).any():
                centres[at] = sizes[cluster == at].mean(0)
    overlaps = _ious(sizes, centres, np)
    order = sorted(range(count), key=lambda at: float(centres[at].prod()))
    return Anchors(tuple((float(centres[at][0]), float(centres[at][1])) for at in order),
                   float(overlaps.max(1).mean()), rounds)


def _ious(sizes: Any, centres: Any, np: Any) -> Any:
    """IoU of every box with every anchor, both at one place."""
    shared = np.minimum(sizes[:, None], centres[None]).prod(2)
    return shared / (sizes.prod(1)[:, None] + centres.prod(1)[None] - shared)
