"""Decoding, suppression and reports: against Darknet's own outputs, and against slow plain renderings."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import numpy as np
import pytest

from darkfuse.detect.activated import activated
from darkfuse.detect.decode import class_count, decode, undo_letterbox
from darkfuse.detect.report import json_document, json_frame, lines
from darkfuse.detect.types import Box, Detection, Result, letterbox_size, pixel_corners
from darkfuse.errors import DarkfuseError
from darkfuse.graph import Graph, build_graph, load_graph
from darkfuse.graph.layers.region import RegionOptions
from darkfuse.graph.layers.yolo import YoloOptions
from darkfuse.model.cfg import parse_cfg

GOLDEN = {
    "yolov2-416-random-dog": ("cfg/yolov2.cfg", 416),
    "yolov2-608-random-dog": ("cfg/yolov2.cfg", 608),
    "yolov2-lite-coco-dog": ("../shared/models/yolov2-lite-coco.cfg", None),
    "yolov2-lite-coco-person": ("../shared/models/yolov2-lite-coco.cfg", None),
    "yolov2-tiny-random-dog": ("cfg/yolov2-tiny.cfg", None),
    "yolov3-tiny-dog": ("cfg/yolov3-tiny.cfg", None),
    "yolov3-tiny-giraffe": ("cfg/yolov3-tiny.cfg", None),
}

Row = tuple[float, ...]


def unmatched(found: list[Row], wanted: list[Row], tolerance: float = 1e-3) -> list[Row]:
    """Rows (class, score, cx, cy, w, h) of either list without a partner in the other."""
    left = list(wanted)
    extra = []
    for row in found:
        partner = next((w for w in left if w[0] == row[0]
                        and max(abs(a - b) for a, b in zip(row[1:], w[1:])) <= tolerance), None)
        if partner is None:
            extra.append(row)
        else:
            left.remove(partner)
    return extra + left


def rows(result: Result) -> list[Row]:
    return [(d.class_id, d.confidence, *d.box) for d in result.detections]


@pytest.mark.parametrize("case", sorted(GOLDEN))
def test_darknets_detections_from_darknets_maps(root: Path, shared: Path, case: str) -> None:
    cfg, side = GOLDEN[case]
    graph = load_graph(str(root / cfg), side, side)
    stored = np.load(shared / "golden" / f"{case}.npz")
    head, *body = (shared / "golden" / f"{case}.dets.txt").read_text().splitlines()
    words = head.replace(";", " ").split()
    thresh, nms = (float(words[words.index(word) + 1]) for word in ("thresh", "nms"))
    width, height = map(int, words[-1].split("x"))
    raw = {index: stored[f"layer{index - 1}"] for index in graph.outputs}
    result = decode(graph, raw, width, height, thresh, nms)
    assert unmatched(rows(result), [tuple(map(float, line.split())) for line in body]) == []
    for index in graph.outputs:
        difference = activated(graph.node(index), raw[index]) - stored[f"layer{index}"]
        assert np.abs(difference).max() < 2e-6


def test_golden_comparison_notices_a_difference() -> None:
    row = (3.0, 0.5, 0.1, 0.2, 0.3, 0.4)
    assert unmatched([row], [row]) == []
    assert unmatched([row], [(3.0, 0.502, *row[2:])]) and unmatched([row], []) and unmatched([], [row])
    assert unmatched([row], [(4.0, *row[1:])])


def network(head: str, channels: int, grid: tuple[int, int] = (3, 5)) -> Graph:
    """One detection layer on a map of `grid` rows and columns, which is the network's input too."""
    text = f"[net]\nwidth={grid[1]}\nheight={grid[0]}\nchannels={channels}\n[{head.split()[0]}]\n"
    graph = build_graph(parse_cfg(text + "\n".join(head.split()[1:])))
    assert graph.nodes[0].out_shape.c == channels
    return graph


def plainly(graph: Graph, raw: np.ndarray, thresh: float) -> list[Row]:
    """Every detection by the book, from the activated map, without suppression, relative to the input."""
    node = graph.nodes[0]
    options, shape = node.options, node.out_shape
    assert isinstance(options, (RegionOptions, YoloOptions))
    maps = activated(node, raw).reshape(len(options.anchors), -1, shape.h, shape.w).astype(float)
    found: list[Row] = []
    for n, (aw, ah) in enumerate(options.anchors):
        for i in range(shape.h):
            for j in range(shape.w):
                x, y, w, h, objectness, *classes = maps[n, :, i, j]
                if isinstance(options, RegionOptions):
                    if options.background:
                        objectness = 1.0
                    box = ((j + x) / shape.w, (i + y) / shape.h, math.exp(w) * aw / shape.w,
                           math.exp(h) * ah / shape.h)
                elif options.new_coords:
                    box = ((j + x) / shape.w, (i + y) / shape.h, 4 * w * w * aw / graph.input.w,
                           4 * h * h * ah / graph.input.h)
                else:
                    box = ((j + x) / shape.w, (i + y) / shape.h, math.exp(w) * aw / graph.input.w,
                           math.exp(h) * ah / graph.input.h)
                if objectness > thresh:
                    found += [(float(c), objectness * p, *box) for c, p in enumerate(classes)
                              if objectness * p > thresh]
    return found


