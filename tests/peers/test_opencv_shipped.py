"""OpenCV's reader of Darknet files as a second witness over every cfg that comes with darkfuse, and over some
of the public collections (tools/public)."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import darkfuse
from darkfuse.graph import Graph, load_graph
from tools.make_weights import make_weights
from tools.public.names import written

cv2 = pytest.importorskip("cv2")
if int(cv2.__version__.split(".")[0]) >= 5 or not hasattr(cv2.dnn, "readNetFromDarknet"):
    pytest.skip(f"OpenCV {cv2.__version__} no longer reads Darknet files", allow_module_level=True)

SIDE = 96
NAMES = ("darkfuse-voc7", "enet-coco", "yolo-fastest-1.1-xl", "yolov2", "yolov2-16", "yolov2-tiny",
         "yolov2-tiny-voc", "yolov2-voc", "yolov3", "yolov3-tiny", "yolov4", "yolov4-csp", "yolov4-tiny",
         "yolov7-tiny")
# Of the collections, what OpenCV reads and the above have not already, and is small
PUBLIC = ("efficientnet_b0", "tiny_detector", "yolov2-mobilenet", "yolov2-separable-optimized",
          "yolov2-separable-optimized-full", "yolov2-separable-shortcuts", "yolov3-tiny-prn",
          "yolov3-tiny_3l", "yolov4-csp-s-mish", "yolov4-tiny-3l", "yolov4-tiny-custom")


def activation(graph: Graph, layer: int) -> str:
    """Of a convolution."""
    return str(getattr(graph.node(layer).options, "activation", "linear"))


def name_of(net: cv2.dnn.Net, graph: Graph, layer: int) -> str:
    """OpenCV's layer that gives a convolution's map: itself, or its activation, numbered one higher."""
    linear = activation(graph, layer) == "linear"
    number = layer if linear else layer + 1
    found = [name for name in net.getLayerNames() if name.endswith(f"_{number}")]
    return str(found[-1] if linear else found[0])


@pytest.mark.parametrize("name", [*NAMES, *PUBLIC])
def test_maps_before_the_heads(name: str, root: Path, tmp_path: Path) -> None:
    """With random weights at a small size: what the heads read, RMS within 2e-5 of the map's."""
    cfg, weights = tmp_path / "net.cfg", tmp_path / "net.weights"
    text = (root / "cfg" / f"{name}.cfg").read_text() if name in NAMES else written()[name]()
    cfg.write_text(re.sub(r"(?m)^(width|height)=\d+", rf"\1={SIDE}", text))
    graph = load_graph(str(cfg))
    make_weights(graph, str(weights), 3)
    frame = np.random.default_rng(1).random((3, SIDE, SIDE), np.float32)
    heads = [node.inputs[0] for node in graph.nodes if node.kind in ("region", "yolo")]
    heads = heads or [max(node.index for node in graph.nodes if node.kind == "convolutional")]
    # Random weights drive a logistic all the way to 0 and 1: of those heads, what they are made of
    heads = [graph.node(n).inputs[0] if activation(graph, n) == "logistic" else n for n in heads]
    with darkfuse.load(cfg, weights, threads=2, mem="resident", dialect="opencv") as net:
        ours = net.forward(frame, heads)
    theirs = cv2.dnn.readNetFromDarknet(str(cfg), str(weights))
    theirs.setInput(frame[None])
    maps = theirs.forward([name_of(theirs, graph, head) for head in heads])
    for head, (wanted,) in zip(heads, maps):
        level = np.sqrt(np.mean(np.square(wanted, dtype=np.float64)))
        assert np.sqrt(np.mean(np.square(ours[head] - wanted, dtype=np.float64))) <= 2e-5 * level
