"""What Darknet's `detector valid` writes and `detector recall` prints: its forms, line by line."""

from __future__ import annotations

import os
from collections.abc import Sequence

from darkfuse.detect.average_precision import Truth, overlap
from darkfuse.detect.types import Box, Result, pixel_corners

KINDS = {"voc": "comp4_det_test_", "coco": "coco_results", "imagenet": "imagenet-detection"}
# COCO's numbers of its 80 classes: 1 to 90 without those that were never labelled
_UNUSED = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
COCO_IDS = tuple(number for number in range(1, 91) if number not in _UNUSED)
_IOU = 0.5  # from which an object counts as found


def voc_lines(result: Result) -> list[tuple[int, str]]:
    """A line for each detection, with its class: picture, score, corners in pixels counted from 1."""
    name = os.path.splitext(os.path.basename(result.path))[0]
    lines = []
    for d in result.detections:
        left, top = (d.box.cx - d.box.w / 2) * result.width + 1, (d.box.cy - d.box.h / 2) * result.height + 1
        right, bottom = left + d.box.w * result.width, top + d.box.h * result.height
        corners = max(left, 1.0), max(top, 1.0), min(right, result.width), min(bottom, result.height)
        lines.append((d.class_id, f"{name} {d.confidence:f} " + " ".join(f"{at:f}" for at in corners)))
    return lines


def imagenet_lines(result: Result, number: int) -> list[str]:
    """A line for each detection: number of the picture and of the class from 1, score, corners in pixels."""
    return [f"{number} {d.class_id + 1} {d.confidence:f} {left:f} {top:f} {right:f} {bottom:f}"
            for d, (left, top, right, bottom) in zip(result.detections, result.xyxy)]


def coco_lines(result: Result) -> list[str]:
    """An object of COCO's results for each detection of a class that COCO has."""
    lines = []
    for d in result.detections:
        if d.class_id < len(COCO_IDS):
            left, top, right, bottom = pixel_corners(d.box, result.width, result.height)
            lines.append(f'{{"image_id":{image_id(result.path)}, "category_id":{COCO_IDS[d.class_id]}, '
                         f'"bbox":[{left:f}, {top:f}, {right - left:f}, {bottom - top:f}], '
                         f'"score":{d.confidence:f}}}')
    return lines


def image_id(path: str) -> int:
    """COCO's number of a picture: the digits after the last `_`, or of the whole name."""
    digits = ""
    for letter in os.path.basename(path).rpartition("_")[2]:
        if not letter.isdigit():
            break
        digits += letter
    return int(digits or 0)


class Recall:
    """Objects found, whatever their class: `add` picture by picture gives the line Darknet prints."""

    def __init__(self) -> None:
        self.pictures = self.objects = self.found = self.proposals = 0
        self.overlap = 0.0

    def add(self, boxes: Sequence[Box], there: Sequence[Truth]) -> str:
        """Count a picture; boxes (`decode.by_objectness`) and what is there are fractions of it."""
        corners = [(cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2) for cx, cy, w, h in boxes]
        self.proposals += len(corners)
        for truth in there:
            best = max((overlap(box, truth[1:5]) for box in corners), default=0.0)
            self.objects += 1
            self.overlap += best
            self.found += best > _IOU
        self.pictures += 1
        all_of = max(1, self.objects)
        return (f"{self.pictures - 1:5d} {self.found:5d} {self.objects:5d}\t"
                f"RPs/Img: {self.proposals / self.pictures:.2f}\tIOU: {self.overlap * 100 / all_of:.2f}%\t"
                f"Recall:{100.0 * self.found / all_of:.2f}%")