@pytest.mark.parametrize("head", [
    "region classes=3 num=2 anchors=1,2,3,4 softmax=1",
    "region classes=3 num=2 anchors=1,2,3,4 softmax=0",
    "region classes=3 num=2 anchors=1,2,3,4 softmax=1 background=1",
    "region classes=3 num=2 anchors=1,2,3,4 softmax=0 background=1",
    "yolo classes=3 num=3 mask=2,0 anchors=10,13,30,20,7,40",
    "yolo classes=3 num=3 mask=0,1 anchors=10,13,30,20,7,40 scale_x_y=1.2",
    "yolo classes=3 num=3 mask=0,1 anchors=10,13,30,20,7,40 scale_x_y=2.0 new_coords=1",
])
@pytest.mark.parametrize("thresh", [0.0, 0.1, 0.3, 0.7])
def test_decoding_against_the_plain_way(head: str, thresh: float) -> None:
    graph = network(head, 16)
    rng = np.random.default_rng(7)
    found = 0
    for _ in range(5):
        raw = rng.normal(0.0, 2.0, (16, 3, 5)).astype(np.float32)
        if "new_coords" in head:  # what a convolution with a logistic activation hands on
            raw = (1.0 / (1.0 + np.exp(-raw))).astype(np.float32)
        result = decode(graph, {0: raw}, 5, 3, thresh, nms=0.0)
        wanted = plainly(graph, raw, thresh)
        assert unmatched(rows(result), wanted, 1e-5) == []
        found += len(wanted)
    assert found > 0


def test_any_buffer_of_floats_will_do() -> None:
    graph = network("region classes=3 num=2 anchors=1,2,3,4 softmax=1", 16)
    raw = np.random.default_rng(1).normal(0.0, 2.0, (16, 3, 5)).astype(np.float32)
    first = decode(graph, {0: raw}, 5, 3, 0.2)
    assert len(first) > 0
    for form in (raw.tobytes(), bytearray(raw.tobytes()), memoryview(raw.data), raw.ravel().data):
        assert decode(graph, {0: form}, 5, 3, 0.2) == first
    for wrong in (raw[:, :, ::2], raw.astype(np.float64), raw[:-1], raw.T):
        with pytest.raises(ValueError, match="expected"):
            decode(graph, {0: wrong}, 5, 3, 0.2)


def test_numbers_that_are_none_and_huge_ones_make_no_boxes() -> None:
    graph = network("region classes=3 num=2 anchors=1,2,3,4 softmax=1", 16)
    for value in (math.nan, math.inf, 1e38):
        with pytest.warns(UserWarning, match="30 boxes left out that the network gave as no finite numbers"):
            assert len(decode(graph, {0: np.full((16, 3, 5), value, np.float32)}, 5, 3, 0.1)) == 0
    for value in (-math.inf, -1e38):
        assert len(decode(graph, {0: np.full((16, 3, 5), value, np.float32)}, 5, 3, 0.1)) == 0
    raw = np.zeros((16, 3, 5), np.float32)
    raw[4], raw[5], raw[2] = 20.0, 20.0, 400.0  # sure of itself, and infinitely wide
    with pytest.warns(UserWarning, match="15 boxes left out"):
        assert len(decode(graph, {0: raw}, 5, 3, 0.5)) == 0
    raw[2] = 0.0
    assert len(decode(graph, {0: raw}, 5, 3, 0.5, nms=0.0)) == 15


def test_a_network_without_a_detection_layer_is_refused() -> None:
    graph = build_graph(parse_cfg("[net]\nwidth=4\nheight=4\nchannels=3\n[avgpool]\n", "plain.cfg"))
    for call in (lambda: decode(graph, {}, 4, 4), lambda: class_count(graph)):
        with pytest.raises(DarkfuseError, match=r"plain\.cfg: no \[region\]"):
            call()


