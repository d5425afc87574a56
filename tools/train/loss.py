"""The YOLOv2 region loss (YOLO9000, section 2; Darknet's region layer), with CIoU for the boxes.

Kept from Darknet: one anchor per object, the one of best shape IoU in the cell of the object's centre;
no objectness penalty where a prediction overlaps an object by more than ``thresh``; ``rescore``.
Changed: cross entropy instead of squared errors, CIoU (arXiv 1911.08287) instead of squared offsets, and
objectness is drawn to (1 + IoU) / 2 rather than IoU so that the default threshold of 0.5 stays useful.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from net import decode
from torch import Tensor


def ciou(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and complete IoU of boxes (N, 4) given as centre x, y, width, height."""
    low = torch.maximum(a[:, :2] - a[:, 2:] / 2, b[:, :2] - b[:, 2:] / 2)
    high = torch.minimum(a[:, :2] + a[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2)
    inter = (high - low).clamp_min(0).prod(1)
    iou = inter / (a[:, 2:].prod(1) + b[:, 2:].prod(1) - inter + 1e-9)
    outer = torch.maximum(a[:, :2] + a[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2) - torch.minimum(
        a[:, :2] - a[:, 2:] / 2, b[:, :2] - b[:, 2:] / 2
    )
    distance = (a[:, :2] - b[:, :2]).square().sum(1) / (outer.square().sum(1) + 1e-9)
    angle = torch.atan(b[:, 2] / b[:, 3]) - torch.atan(a[:, 2] / a[:, 3])
    aspect = 4 / math.pi**2 * angle.square()
    with torch.no_grad():
        weight = aspect / (1 - iou + aspect + 1e-9)
    return iou, iou - distance - weight * aspect


class RegionLoss:
    """Loss of a raw region map against boxes in pixels."""

    def __init__(self, anchors: list[tuple[float, float]], classes: int, ignore: float = 0.6) -> None:
        self.anchors, self.classes, self.ignore = anchors, classes, ignore
        self.sizes = torch.tensor(anchors)

    def _targets(self, boxes: list[np.ndarray], cell: float, h: int, w: int) -> tuple[Tensor, ...]:
        """Indices (image, anchor, row, column), boxes in cells and classes of the objects to find."""
        taken: dict[tuple[int, int, int, int], tuple[list[float], int]] = {}
        for i, rows in enumerate(boxes):
            for c, x1, y1, x2, y2, difficult in rows.tolist():
                if difficult:
                    continue
                bw, bh = (x2 - x1) / cell, (y2 - y1) / cell
                x, y = (x1 + x2) / 2 / cell, (y1 + y2) / 2 / cell
                inter = self.sizes.clamp(max=torch.tensor([bw, bh])).prod(1)
                best = int((inter / (self.sizes.prod(1) + bw * bh - inter)).argmax())
                key = (i, best, min(int(y), h - 1), min(int(x), w - 1))
                taken[key] = ([x, y, bw, bh], int(c))
        index = torch.tensor(list(taken), dtype=torch.long).view(-1, 4)
        return (
            index,
            torch.tensor([t for t, _ in taken.values()]).view(-1, 4),
            torch.tensor([c for _, c in taken.values()], dtype=torch.long),
        )

    def _free(self, pred: Tensor, boxes: list[np.ndarray], cell: float) -> Tensor:
        """Where background is to be learned (B, A, H, W): no object, nor a difficult one, overlaps."""
        free = torch.ones(pred.shape[:-1], dtype=torch.bool)
        low, high = pred[..., :2] - pred[..., 2:] / 2, pred[..., :2] + pred[..., 2:] / 2
        own = pred[..., 2:].prod(-1)
        for i, rows in enumerate(boxes):
            if not len(rows):
                continue
            gt = torch.from_numpy(rows[:, 1:5] / cell)
            inter = (
                (
                    torch.minimum(high[i, ..., None, :], gt[:, 2:])
                    - torch.maximum(low[i, ..., None, :], gt[:, :2])
                )
                .clamp_min(0)
                .prod(-1)
            )
            area = (gt[:, 2:] - gt[:, :2]).prod(-1)
            iou = inter / (own[i, ..., None] + area - inter + 1e-9)
            hard = torch.from_numpy(rows[:, 5] > 0)
            # A difficult object excuses any prediction that lies mostly inside it.
            inside = inter / (own[i, ..., None] + 1e-9)
            excused = (iou > self.ignore) | (hard & ((inside > 0.7) | (iou > 0.4)))
            free[i] = ~excused.any(-1)
        return free

    def __call__(self, raw: Tensor, boxes: list[np.ndarray], size: int) -> tuple[Tensor, dict[str, float]]:
        """Mean loss per object and its parts; ``boxes`` as `data.Sample.boxes`, one array per image."""
        h, w = raw.shape[2:]
        cell = size / w
        pred, obj, scores = decode(raw, self.anchors, self.classes)
        index, want, label = self._targets(boxes, cell, h, w)
        with torch.no_grad():
            free = self._free(pred, boxes, cell)
        at = tuple(index.T)
        free[at] = False
        count = max(len(index), len(boxes) // 2)
        nothing = (
            F.binary_cross_entropy_with_logits(obj[free], torch.zeros(int(free.sum())), reduction="sum")
            / count
        )
        iou, complete = ciou(pred[at], want)
        goal = (1 + iou.detach().clamp(0, 1)) / 2
        thing = F.binary_cross_entropy_with_logits(obj[at], goal, reduction="sum") / count
        box = (1 - complete).sum() / count
        kind = F.cross_entropy(scores[at], label, reduction="sum", label_smoothing=0.02) / count
        parts = {"box": box.item(), "obj": thing.item(), "noobj": nothing.item(), "class": kind.item()}
        return 2.5 * box + thing + nothing + kind, parts
