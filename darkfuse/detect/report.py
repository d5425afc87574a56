"""Detections as text: Darknet's own lines, and JSON in the form AlexeyAB's Darknet writes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from darkfuse.detect.types import Detection, Result
from darkfuse.model.dialect import Dialect


def lines(result: Result, corners: bool = False) -> list[str]:
    """What Darknet prints: the time, then `name: 87%` for every label of every box.

    With `corners` each is followed by where it is in pixels, as AlexeyAB's `-ext_output` says it.
    """
    head = f"{result.path}: Predicted in {result.seconds:f} seconds."
    return [head, *(_line(d, result, corners) for d in result.detections)]


def alexeyab_lines(result: Result, corners: bool = False) -> list[str]:
    """What AlexeyAB's `detector test` prints, word for word: boxes from left to right, best label first."""
    head = f"{result.path}: Predicted in {result.seconds * 1000:f} milli-seconds."
    boxes = sorted(result.by_box(), key=lambda group: group[0].cx - group[0].w / 2)
    rest = [sorted(labels[1:], key=lambda d: d.class_id) for _, labels in boxes]
    return [head, *(_line(d, result, corners) for (_, labels), others in zip(boxes, rest)
                    for d in (labels[0], *others))]


def _line(d: Detection, result: Result, corners: bool) -> str:
    text = f"{d.name}: {d.confidence * 100:.0f}%"
    if not corners:
        return text
    box = d.box
    left, top = (box.cx - box.w / 2) * result.width, (box.cy - box.h / 2) * result.height
    return (f"{text}\t(left_x: {left:4.0f}   top_y: {top:4.0f}   width: {box.w * result.width:4.0f}   "
            f"height: {box.h * result.height:4.0f})")


def film_lines(result: Result, corners: bool, fps: float, mean_fps: float) -> list[str]:
    """What AlexeyAB's `detector demo` prints of a frame: a line a box, then frames a second."""
    lines = ["Objects:", ""]
    for box, labels in result.by_box():
        text = ", ".join(f"{d.name}: {d.confidence * 100:.0f}% " for d in labels)
        if corners:
            left, top = (int(max(0.0, at) * size) for at, size in
                         ((box.cx - box.w / 2, result.width), (box.cy - box.h / 2, result.height)))
            wide, high = min(box.w, 1.0) * result.width, min(box.h, 1.0) * result.height
            text += f"\t(left_x: {left:4d}   top_y: {top:4d}   width: {wide:4.0f}   height: {high:4.0f})"
        lines.append(text)
    return [*lines, "", f"FPS:{fps:.1f} \t AVG_FPS:{mean_fps:.1f}"]


def label_lines(result: Result) -> list[str]:
    """Boxes as Darknet trains on them, and as its `-save_labels` writes: class, centre, size as fractions."""
    return [f"{labels[0].class_id} {box.cx:.4f} {box.cy:.4f} {box.w:.4f} {box.h:.4f}"
            for box, labels in result.by_box()]


def json_frame(result: Result, frame_id: int, stats: Mapping[str, float] | None = None,
               dialect: Dialect | None = None) -> str:
    """One image as a JSON object; `frame_id` counts from 1. Coordinates are fractions of the image.

    `stats`, what the frame took, and the `dialect` are our own additions; readers of Darknet's form do not
    look for them.
    """
    objects = []
    for d in result.detections:
        box = d.box
        objects.append(
            f'  {{"class_id": {d.class_id}, "name": {json.dumps(d.name)}, "relative_coordinates": '
            f'{{"center_x": {box.cx:.6f}, "center_y": {box.cy:.6f}, "width": {box.w:.6f}, '
            f'"height": {box.h:.6f}}}, "confidence": {d.confidence:.6f}}}'
        )
    inner = "\n" + ",\n".join(objects) + "\n " if objects else ""
    tail = f',\n "stats": {json.dumps(stats)}' if stats is not None else ""
    if result.not_finite:
        tail += f',\n "not_finite": {result.not_finite}'
    if dialect is not None:
        tail += f',\n "dialect": {json.dumps({"name": dialect.name, "why": dialect.why})}'
    return (f'{{\n "frame_id": {frame_id},\n "filename": {json.dumps(result.path)},\n'
            f' "objects": [{inner}]{tail}\n}}')


def objects(result: Result) -> list[dict[str, Any]]:
    """Detections for a line of JSON, named as in `json_frame`. Coordinates are fractions of the image."""
    return [{
        "class_id": d.class_id, "name": d.name, "confidence": round(d.confidence, 6),
        "relative_coordinates": {"center_x": round(d.box.cx, 6), "center_y": round(d.box.cy, 6),
                                 "width": round(d.box.w, 6), "height": round(d.box.h, 6)},
    } for d in result.detections]


def json_document(frames: Iterable[str]) -> Iterator[str]:
    """Pieces of the JSON list that holds `frames` (from `json_frame`); write them one after another.

    Nothing comes before the first frame, so that an only picture that cannot be read leaves no open list.
    """
    lead = "[\n"
    for frame in frames:
        yield lead + frame
        lead = ",\n"
    yield "\n]\n" if lead == ",\n" else "[\n]\n"
