"""A `MapResult` as a table for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence

from darkfuse.detect.average_precision import MapResult

METRICS = ("voc11", "voc_area", "coco50", "coco")
HEADINGS = ("VOC 11-pt", "VOC area", "COCO .50", "COCO .50:.95")


def table(result: MapResult, names: Sequence[str], seconds: float) -> list[str]:
    """Lines: one per class with its average precisions in per cent, the means last.

    ``seconds`` is the time the network took over all the photos.
    """
    width = max(5, *map(len, names)) if names else 5
    head = f"{'class':<{width}}  {'objects':>7}  {'found':>7}  " + "  ".join(f"{h:>12}" for h in HEADINGS)
    lines = [head, "-" * len(head)]
    for score in result.classes:
        cells = "  ".join(_percent(getattr(score, m)) for m in METRICS)
        lines.append(f"{names[score.class_id]:<{width}}  {score.truths:>7}  {score.detections:>7}  {cells}")
    lines.append("-" * len(head))
    objects = sum(c.truths for c in result.classes)
    boxes = sum(c.detections for c in result.classes)
    cells = "  ".join(_percent(result.mean(m)) for m in METRICS)
    lines.append(f"{'mean':<{width}}  {objects:>7}  {boxes:>7}  {cells}")
    each = f", {1000 * seconds / result.images:.1f} ms each in the network" if result.images else ""
    lines.append(f"{result.images} photos{each}")
    return lines


def _percent(value: float | None) -> str:
    return f"{'-':>12}" if value is None else f"{100 * value:>11.2f}%"


def as_json(result: MapResult, names: Sequence[str], seconds: float) -> str:
    """The same figures, fractions of 1, null where a class has no objects."""
    return json.dumps(
        {
            "images": result.images,
            "network_seconds": seconds,
            "mean": {m: result.mean(m) for m in METRICS},
            "classes": [
                {
                    "class_id": c.class_id,
                    "name": names[c.class_id],
                    "objects": c.truths,
                    "detections": c.detections,
                    **{m: getattr(c, m) for m in METRICS},
                }
                for c in result.classes
            ],
        },
        indent=1,
    )
