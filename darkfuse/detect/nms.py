"""Non-maximum suppression, after Darknet's `do_nms_sort`."""

from __future__ import annotations

from darkfuse.detect.candidate import Candidate
from darkfuse.detect.types import Box


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes in the same units; 0 when they do not meet."""
    wide = min(a.cx + a.w / 2, b.cx + b.w / 2) - max(a.cx - a.w / 2, b.cx - b.w / 2)
    high = min(a.cy + a.h / 2, b.cy + b.h / 2) - max(a.cy - a.h / 2, b.cy - b.h / 2)
    if wide <= 0.0 or high <= 0.0:
        return 0.0
    shared = wide * high
    return shared / (a.w * a.h + b.w * b.h - shared)


def nms_sort(candidates: list[Candidate], thresh: float) -> list[Candidate]:
    """Thin out boxes class by class; a box keeps every class in which no better one covers it.

    For each class, by falling score, a box loses the class when its IoU with one that kept it exceeds
    `thresh`. Candidates left with a class are returned in their old order; `thresh` <= 0 keeps everything, as
    in Darknet.
    """
    if thresh <= 0.0:
        return list(candidates)
    rivals: dict[int, list[Candidate]] = {}
    for candidate in candidates:
        for number in candidate.probs:
            rivals.setdefault(number, []).append(candidate)
    survivors: list[dict[int, float]] = []
    lost: set[tuple[int, int]] = set()
    for number, group in rivals.items():
        group.sort(key=lambda c: -c.probs[number])
        kept: list[Box] = []
        for candidate in group:
            if any(iou(better, candidate.box) > thresh for better in kept):
                lost.add((id(candidate), number))
            else:
                kept.append(candidate.box)
    for candidate in candidates:
        survivors.append({n: p for n, p in candidate.probs.items() if (id(candidate), n) not in lost})
    return [Candidate(c.box, probs) for c, probs in zip(candidates, survivors) if probs]
