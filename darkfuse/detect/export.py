"""A `Result` in the forms other programs read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from darkfuse.errors import DarkfuseError

if TYPE_CHECKING:
    from darkfuse.detect.types import Result

COLUMNS = ("class_id", "name", "confidence", "xmin", "ymin", "xmax", "ymax")


def rows(result: Result) -> list[tuple[Any, ...]]:
    """`COLUMNS` of each detection; edges in pixels, within the picture."""
    return [(d.class_id, d.name, d.confidence, *corners)
            for d, corners in zip(result.detections, result.xyxy)]


def as_dict(result: Result) -> dict[str, Any]:
    """Picture and detections as plain values."""
    found = [{"class_id": number, "name": name, "confidence": confidence, "box": list(corners)}
             for number, name, confidence, *corners in rows(result)]
    return {"path": result.path, "width": result.width, "height": result.height, "seconds": result.seconds,
            "detections": found}


def as_csv(result: Result) -> str:
    """A line of `COLUMNS`, then one a detection."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number, name, confidence, *edges in rows(result):
        writer.writerow((number, name, f"{confidence:.6f}", *(f"{edge:.2f}" for edge in edges)))
    return text.getvalue()


def as_coco(result: Result, image_id: int) -> list[dict[str, Any]]:
    """COCO's results format: box as left, top, width, height in pixels."""
    return [{"image_id": image_id, "category_id": number, "bbox": [left, top, right - left, bottom - top],
             "score": score} for number, _, score, left, top, right, bottom in rows(result)]


def as_json(result: Result) -> str:
    """`as_dict` as JSON."""
    return json.dumps(as_dict(result), indent=1)


def as_pandas(result: Result) -> Any:
    """A pandas DataFrame of `COLUMNS`. Raises `DarkfuseError` when pandas is not installed."""
    return _library("pandas").DataFrame(rows(result), columns=list(COLUMNS))


def as_supervision(result: Result) -> Any:
    """`supervision.Detections`. Raises `DarkfuseError` when supervision is not installed."""
    library = _library("supervision")
    boxes, confidence, class_id = result.numpy()
    import numpy as np

    return library.Detections(xyxy=boxes, confidence=confidence, class_id=class_id,
                              data={"class_name": np.array(result.names)})


def _library(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise DarkfuseError(f"{name} is needed for this, and cannot be loaded ({error}): "
                            f"pip install {name}") from None
