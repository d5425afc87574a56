"""Maps of AlexeyAB's own program: a small network of most of its layers, kept in the tree, and larger ones.

Two things its program does on a CPU are told apart here, not imitated:

- Its vector code for max pooling at stride 1 forgets, in the first eight columns of a wide enough map, the
  taps that lie left of the map for the first of them (`pooled_as_theirs`).
- A [region] map is kept cell by cell, x and y raw (`region_as_theirs`); the boxes are the same.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from reference import pool

from darkfuse.detect.activated import activated
from darkfuse.engine._engine import Engine
from darkfuse.graph import Graph, load_graph
from darkfuse.graph.build import DETECTION
from darkfuse.graph.weights import weight_offsets
from darkfuse.plan.layout.lower import lower
from darkfuse.plan.search.simple import layer_by_layer

WAYS = [{"threads": 2, "residency": "pinned"}, {"threads": 1, "residency": "streamed", "exact": True}]
POOLING = 14  # of mini-alexeyab; 15 to 17 are made from it


def run(graph: Graph, weights: str, frame: np.ndarray, asked: list[int], **how) -> dict[int, np.ndarray]:
    program = lower(graph, layer_by_layer(graph, **how), asked, weight_offsets(graph, weights))
    engine = Engine(program, weights, how["threads"], guard=True)
    engine.run_chw(np.ascontiguousarray(frame))
    found = {layer: np.array(engine.output(layer)) for layer in asked}
    engine.close()
    return {layer: activated(graph.node(layer), values) if graph.node(layer).kind in DETECTION else values
            for layer, values in found.items()}


def close(have: np.ndarray, want: np.ndarray, rms: float = 2e-5) -> None:
    assert have.shape == want.shape
    level = np.sqrt(np.mean(np.square(want, dtype=np.float64)))
    assert np.sqrt(np.mean((have - want) ** 2)) <= rms * level
    assert np.abs(have - want).max() <= 1e-3


def pooled_as_theirs(x: np.ndarray, size: int) -> np.ndarray:
    """Max pooling at stride 1 as the fork's vector code does it: eight columns at a time, all or none of
    which take part in a tap, as the first of them decides."""
    width, before = x.shape[2], size // 2
    out = pool(x, size, (1, 1), size - 1)
    for first in range(0, width - 8 - (size - 1), 8):
        taps = [m for m in range(size) if 0 <= first - before + m < width]
        seen = np.stack([x[:, :, first - before + m : first - before + m + 8] for m in taps]).max(axis=0)
        rows = [seen[:, max(y - before, 0) : y + before + 1].max(axis=1) for y in range(x.shape[1])]
        out[:, :, first : first + 8] = np.stack(rows, axis=1)
    return out


def region_as_theirs(raw: np.ndarray, ours: np.ndarray, anchors: int) -> np.ndarray:
    """(h * w, anchors, entries) with x, y, w and h as the layer before gave them."""
    c, h, w = raw.shape
    maps = ours.reshape(anchors, c // anchors, h * w).copy()
    maps[:, :4] = raw.reshape(maps.shape)[:, :4]
    return maps.transpose(2, 0, 1).reshape(c, h, w)


@pytest.mark.parametrize("how", WAYS, ids=["winograd", "exact, streamed"])
def test_every_layer_of_the_small_network(root: Path, how: dict[str, object]) -> None:
    folder = root / "tests" / "golden"
    graph, kept = load_graph(str(folder / "mini-alexeyab.cfg")), np.load(folder / "mini-alexeyab.npz")
    assert graph.dialect.name == "alexeyab"
    weights = str(folder / "mini-alexeyab.weights")
    found = run(graph, weights, kept["input"], [node.index for node in graph.nodes], **how)
    for layer, values in found.items():
        if not POOLING <= layer < POOLING + 4:
            close(values, kept[f"layer{layer}"], 2e-6)
    np.testing.assert_array_equal(pooled_as_theirs(kept["layer13"], 5), kept["layer14"])
    close(found[POOLING], pool(kept["layer13"], 5, (1, 1), 4))


def test_the_head_behind_the_pooling(root: Path, tmp_path: Path) -> None:
    """From the map their pooling gave, so that its columns do not matter."""
    folder = root / "tests" / "golden"
    graph, kept = load_graph(str(folder / "mini-alexeyab.cfg")), np.load(folder / "mini-alexeyab.npz")
    text = (folder / "mini-alexeyab.cfg").read_text()
    head = text[text.index("[convolutional]\nfilters=21") : text.index("[route]\nlayers=-5")]
    (tmp_path / "head.cfg").write_text(f"[net]\nwidth=16\nheight=12\nchannels=16\n{head}")
    data, index = (folder / "mini-alexeyab.weights").read_bytes(), weight_offsets(
        graph, str(folder / "mini-alexeyab.weights"))
    at = index.offsets[16]
    assert at is not None
    (tmp_path / "head.weights").write_bytes(data[:20] + data[at : at + graph.node(16).weight_bytes])
    found = run(load_graph(str(tmp_path / "head.cfg")), str(tmp_path / "head.weights"), kept["layer15"],
                [0, 1], threads=1)
    close(found[0], kept["layer16"], 2e-6)
    close(found[1], kept["layer17"], 2e-6)


@pytest.mark.parametrize("how", WAYS, ids=["winograd", "exact, streamed"])
@pytest.mark.parametrize("case", [
    "enet-coco-96-random-dog", "gaussian-yolov3-96-random-dog", "yolov2-1class-reorg3d-96-random-dog",
    "yolo-fastest-1.1-xl-dog", "yolov4-tiny-dog", "yolov4-tiny-giraffe",
])
def test_larger_networks(shared: Path, tmp_path: Path, case: str, how: dict[str, object]) -> None:
    model = case.replace("-random", "").rpartition("-")[0]
    cfg, weights = shared / "models" / f"{model}.cfg", shared / "models" / f"{model}.weights"
    if not weights.exists():
        weights = tmp_path / "random.weights"
        script = shared / "tools" / "make_weights_any.py"
        subprocess.run([sys.executable, script, cfg, weights, "1"], check=True)
    graph, golden = load_graph(str(cfg)), np.load(shared / "golden" / f"{case}.npz")
    asked = [int(name[5:]) for name in golden.files if name != "input"]
    found = run(graph, str(weights), golden["input"], asked, **how)
    for layer in asked:
        values, node = found[layer], graph.node(layer)
        if node.kind == "region":
            values = region_as_theirs(golden[f"layer{layer - 1}"], values, len(node.options.anchors))
        close(values, golden[f"layer{layer}"], 2e-6 if model.startswith("yolo-fastest") else 2e-5)
