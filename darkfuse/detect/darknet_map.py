"""Mean average precision as AlexeyAB's `detector map` counts it, and the lines it prints.

Unlike VOC's and COCO's own (`average_precision`): a detection belongs to the object of its class that it
overlaps most by more than the limit, the mean is over all classes, those without objects too, and what stands
above a confidence of its own (0.25) is counted as right or wrong besides. There a second box on an object is
wrong whichever comes first in the order its NMS left; here the most confident one is right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from darkfuse.detect.average_precision import Detection, Truth, ap_area, overlap
from darkfuse.host.record import dataclass

MARK = 100  # detections after which the fork says how far it is


@dataclass(frozen=True)
class Rules:
    """What the flags say: `-thresh`, `-iou_thresh`, `-points` (0: the area under the curve)."""

    confidence: float = 0.25
    iou: float = 0.5
    points: int = 0


@dataclass
class Tally:
    """Of one class: its objects; of what is above the confidence, the right ones, the wrong ones, and the
    summed IoU of the right ones. `marks` has each detection's confidence and the object it found."""

    objects: int = 0
    right: int = 0
    wrong: int = 0
    overlap: float = 0.0

    def __post_init__(self) -> None:
        self.marks: list[tuple[float, tuple[int, int] | None]] = []  # picture, number in it

    def average_precision(self, points: int) -> float:
        """Area under the curve, or the mean over so many recalls of the best precision from there on."""
        recall, precision, found = [], [], set()
        for seen, (_, which) in enumerate(sorted(self.marks, key=lambda mark: -mark[0]), 1):
            if which is not None:
                found.add(which)
            recall.append(len(found) / self.objects if self.objects else 0.0)
            precision.append(len(found) / seen)
        if not points:
            return ap_area(recall, precision)
        levels = [at / (points - 1) if points > 1 else 0.0 for at in range(points)]
        best = [max((p for r, p in zip(recall, precision) if r >= level), default=0.0) for level in levels]
        return sum(best) / points


def tally(detections: Sequence[Sequence[Detection]], truths: Sequence[Sequence[Truth]], classes: int,
          rules: Rules) -> list[Tally]:
    """Count the detections of a set of pictures, in `average_precision`'s form, class by class.

    A detection of an object marked difficult counts neither way; such objects are none to be found.
    """
    tallies = [Tally() for _ in range(classes)]
    for picture, (found, there) in enumerate(zip(detections, truths)):
        for truth in there:
            if not truth[5]:
                tallies[truth[0]].objects += 1
        taken = set()
        for detection in sorted(found, key=lambda d: -d[1]):
            number, confidence = detection[:2]
            own = tallies[number]
            overlaps = [(overlap(detection[2:], truth[1:5]), -at, truth[5]) for at, truth in enumerate(there)
                        if truth[0] == number]
            best, at, _ = max((one for one in overlaps if not one[2]), default=(0.0, 0, False))
            which = (picture, -at) if best > rules.iou else None
            if which is None and any(one > rules.iou for one, _, difficult in overlaps if difficult):
                continue
            own.marks.append((confidence, which))
            if confidence > rules.confidence:
                if which is not None and which not in taken:
                    own.right += 1
                    own.overlap += best
                else:
                    own.wrong += 1
            if which is not None:
                taken.add(which)
    return tallies


def map_lines(tallies: Sequence[Tally], names: Sequence[str], rules: Rules) -> list[str]:
    """What the fork prints once all pictures have been looked at."""
    total = sum(len(own.marks) for own in tallies)
    objects = sum(own.objects for own in tallies)
    lines = [f"\n detections_count = {total}, unique_truth_count = {objects}  "]
    progress = "".join(f" rank = {rank} of ranks = {total} \r" for rank in range(0, total, MARK))
    averages = [own.average_precision(rules.points) for own in tallies]
    for number, (own, average) in enumerate(zip(tallies, averages)):
        lines.append(f"class_id = {number}, name = {names[number]}, ap = {average * 100:2.2f}%   \t "
                     f"(TP = {own.right}, FP = {own.wrong}) ")
    lines[1] = progress + lines[1]
    right, wrong = sum(own.right for own in tallies), sum(own.wrong for own in tallies)
    precision, recall = _part(right, right + wrong), _part(right, objects)
    iou = sum(own.overlap for own in tallies) / max(1, right + wrong)
    mean = sum(averages) / len(averages)
    lines.append(f"\n for conf_thresh = {rules.confidence:1.2f}, precision = {precision:1.2f}, recall = "
                 f"{recall:1.2f}, F1-score = {_part(2 * precision * recall, precision + recall):1.2f} ")
    lines.append(f" for conf_thresh = {rules.confidence:0.2f}, TP = {right}, FP = {wrong}, "
                 f"FN = {objects - right}, average IoU = {iou * 100:2.2f} % ")
    used = f"{rules.points} Recall-points" if rules.points else "Area-Under-Curve for each unique Recall"
    lines.append(f"\n IoU threshold = {rules.iou * 100:2.0f} %, used {used} ")
    lines.append(f" mean average precision (mAP@{rules.iou:0.2f}) = {mean:f}, or {mean * 100:2.2f} % ")
    return lines


POINTS = ("\nSet -points flag:\n `-points 101` for MS COCO \n"
          " `-points 11` for PascalVOC 2007 (uncomment `difficult` in voc.data) \n"
          " `-points 0` (AUC) for ImageNet, PascalVOC 2010-2012, your custom dataset")


def _part(some: float, whole: float) -> float:
    return some / whole if whole else math.nan
