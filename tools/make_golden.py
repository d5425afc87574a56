#!/usr/bin/env python3
"""Write `tests/golden/`: what the model in the box answers for small pictures, by other arithmetic than ours.

    make_golden.py [FOLDER]

Pictures are cut from `docs/images` and kept as PNG, whose pixels do not depend on a decoder. The answers come
from `tests/reference.py`, Darknet's forward pass in float64 numpy, which shares nothing with darkfuse: 200
values of every layer at fixed positions, all of the last map, and the boxes. Some ten seconds.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402
from reference import forward, read_cfg  # noqa: E402
from reference_boxes import letterbox, region_boxes  # noqa: E402

CFG, WEIGHTS = ROOT / "cfg" / "darkfuse-voc7.cfg", ROOT / "weights" / "darkfuse-voc7.weights"
# Name: the photo, the part of it (left, top, right, bottom), and the size it is brought to
PICTURES = {
    "cat": ("cat.jpg", None, (150, 100)),
    "astronaut": ("astronaut.jpg", (60, 0, 380, 512), (80, 128)),
    "nothing": ("astronaut.jpg", (0, 0, 120, 60), (40, 20)),
}
THRESH, NMS = 0.2, 0.45
VALUES = 200  # of each layer


def positions(layer: int, size: int) -> np.ndarray:
    """Where in a layer's map, as a flat array of `size` values, the kept values lie."""
    return np.sort(np.random.default_rng(layer).choice(size, min(VALUES, size), replace=False))


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "tests" / "golden"
    folder.mkdir(parents=True, exist_ok=True)
    net, _ = read_cfg(CFG)
    for name, (photo, part, size) in PICTURES.items():
        with Image.open(ROOT / "docs" / "images" / photo) as image:
            small = image.convert("RGB").crop(part or (0, 0, *image.size)).resize(size, Image.Resampling.BOX)
        small.save(folder / f"{name}.png", optimize=True)
        frame = letterbox(np.asarray(small), int(net["width"]), int(net["height"]), True)
        maps = forward(CFG, WEIGHTS, frame)
        boxes = region_boxes(CFG, maps[-2], size, THRESH, NMS)
        kept = {f"layer{n}": m.ravel()[positions(n, m.size)].astype(np.float32) for n, m in enumerate(maps)}
        np.savez_compressed(folder / f"{name}.npz", map=maps[-2].astype(np.float32),
                            boxes=np.array(boxes, np.float32).reshape(-1, 6), **kept)
        print(f"{name}: {len(maps)} layers, {[(int(b[0]), round(b[1], 3)) for b in boxes]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
