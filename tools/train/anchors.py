"""k-means anchors on the labels with 1 − IoU as the distance (YOLO9000, section 2)."""

from __future__ import annotations

import argparse

import numpy as np
from data import load


def shape_iou(boxes: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """IoU of (N, 2) and (K, 2) sizes laid on a common corner: (N, K)."""
    inter = np.minimum(boxes[:, None], anchors[None]).prod(2)
    return inter / (boxes.prod(1)[:, None] + anchors.prod(1)[None] - inter)


def kmeans(boxes: np.ndarray, k: int, seed: int = 0, restarts: int = 8) -> tuple[np.ndarray, float]:
    """Anchors (K, 2) sorted by area and the mean IoU of each box with its best anchor."""
    rng = np.random.default_rng(seed)
    best, best_iou = boxes[:k], -1.0
    for _ in range(restarts):
        centres = boxes[rng.choice(len(boxes), k, replace=False)]
        for _ in range(200):
            near = shape_iou(boxes, centres).argmax(1)
            moved = np.array(
                [np.median(boxes[near == j], 0) if (near == j).any() else centres[j] for j in range(k)]
            )
            if np.allclose(moved, centres):
                break
            centres = moved
        iou = float(shape_iou(boxes, centres).max(1).mean())
        if iou > best_iou:
            best, best_iou = centres, iou
    return best[best.prod(1).argsort()], best_iou


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="folder with images/ and labels/")
    parser.add_argument("--size", type=int, default=352, help="network input, pixels")
    parser.add_argument("-k", type=int, default=5)
    args = parser.parse_args()
    sizes = []
    for sample in load(args.data).values():
        easy = sample.boxes[sample.boxes[:, 5] == 0]
        sizes.append(easy[:, 3:5] - easy[:, 1:3])
    # The letterbox scales the long side (at most 384 pixels here) to the input; training jitters around it.
    cells = np.concatenate(sizes) * (args.size / 384) / 32
    anchors, iou = kmeans(cells, args.k)
    print("anchors=" + ",  ".join(f"{w:.2f},{h:.2f}" for w, h in anchors), f"# mean IoU {iou:.3f}")


if __name__ == "__main__":
    main()
