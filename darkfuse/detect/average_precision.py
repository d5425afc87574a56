"""Mean average precision: PASCAL VOC (11-point and area) and COCO (101-point, IoU .50 to .95).

Plain Python over plain tuples, so that scoring a folder costs no more memory than detecting in it.

A *detection* is ``(class_id, confidence, x1, y1, x2, y2)``, a *truth* ``(class_id, x1, y1, x2, y2,
difficult)``; both in pixels, one list per image. Difficult truths are neither rewarded nor punished:
VOC ignores a detection that matches one, and for COCO they play the part of crowd regions.

References: the PASCAL VOC 2007 and 2012 development kits; pycocotools' ``COCOeval`` (bounding boxes, all
areas), with which the COCO figures agree to 1e-6. VOC counts a box from pixel x1 to x2 as x2 − x1 + 1 wide
because its corners are whole pixels; ours are real numbers, so the width is x2 − x1.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING

from darkfuse.host.record import dataclass

if TYPE_CHECKING:
    from darkfuse.detect.types import Result

Detection = tuple[int, float, float, float, float, float]
Truth = tuple[int, float, float, float, float, bool]
Box = tuple[float, float, float, float]

COCO_IOUS = tuple(0.5 + 0.05 * i for i in range(10))
COCO_MOST = 100  # detections per image that COCO looks at, the most confident ones


@dataclass(frozen=True)
class ClassScore:
    """Average precisions of one class, 0 to 1; ``None`` when no truth counts.

    Attributes
    ----------
    truths : int
        Objects to find, difficult ones left out.
    detections : int
    voc11, voc_area : float or None
        At IoU 0.5, VOC 2007's 11 points and VOC 2010's area under the curve.
    coco50, coco : float or None
        COCO at IoU 0.5, and the mean over IoU .50:.05:.95.
    """

    class_id: int
    truths: int
    detections: int
    voc11: float | None
    voc_area: float | None
    coco50: float | None
    coco: float | None


@dataclass(frozen=True)
class MapResult:
    """Scores of every class, and their means over the classes that occur."""

    images: int
    classes: tuple[ClassScore, ...]

    def mean(self, metric: str) -> float | None:
        """Mean of ``voc11``, ``voc_area``, ``coco50`` or ``coco`` over the classes that have one."""
        values = [v for v in (getattr(c, metric) for c in self.classes) if v is not None]
        return sum(values) / len(values) if values else None


def overlap(a: Box, b: Box, crowd: bool = False) -> float:
    """IoU of two boxes; with ``crowd``, the part of ``a`` that lies in ``b`` (COCO's rule for crowds)."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    inter = width * height
    area = (a[2] - a[0]) * (a[3] - a[1])
    union = area if crowd else area + (b[2] - b[0]) * (b[3] - b[1]) - inter
    return inter / union


def clip(det: Detection, width: float, height: float) -> Detection:
    """A detection cut to the photo's edges, as Darknet's validation does before it writes boxes."""
    c, confidence, x1, y1, x2, y2 = det
    return (
        c,
        confidence,
        min(max(x1, 0.0), width),
        min(max(y1, 0.0), height),
        min(max(x2, 0.0), width),
        min(max(y2, 0.0), height),
    )


def of_result(result: Result) -> list[Detection]:
    """The detections of one photo, for `evaluate`; `Result.xyxy` is already cut to the photo."""
    return [
        (c, confidence, *corners)
        for c, confidence, corners in zip(result.class_id, result.confidence, result.xyxy)
    ]


def ap_11_point(recall: Sequence[float], precision: Sequence[float]) -> float:
    """VOC 2007: mean over recalls 0, .1, … 1 of the best precision at that recall or above."""
    total = 0.0
    for i in range(11):
        total += max((p for r, p in zip(recall, precision) if r >= i / 10), default=0.0)
    return total / 11


def ap_area(recall: Sequence[float], precision: Sequence[float]) -> float:
    """VOC 2010: area under precision made monotonically decreasing."""
    total, best, right = 0.0, 0.0, recall[-1] if recall else 0.0
    for i in range(len(recall) - 1, -1, -1):
        best = max(best, precision[i])
        left = recall[i - 1] if i else 0.0
        total += (right - left) * best
        right = left
    return total


def ap_101_point(recall: Sequence[float], precision: Sequence[float]) -> float:
    """COCO: mean over recalls 0, .01, … 1 of the best precision at that recall or above."""
    envelope = list(precision)
    for i in range(len(envelope) - 2, -1, -1):
        envelope[i] = max(envelope[i], envelope[i + 1])
    total = 0.0
    for i in range(101):
        at = bisect_left(recall, i * 0.01)
        if at < len(envelope):
            total += envelope[at]
    return total / 101


def _curve(marks: list[tuple[float, bool]], truths: int) -> tuple[list[float], list[float]]:
    """Recall and precision after each detection; ``marks`` holds (confidence, is it right)."""
    marks = sorted(marks, key=lambda m: -m[0])
    recall, precision, right = [], [], 0
    for seen, (_, hit) in enumerate(marks, 1):
        right += hit
        recall.append(right / truths)
        precision.append(right / seen)
    return recall, precision


def _match_voc(found: list[Detection], truths: list[Truth], iou: float) -> list[tuple[float, bool]]:
    """VOC: a detection goes to the truth it overlaps most; a second one on the same truth is wrong."""
    marks: list[tuple[float, bool]] = []
    taken: set[int] = set()
    for det in found:
        best, which = iou, -1
        for i, truth in enumerate(truths):
            value = overlap(det[2:], truth[1:5])
            if value >= best and (which < 0 or value > best):
                best, which = value, i
        if which >= 0 and truths[which][5]:
            continue
        marks.append((det[1], which >= 0 and which not in taken))
        taken.add(which)
    return marks


def _match_coco(
    found: list[Detection], truths: list[Truth], table: list[list[float]], iou: float
) -> list[tuple[float, bool]]:
    """COCO: a detection goes to the free truth it overlaps most, to a crowd only if there is none.

    ``truths`` has the crowds last; ``table`` holds the overlap of each detection with each truth.
    """
    marks: list[tuple[float, bool]] = []
    taken: set[int] = set()
    for det, overlaps in zip(found, table):
        best, which = min(iou, 1 - 1e-10), -1
        for i, truth in enumerate(truths):
            if i in taken:
                continue
            if truth[5] and which >= 0 and not truths[which][5]:
                break
            if overlaps[i] >= best:
                best, which = overlaps[i], i
        if which < 0:
            marks.append((det[1], False))
        elif not truths[which][5]:
            taken.add(which)
            marks.append((det[1], True))
    return marks


def _score_class(class_id: int, found: list[list[Detection]], truths: list[list[Truth]]) -> ClassScore:
    """All metrics of one class; ``found`` and ``truths`` hold this class only, one list per image."""
    count = sum(not t[5] for image in truths for t in image)
    total = sum(map(len, found))
    if not count:
        return ClassScore(class_id, 0, total, None, None, None, None)
    voc: list[tuple[float, bool]] = []
    coco: list[list[tuple[float, bool]]] = [[] for _ in COCO_IOUS]
    for dets, objects in zip(found, truths):
        dets = sorted(dets, key=lambda d: -d[1])
        voc += _match_voc(dets, objects, 0.5)
        dets = dets[:COCO_MOST]
        objects = sorted(objects, key=lambda t: t[5])
        table = [[overlap(d[2:], t[1:5], t[5]) for t in objects] for d in dets]
        for marks, iou in zip(coco, COCO_IOUS):
            marks += _match_coco(dets, objects, table, iou)
    curve = _curve(voc, count)
    averages = [ap_101_point(*_curve(marks, count)) for marks in coco]
    return ClassScore(
        class_id,
        count,
        total,
        ap_11_point(*curve),
        ap_area(*curve),
        averages[0],
        sum(averages) / len(averages),
    )


def evaluate(
    detections: Sequence[Sequence[Detection]], truths: Sequence[Sequence[Truth]], classes: int
) -> MapResult:
    """Score the detections of a set of images against what is there.

    Parameters
    ----------
    detections, truths : one sequence per image
        As the module describes; the two run over the same images.
    classes : int
        Class ids run from 0 to ``classes - 1``; others are left out.

    Raises
    ------
    ValueError
        When the two do not run over the same number of images.
    """
    if len(detections) != len(truths):
        raise ValueError(f"detections of {len(detections)} images but labels of {len(truths)}")
    scores = []
    for c in range(classes):
        found = [[d for d in image if d[0] == c] for image in detections]
        there = [[t for t in image if t[0] == c] for image in truths]
        scores.append(_score_class(c, found, there))
    return MapResult(len(truths), tuple(scores))
