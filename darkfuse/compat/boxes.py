"""Non-maximum suppression over plain lists of boxes, as `cv2.dnn.NMSBoxes`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from darkfuse.compat.fault import fault

if TYPE_CHECKING:
    import numpy as np


def chosen(boxes: Sequence[Sequence[float]], scores: Sequence[float], score_threshold: float,
           nms_threshold: float, eta: float = 1.0, top_k: int = 0) -> list[int]:
    """Positions of the boxes kept, best first; equal scores keep their order."""
    order = sorted((at for at, score in enumerate(scores) if score > score_threshold),
                   key=lambda at: -scores[at])
    if top_k > 0:
        order = order[:top_k]
    kept: list[int] = []
    limit = nms_threshold
    for at in order:
        if all(_overlap(boxes[at], boxes[other]) <= limit for other in kept):
            kept.append(at)
            if eta < 1 and limit > 0.5:
                limit *= eta
    return kept


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """IoU of two boxes (left, top, width, height); 1 of two without area, as OpenCV has it."""
    area = a[2] * a[3] + b[2] * b[3]
    if area <= 0:
        return 1.0
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    high = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = wide * high if wide > 0 and high > 0 else 0.0
    return shared / (area - shared)


def _lists(boxes: Any, scores: Any) -> tuple[list[list[float]], list[float]]:
    found = [[float(value) for value in box] for box in boxes], [float(score) for score in scores]
    if len(found[0]) != len(found[1]):
        raise fault(f"{len(found[0])} boxes but {len(found[1])} scores")
    if any(len(box) != 4 for box in found[0]):
        raise fault("a box is (left, top, width, height)")
    return found


def _ids(kept: list[int]) -> np.ndarray | tuple[()]:
    import numpy as np

    return np.array(kept, np.int32) if kept else ()


def NMSBoxes(bboxes: Any, scores: Any, score_threshold: float, nms_threshold: float,
             eta: float = 1.0, top_k: int = 0) -> np.ndarray | tuple[()]:
    """Thin out overlapping boxes, whatever their class.

    Parameters
    ----------
    bboxes : sequence of (left, top, width, height)
    scores : sequence of float
    score_threshold : float
        Only boxes above it take part.
    nms_threshold : float
        Largest IoU two kept boxes may have.
    eta : float
        Below 1 the threshold shrinks by it after each box kept, down to 0.5.
    top_k : int
        At most so many of the best take part; 0 is all.

    Returns
    -------
    ndarray or ()
        Positions kept, best first, int32; an empty tuple when there are none, as OpenCV gives.
    """
    return _ids(chosen(*_lists(bboxes, scores), score_threshold, nms_threshold, eta, top_k))


def NMSBoxesBatched(bboxes: Any, scores: Any, class_ids: Any, score_threshold: float,
                    nms_threshold: float, eta: float = 1.0, top_k: int = 0) -> np.ndarray | tuple[()]:
    """`NMSBoxes` for each class by itself: boxes of different classes never suppress each other."""
    boxes, values = _lists(bboxes, scores)
    ids = [int(number) for number in class_ids]
    if not boxes:
        return ()
    # OpenCV's way: each class is moved out of the others' reach
    farthest = max(max(x + w, y + h) for x, y, w, h in boxes)
    moved = [[x + number * (farthest + 1), y + number * (farthest + 1), w, h]
             for (x, y, w, h), number in zip(boxes, ids)]
    return _ids(chosen(moved, values, score_threshold, nms_threshold, eta, top_k))
