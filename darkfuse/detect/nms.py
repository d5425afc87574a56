"""Non-maximum suppression, after Darknet's `do_nms_sort` and AlexeyAB's `diounms_sort`.

Both go class by class, by falling score: a box loses the class when a better one that kept it overlaps it by
more than a threshold. They differ in what overlap means (`Suppression.kind`):

    plain, cornersnms   IoU
    greedynms           IoU - (d^2 / c^2) ^ 0.6
    diounms             IoU - (d^2 / c^2) ^ beta

where d is the distance of the two centres and c the diagonal of the smallest box around both: boxes whose
centres lie apart may be two objects, however much they cover each other ("Distance-IoU Loss",
Zheng et al., 2020). What the fork's program does under each name was measured from its own boxes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from darkfuse.detect.boxes import Boxes
from darkfuse.detect.candidate import Candidate
from darkfuse.host.record import dataclass

Corners = tuple[float, float, float, float, float]  # left, top, right, bottom, area
GREEDY_BETA = 0.6


@dataclass(frozen=True)
class Suppression:
    """How boxes of a class are thinned out.

    Attributes
    ----------
    thresh : float
        Largest overlap two boxes of a class may keep; 0 keeps all.
    kind : str
        One of `model.dialect.NMS_KINDS`.
    beta : float
        The exponent of `diounms`.
    """

    thresh: float
    kind: str = "plain"
    beta: float = GREEDY_BETA

    @property
    def exponent(self) -> float | None:
        """Of the distance that overlap is reduced by; None where it is not."""
        return {"greedynms": GREEDY_BETA, "diounms": self.beta}.get(self.kind)


def nms_sort(candidates: list[Candidate], rule: Suppression) -> list[Candidate]:
    """Thin out boxes class by class; a box keeps every class in which no better one covers it.

    Candidates left with a class are returned in their old order; a threshold <= 0 keeps everything, as in
    Darknet. Distances are measured in the boxes' own units: for the fork's answers fractions of the picture.
    """
    if rule.thresh <= 0.0:
        return list(candidates)
    boxes = Boxes()
    boxes.gather(candidates)
    kept_classes: list[dict[int, float]] = [{} for _ in candidates]
    for class_id, number, score in survivors(boxes, rule):
        kept_classes[number][class_id] = score
    return [Candidate(c.box, probs) for c, probs in zip(candidates, kept_classes) if probs]


def survivors(boxes: Boxes, rule: Suppression) -> Iterator[tuple[int, int, float]]:
    """The labels that boxes keep, class by class: class, box, score. A threshold <= 0 keeps everything."""
    sides = boxes.sides
    for class_id in boxes.by_class if rule.thresh > 0.0 else sorted(boxes.by_class):
        numbers, scores = boxes.by_class[class_id]
        kept: list[Corners] = []
        # Boxes stand in the order they were met, which a stable sort leaves to equal scores
        for at in sorted(range(len(numbers)), key=scores.__getitem__, reverse=True):
            cx, cy, w, h = sides[4 * numbers[at] : 4 * numbers[at] + 4]
            corners = cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2, w * h
            if rule.thresh <= 0.0 or not _covered(corners, kept, rule.thresh, rule.exponent):
                kept.append(corners)
                yield class_id, numbers[at], scores[at]


def _covered(box: Corners, kept: Iterable[Corners], thresh: float, exponent: float | None) -> bool:
    """Whether the overlap of `box` with any of `kept` exceeds `thresh`.

    Written out without calls: at the low thresholds of an evaluation this is most of the decoding time. A
    distance only lessens the overlap, so it is looked at only where the IoU alone exceeds the threshold.
    """
    left, top, right, bottom, area = box
    for other in kept:
        l2, t2, r2, b2, area2 = other
        if l2 >= right or left >= r2 or t2 >= bottom or top >= b2:
            continue
        wide = (right if right < r2 else r2) - (left if left > l2 else l2)
        high = (bottom if bottom < b2 else b2) - (top if top > t2 else t2)
        shared = wide * high
        if shared > thresh * (area + area2 - shared) and (
                exponent is None
                or shared / (area + area2 - shared) - _distance(box, other) ** exponent > thresh):
            return True
    return False


def _distance(a: Corners, b: Corners) -> float:
    """Squared distance of the centres over the squared diagonal of the smallest box around both."""
    diagonal = (max(a[2], b[2]) - min(a[0], b[0])) ** 2 + (max(a[3], b[3]) - min(a[1], b[1])) ** 2
    if diagonal == 0.0:
        return 0.0
    return (((a[0] + a[2] - b[0] - b[2]) / 2) ** 2 + ((a[1] + a[3] - b[1] - b[3]) / 2) ** 2) / diagonal
