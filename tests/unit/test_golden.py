"""Fidelity that a clone alone can check: the model in the box on small pictures, against `tests/golden/`.

`tools/make_golden.py` wrote the answers with plain float64 arithmetic that shares nothing with darkfuse.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reference_boxes import letterbox

import darkfuse
from tools.make_golden import CFG, NMS, PICTURES, THRESH, WEIGHTS, positions


@pytest.mark.parametrize("mem", ["min", "resident"])
@pytest.mark.parametrize("exact", [True, False], ids=["exact", "winograd"])
@pytest.mark.parametrize("name", PICTURES)
def test_every_layer(root: Path, name: str, exact: bool, mem: str) -> None:
    kept = np.load(root / "tests" / "golden" / f"{name}.npz")
    with Image.open(root / "tests" / "golden" / f"{name}.png") as image:
        frame = letterbox(np.asarray(image), 352, 352, True)
    with darkfuse.load(CFG, WEIGHTS, mem=mem, exact=exact) as net:
        plain = [node.index for node in net.graph.nodes if node.kind not in ("region", "yolo")]
        maps = net.forward(frame, plain)
    assert len(plain) == 19 and plain[-1] == 18
    for layer in plain:
        wanted = kept[f"layer{layer}"]
        have = maps[layer].ravel()[positions(layer, maps[layer].size)]
        level = float(np.sqrt(np.mean(wanted**2)))
        assert np.abs(have - wanted).max() <= 5e-5 * level + 1e-5, layer
    assert np.abs(maps[18] - kept["map"]).max() < 5e-4


@pytest.mark.parametrize("mem", ["min", "resident"])
@pytest.mark.parametrize("name", PICTURES)
def test_boxes(root: Path, name: str, mem: str) -> None:
    wanted = np.load(root / "tests" / "golden" / f"{name}.npz")["boxes"]
    with darkfuse.load(CFG, WEIGHTS, mem=mem) as net:
        found = net.detect(root / "tests" / "golden" / f"{name}.png", thresh=THRESH, nms=NMS, letterbox=True)
    rows = np.array([(d.class_id, d.confidence, *d.box) for d in found.detections]).reshape(-1, 6)
    assert rows.shape == wanted.shape
    assert np.abs(rows - wanted).max(initial=0) < 1e-3


def test_pictures_and_answers_stay_small(root: Path) -> None:
    assert sum(path.stat().st_size for path in (root / "tests" / "golden").rglob("*")) < 2 << 20
