"""Photos and YOLO-format labels in memory, and the augmentation: mosaic, affine, flip, colour."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

GREY = 128  # what letterboxing pads with: 0.5


class Sample:
    """One photo (H, W, 3) uint8 RGB and its boxes (N, 6): class, x1, y1, x2, y2 in pixels, difficult."""

    def __init__(self, image: np.ndarray, boxes: np.ndarray) -> None:
        self.image, self.boxes = image, boxes


def read_boxes(label: Path, width: int, height: int) -> np.ndarray:
    """Boxes of ``NAME.txt`` and, marked difficult, of ``NAME.difficult.txt``."""
    rows = []
    for path, difficult in ((label, 0.0), (label.with_suffix(".difficult.txt"), 1.0)):
        if not path.exists():
            continue
        for line in path.read_text().splitlines():
            c, x, y, w, h = map(float, line.split())
            rows.append(
                [
                    c,
                    (x - w / 2) * width,
                    (y - h / 2) * height,
                    (x + w / 2) * width,
                    (y + h / 2) * height,
                    difficult,
                ]
            )
    return np.array(rows, np.float32).reshape(-1, 6)


def load(data: str | Path) -> dict[str, Sample]:
    """Every photo of ``data/images`` with its labels, decoded, by stem in sorted order."""
    samples = {}
    for path in sorted(Path(data, "images").glob("*.jpg")):
        bgr = cv2.imread(str(path))
        if bgr is None:
            raise SystemExit(f"{path}: not a picture that can be read")
        image = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        height, width = image.shape[:2]
        samples[path.stem] = Sample(
            image, read_boxes(Path(data, "labels", path.stem + ".txt"), width, height)
        )
    return samples


def letterbox(image: np.ndarray, size: int) -> tuple[np.ndarray, float, int, int]:
    """Fit into a grey square as Darknet does (bilinear, corners aligned); also scale, left and top.

    Returns float32 (size, size, 3) in 0..1.
    """
    h, w = image.shape[:2]
    if size / w < size / h:
        nw, nh = size, h * size // w
    else:
        nw, nh = w * size // h, size
    xs = np.arange(nw, dtype=np.float32) * ((w - 1) / max(nw - 1, 1))
    ys = np.arange(nh, dtype=np.float32) * ((h - 1) / max(nh - 1, 1))
    mapx, mapy = np.meshgrid(xs, ys)
    fitted = cv2.remap(image.astype(np.float32), mapx, mapy, cv2.INTER_LINEAR)
    out = np.full((size, size, 3), 0.5, np.float32)
    left, top = (size - nw) // 2, (size - nh) // 2
    out[top : top + nh, left : left + nw] = fitted / 255
    return out, nw / w, left, top


def clip_boxes(boxes: np.ndarray, x1: float, y1: float, x2: float, y2: float) -> np.ndarray:
    """Clip to a rectangle. A box of which under 30% is left becomes difficult, under 5% is dropped."""
    area = (boxes[:, 3] - boxes[:, 1]) * (boxes[:, 4] - boxes[:, 2])
    boxes = boxes.copy()
    boxes[:, [1, 3]] = boxes[:, [1, 3]].clip(x1, x2)
    boxes[:, [2, 4]] = boxes[:, [2, 4]].clip(y1, y2)
    left = (boxes[:, 3] - boxes[:, 1]) * (boxes[:, 4] - boxes[:, 2]) / np.maximum(area, 1e-6)
    boxes[left < 0.3, 5] = 1
    small = np.minimum(boxes[:, 3] - boxes[:, 1], boxes[:, 4] - boxes[:, 2]) < 5
    boxes[small, 5] = 1
    return boxes[left >= 0.05]


def place(
    sample: Sample,
    canvas: np.ndarray,
    area: tuple[int, int, int, int],
    rng: np.random.Generator,
    low: float,
    high: float,
) -> np.ndarray:
    """Draw the photo scaled, stretched, shifted and maybe flipped into ``area`` of ``canvas``; its boxes."""
    ax, ay, aw, ah = area
    h, w = sample.image.shape[:2]
    fit = min(aw / w, ah / h)
    zoom = fit * np.exp(rng.uniform(np.log(low), np.log(high)))
    stretch = np.exp(rng.uniform(-0.2, 0.2))
    sx, sy = zoom * stretch, zoom / stretch
    # Anywhere between flush left and flush right; when larger than the area this is a random crop.
    dx = rng.uniform(min(0, aw - w * sx), max(0, aw - w * sx))
    dy = rng.uniform(min(0, ah - h * sy), max(0, ah - h * sy))
    flip = rng.random() < 0.5
    a = -sx if flip else sx
    b = w * sx + dx if flip else dx
    # Pixel centres lie at halves, warpAffine counts them from 0.
    matrix = np.array([[a, 0, b + 0.5 * a - 0.5], [0, sy, dy + 0.5 * sy - 0.5], [0, 0, 1]])
    source = sample.image
    if min(sx, sy) < 0.6:  # warpAffine aliases when it shrinks much: shrink properly first
        half = cv2.resize(
            source, (max(1, round(w * sx)), max(1, round(h * sy))), interpolation=cv2.INTER_AREA
        )
        kx, ky = w / half.shape[1], h / half.shape[0]
        matrix = matrix @ np.array([[kx, 0, 0.5 * kx - 0.5], [0, ky, 0.5 * ky - 0.5], [0, 0, 1]])
        source = half
    view = canvas[ay : ay + ah, ax : ax + aw]
    view[:] = cv2.warpAffine(
        source,
        matrix[:2],
        (aw, ah),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(GREY, GREY, GREY),
    )
    boxes = sample.boxes.copy()
    xs = boxes[:, [1, 3]] * a + b
    boxes[:, 1], boxes[:, 3] = xs.min(1) + ax, xs.max(1) + ax
    boxes[:, [2, 4]] = boxes[:, [2, 4]] * sy + dy + ay
    return clip_boxes(boxes, ax, ay, ax + aw, ay + ah)


def colour(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Darknet's hue .1, saturation 1.5, exposure 1.5."""

    def factor() -> float:
        value = rng.uniform(1, 1.5)
        return value if rng.random() < 0.5 else 1 / value

    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    steps = np.arange(256, dtype=np.float32)
    hue = ((steps + rng.uniform(-0.1, 0.1) * 90) % 180).astype(np.uint8)
    saturation = (steps * factor()).clip(0, 255).astype(np.uint8)
    value = (steps * factor()).clip(0, 255).astype(np.uint8)
    hsv = np.dstack(
        [cv2.LUT(hsv[..., 0], hue), cv2.LUT(hsv[..., 1], saturation), cv2.LUT(hsv[..., 2], value)]
    )
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def augment(pick: list[Sample], size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One training picture (size, size, 3) uint8 from one photo, or a mosaic from four."""
    canvas = np.full((size, size, 3), GREY, np.uint8)
    if len(pick) == 1:
        boxes = place(pick[0], canvas, (0, 0, size, size), rng, 0.6, 1.8)
    else:
        cx, cy = (int(size * rng.uniform(0.35, 0.65)) for _ in range(2))
        areas = (
            (0, 0, cx, cy),
            (cx, 0, size - cx, cy),
            (0, cy, cx, size - cy),
            (cx, cy, size - cx, size - cy),
        )
        boxes = np.concatenate([place(s, canvas, a, rng, 0.8, 2.2) for s, a in zip(pick, areas)])
    return colour(canvas, rng), boxes


def sampling_weights(samples: list[Sample], classes: int) -> np.ndarray:
    """Chance of each photo: by the inverse root of the frequency of the rarest class on it."""
    present = np.zeros((len(samples), classes), bool)
    for i, sample in enumerate(samples):
        present[i, sample.boxes[sample.boxes[:, 5] == 0, 0].astype(int)] = True
    share = present.mean(0)
    rarity = 1 / np.sqrt(np.where(share > 0, share, 1.0))  # classes of no photo choose none
    weight = (present * rarity).max(1)
    weight[~present.any(1)] = 1.0  # photos with none of the classes are the negatives
    return weight / weight.sum()


class Loader:
    """Batches made ahead on one thread (OpenCV releases the interpreter lock while it works)."""

    def __init__(self, samples: list[Sample], classes: int, batch: int, seed: int) -> None:
        self.samples, self.batch = samples, batch
        self.weights = sampling_weights(samples, classes)
        self.rng = np.random.default_rng(seed)
        self.size, self.mosaic = 352, 0.4  # both may be changed while running
        self.queue: queue.Queue[tuple[np.ndarray, list[np.ndarray]] | BaseException] = queue.Queue(3)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            self._fill()
        except BaseException as error:
            self.queue.put(error)  # who waits for a batch would wait for ever

    def _fill(self) -> None:
        while True:
            size = self.size
            images, boxes = [], []
            for _ in range(self.batch):
                count = 4 if self.rng.random() < self.mosaic else 1
                chosen = self.rng.choice(len(self.samples), count, p=self.weights)
                image, box = augment([self.samples[i] for i in chosen], size, self.rng)
                images.append(image)
                boxes.append(box)
            self.queue.put((np.stack(images), boxes))

    def __iter__(self) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
        while True:
            batch = self.queue.get()
            if isinstance(batch, BaseException):
                raise batch
            yield batch
