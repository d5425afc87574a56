"""Darknet's pictures and boxes in numpy, from the formats' description alone: nothing of darkfuse in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from reference import logistic, read_cfg


def letterbox(photo: np.ndarray, width: int, height: int, keep: bool) -> np.ndarray:
    """Darknet's resizing in float32, every step rounded on its own."""
    f = np.float32
    rows, cols, channels = photo.shape
    unit = (photo / 255.0).astype(f)
    w, h = width, height
    if keep and f(width) / f(cols) < f(height) / f(rows):
        h = rows * width // cols
    elif keep:
        w = cols * height // rows
    part = np.empty((rows, w, channels), f)
    for c in range(w):
        if c == w - 1 or cols == 1:
            part[:, c] = unit[:, cols - 1]
            continue
        sx = f(c) * (f(cols - 1) / f(w - 1))
        ix = int(sx)
        dx = sx - f(ix)
        part[:, c] = (f(1) - dx) * unit[:, ix] + dx * unit[:, ix + 1]
    out = np.full((height, width, channels), f(0.5))
    for r in range(h):
        sy = f(r) * (f(rows - 1) / f(h - 1) if h > 1 else f(0))
        iy = int(sy)
        dy = sy - f(iy)
        line = (f(1) - dy) * part[iy]
        if r != h - 1 and rows > 1:
            line = line + dy * part[iy + 1]
        out[(height - h) // 2 + r, (width - w) // 2 : (width - w) // 2 + w] = line
    return out.transpose(2, 0, 1)


def region_boxes(cfg: str | Path, raw: np.ndarray, size: tuple[int, int], thresh: float,
                 nms: float) -> list[tuple[float, ...]]:
    """What a network that ends in [region] finds in a letterboxed photo of `size` (width, height).

    Rows of class, score, and centre, width and height relative to the photo, from the map before the layer:
    Darknet's `get_region_detections` and `do_nms_sort`, written plainly.
    """
    net, layers = read_cfg(cfg)
    o = layers[-1][1]
    anchors = [float(v) for v in o["anchors"].split(",")]
    count, classes = int(o["num"]), int(o["classes"])
    _, rows, cols = raw.shape
    maps = raw.reshape(count, 5 + classes, rows, cols)
    e = np.exp(maps[:, 5:] - maps[:, 5:].max(axis=1, keepdims=True))
    scores = e / e.sum(axis=1, keepdims=True) * logistic(maps[:, 4:5])
    width, height = int(net["width"]), int(net["height"])
    scale = min(width / size[0], height / size[1])
    new_w, new_h = (width, size[1] * width // size[0]) if width / size[0] == scale else \
        (size[0] * height // size[1], height)
    boxes = []
    for n, i, j in np.ndindex(count, rows, cols):
        x, y = (j + logistic(maps[n, 0, i, j])) / cols, (i + logistic(maps[n, 1, i, j])) / rows
        w = np.exp(maps[n, 2, i, j]) * anchors[2 * n] / cols
        h = np.exp(maps[n, 3, i, j]) * anchors[2 * n + 1] / rows
        boxes.append(((x - (width - new_w) / 2 / width) * width / new_w,
                      (y - (height - new_h) / 2 / height) * height / new_h,
                      w * width / new_w, h * height / new_h, scores[n, :, i, j].copy()))
    found = []
    for c in range(classes):
        left = sorted((b for b in boxes if b[4][c] > thresh), key=lambda b: -b[4][c])
        while left:
            best = left.pop(0)
            found.append((float(c), float(best[4][c]), *map(float, best[:4])))
            left = [b for b in left if iou(best, b) <= nms]
    return sorted(found, key=lambda row: -row[1])


def iou(a: tuple, b: tuple) -> float:
    """Intersection over union of two boxes (centre x, centre y, width, height, ...)."""
    sides = [min(a[k] + a[k + 2] / 2, b[k] + b[k + 2] / 2) - max(a[k] - a[k + 2] / 2, b[k] - b[k + 2] / 2)
             for k in (0, 1)]
    common = sides[0] * sides[1] if min(sides) > 0 else 0.0
    return float(common / (a[2] * a[3] + b[2] * b[3] - common))