# Image and network sizes, and what Darknet's integer division makes of them.
@pytest.mark.parametrize(("image", "net", "fitted"), [
    ((768, 576), (416, 416), (416, 312)), ((640, 424), (224, 224), (224, 148)),
    ((500, 500), (416, 416), (416, 416)), ((773, 512), (608, 608), (608, 402)),
    ((512, 773), (608, 608), (402, 608)), ((300, 100), (416, 128), (384, 128)),
    ((10000, 1), (416, 416), (416, 1)),
])
def test_letterbox_size(image: tuple[int, int], net: tuple[int, int], fitted: tuple[int, int]) -> None:
    assert letterbox_size(*image, *net) == fitted


@pytest.mark.parametrize(("image", "net"), [((768, 576), (416, 416)), ((424, 640), (224, 320)),
                                            ((64, 64), (64, 32))])
def test_letterbox_is_undone(image: tuple[int, int], net: tuple[int, int]) -> None:
    width, height = letterbox_size(*image, *net)
    random.seed(3)
    for _ in range(20):
        box = Box(*(random.random() for _ in range(4)))
        inside = Box((box.cx * width + (net[0] - width) / 2) / net[0],
                     (box.cy * height + (net[1] - height) / 2) / net[1],
                     box.w * width / net[0], box.h * height / net[1])
        assert undo_letterbox(inside, *image, *net) == pytest.approx(box, abs=1e-12)


def test_stretched_images_need_no_correction() -> None:
    graph = network("region classes=3 num=2 anchors=1,2,3,4 softmax=1", 16)
    raw = np.random.default_rng(2).normal(0.0, 2.0, (16, 3, 5)).astype(np.float32)
    assert rows(decode(graph, {0: raw}, 999, 10, 0.2, nms=0.0, letterbox=False)) == rows(
        decode(graph, {0: raw}, 50, 30, 0.2, nms=0.0, letterbox=True))


def example() -> Result:
    shared_box, other = Box(0.5, 0.5, 0.5, 0.25), Box(0.0, 0.9, 0.4, 0.4)
    return Result((Detection(1, "bicycle", 0.876, shared_box), Detection(7, 'a "truck"', 0.5, shared_box),
                   Detection(0, "person", 0.25, other)), 200, 100, "a/dog \u00e9.jpg", 0.25)


def test_result_lists() -> None:
    result = example()
    assert len(result) == 3 and result.class_id == [1, 7, 0] and result.names[2] == "person"
    assert result.confidence == [0.876, 0.5, 0.25]
    assert result.xyxy[0] == pytest.approx((50.0, 37.5, 150.0, 62.5))
    assert result.xyxy[2] == pytest.approx((0.0, 70.0, 40.0, 100.0))  # cut off at the edges
    assert pixel_corners(Box(5.0, 5.0, 1.0, 1.0), 20, 10) == (20.0, 10.0, 20.0, 10.0)
    assert [(len(labels), box.cx) for box, labels in result.by_box()] == [(2, 0.5), (1, 0.0)]
    xyxy, confidence, class_id = result.numpy()
    assert xyxy.shape == (3, 4) and confidence.dtype == np.float32 and class_id.tolist() == [1, 7, 0]
    assert Result((), 4, 4).numpy()[0].shape == (0, 4)


def test_a_box_with_two_classes_keeps_both_labels_side_by_side() -> None:
    graph = network("yolo classes=2 num=1 anchors=2,2", 7, grid=(1, 2))
    raw = np.zeros((7, 1, 2), np.float32)
    raw[4] = [4.0, 5.0]
    raw[5], raw[6] = 3.0, [2.0, 4.0]
    result = decode(graph, {0: raw}, 2, 1, 0.5, names=["car", "truck"])
    assert result.names == ["truck", "car", "car", "truck"]
    assert [len(labels) for _, labels in result.by_box()] == [2, 2]
    assert decode(graph, {0: raw}, 2, 1, 0.5, names=["car"]).names == ["1", "car", "car", "1"]


def test_darknets_lines() -> None:
    assert lines(example()) == ["a/dog \u00e9.jpg: Predicted in 0.250000 seconds.", "bicycle: 88%",
                                'a "truck": 50%', "person: 25%"]


def test_json_has_alexeyabs_form() -> None:
    frames = [json_frame(example(), 1), json_frame(Result((), 4, 4, "b.jpg"), 2)]
    first, second = json.loads("".join(json_document(frames)))
    assert list(first) == ["frame_id", "filename", "objects"]
    assert (first["frame_id"], first["filename"]) == (1, "a/dog \u00e9.jpg")
    assert first["objects"][1] == {
        "class_id": 7, "name": 'a "truck"', "confidence": 0.5,
        "relative_coordinates": {"center_x": 0.5, "center_y": 0.5, "width": 0.5, "height": 0.25}}
    assert second == {"frame_id": 2, "filename": "b.jpg", "objects": []}
    assert json.loads("".join(json_document([]))) == []
