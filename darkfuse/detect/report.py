"""Detections as text: Darknet's own lines, and JSON in the form AlexeyAB's Darknet writes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from darkfuse.detect.types import Result
from darkfuse.model.dialect import Dialect


def lines(result: Result) -> list[str]:
    """What Darknet prints: the time, then `name: 87%` for every label of every box."""
    head = f"{result.path}: Predicted in {result.seconds:f} seconds."
    return [head, *(f"{d.name}: {d.confidence * 100:.0f}%" for d in result.detections)]


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
    """Pieces of the JSON list that holds `frames` (from `json_frame`); write them one after another."""
    yield "["
    separator = "\n"
    for frame in frames:
        yield separator + frame
        separator = ",\n"
    yield "\n]\n"
