"""Non-maximum suppression, after Darknet's `do_nms_sort`."""

from __future__ import annotations

from collections.abc import Iterable

from darkfuse.detect.candidate import Candidate

Corners = tuple[float, float, float, float, float]  # left, top, right, bottom, area


def nms_sort(candidates: list[Candidate], thresh: float) -> list[Candidate]:
    """Thin out boxes class by class; a box keeps every class in which no better one covers it.

    For each class, by falling score, a box loses the class when its IoU with one that kept it exceeds
    `thresh`. Candidates left with a class are returned in their old order; `thresh` <= 0 keeps everything, as
    in Darknet.
    """
    if thresh <= 0.0:
        return list(candidates)
    rivals: dict[int, list[tuple[float, int]]] = {}
    for position, candidate in enumerate(candidates):
        for number, score in candidate.probs.items():
            rivals.setdefault(number, []).append((-score, position))
    corners: list[Corners] = []
    for cx, cy, w, h in (c.box for c in candidates):
        corners.append((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2, w * h))
    kept_classes: list[dict[int, float]] = [{} for _ in candidates]
    for number, group in rivals.items():
        kept: list[Corners] = []
        for negative, position in sorted(group):
            if not _covered(corners[position], kept, thresh):
                kept.append(corners[position])
                kept_classes[position][number] = -negative
    return [Candidate(c.box, probs) for c, probs in zip(candidates, kept_classes) if probs]


def _covered(box: Corners, kept: Iterable[Corners], thresh: float) -> bool:
    """Whether the intersection over union of `box` with any of `kept` exceeds `thresh`.

    Written out without calls: at the low thresholds of an evaluation this is most of the decoding time.
    """
    left, top, right, bottom, area = box
    for l2, t2, r2, b2, area2 in kept:
        if l2 >= right or left >= r2 or t2 >= bottom or top >= b2:
            continue
        wide = (right if right < r2 else r2) - (left if left > l2 else l2)
        high = (bottom if bottom < b2 else b2) - (top if top > t2 else t2)
        shared = wide * high
        if shared > thresh * (area + area2 - shared):
            return True
    return False
