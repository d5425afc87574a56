"""Detect and score with PyTorch: what ``darkfuse map`` does, for the trainer and for comparison."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from data import Sample, letterbox, load
from net import Net, decode
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # a plain checkout is enough to run this

from darkfuse.detect.average_precision import Detection, MapResult, Truth, clip, evaluate


def pick(
    raw: Tensor,
    net: Net,
    scale: float,
    left: int,
    top: int,
    size: int,
    thresh: float = 0.005,
    nms: float = 0.45,
) -> list[Detection]:
    """Detections of one raw map (1, A·(5+classes), H, W) in pixels of the photo, as Darknet makes them."""
    boxes, obj, scores = decode(raw, net.anchors, net.classes)
    obj = obj.sigmoid().flatten()
    keep = obj > thresh
    confidence = scores.reshape(-1, net.classes)[keep].softmax(1) * obj[keep, None]
    cell = size / raw.shape[-1]
    centre = boxes.reshape(-1, 4)[keep] * cell
    centre[:, 0] -= left
    centre[:, 1] -= top
    corners = torch.cat([centre[:, :2] - centre[:, 2:] / 2, centre[:, :2] + centre[:, 2:] / 2], 1) / scale
    found: list[Detection] = []
    for c in range(net.classes):
        good = confidence[:, c] > thresh
        value, order = confidence[good, c].sort(descending=True, stable=True)
        box = corners[good][order].numpy()
        area = (box[:, 2:] - box[:, :2]).prod(1)
        alive = np.ones(len(box), bool)
        for i in range(len(box)):
            if not alive[i]:
                continue
            found.append((c, float(value[i]), *map(float, box[i])))  # type: ignore[arg-type]
            low, high = np.maximum(box[i, :2], box[i + 1 :, :2]), np.minimum(box[i, 2:], box[i + 1 :, 2:])
            inter = (high - low).clip(0).prod(1)
            alive[i + 1 :] &= inter / (area[i] + area[i + 1 :] - inter) <= nms
    return found


def truths_of(sample: Sample) -> list[Truth]:
    return [
        (int(b[0]), float(b[1]), float(b[2]), float(b[3]), float(b[4]), bool(b[5])) for b in sample.boxes
    ]


@torch.no_grad()
def score(net: Net, samples: list[Sample], size: int) -> MapResult:
    """mAP of the network at an input of ``size`` pixels."""
    net.eval()
    found = []
    for sample in samples:
        image, scale, left, top = letterbox(sample.image, size)
        raw = net(torch.from_numpy(image).permute(2, 0, 1)[None])
        height, width = sample.image.shape[:2]
        found.append([clip(d, width, height) for d in pick(raw, net, scale, left, top, size)])
    return evaluate(found, [truths_of(s) for s in samples], net.classes)


def report(result: MapResult, names: list[str]) -> str:
    """One line: the means, then AP (11-point) by class."""
    means = " ".join(
        f"{m} {100 * (result.mean(m) or 0):.2f}" for m in ("voc11", "voc_area", "coco50", "coco")
    )
    return (
        means + " | " + " ".join(f"{n} {100 * (c.voc11 or 0):.1f}" for n, c in zip(names, result.classes))
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cfg")
    parser.add_argument("weights")
    parser.add_argument("data")
    parser.add_argument("--split", help="file with the stems of the photos to score")
    parser.add_argument("--size", type=int, help="input size, default the cfg's")
    args = parser.parse_args()
    net = Net(args.cfg)
    net.load_darknet(args.weights)
    samples = load(args.data)
    stems = Path(args.split).read_text().split() if args.split else list(samples)
    names = (Path(args.data) / "voc7.names").read_text().split()
    print(report(score(net, [samples[s] for s in stems], args.size or net.size), names))


if __name__ == "__main__":
    main()
