"""Decoders of Gaussian_yolo, detection and word trees, against the definitions written out in numpy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkfuse.detect.classes import best
from darkfuse.detect.decode import decode
from darkfuse.detect.tree import among_siblings, most_special, products
from darkfuse.errors import CfgError, DarkfuseError
from darkfuse.graph import Graph, build_graph
from darkfuse.model.cfg import parse_cfg
from darkfuse.model.tree import Tree, read_tree, read_words

TREE = "thing -1\nplace -1\nanimal 0\ntool 0\ncat 2\ndog 2\nhound 5\npoodle 5\n"


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def boxes(graph: Graph, raw: np.ndarray, thresh: float,
          words: tuple[int, ...] = (), hier: float = 0.5) -> list[tuple[float, ...]]:
    """(class, score, cx, cy, w, h) of every box, before any NMS, sorted."""
    raw = np.ascontiguousarray(raw, np.float32)
    source = graph.input
    result = decode(graph, {graph.outputs[0]: raw}, source.w, source.h, thresh, 0.0, letterbox=False,
                    words=words, hier=hier)
    return sorted((d.class_id, d.confidence, *d.box) for d in result.detections)


def same(have: list[tuple[float, ...]], want: list[tuple[float, ...]]) -> None:
    assert len(have) == len(want) > 0
    np.testing.assert_allclose(np.array(have), np.array(sorted(want)), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(("point", "move"), [("center", 0), ("left_top", 0.5), ("right_bottom", -0.5)])
def test_gaussian_yolo(point: str, move: float) -> None:
    graph = build_graph(parse_cfg(
        "[net]\nwidth=40\nheight=24\nchannels=24\n[Gaussian_yolo]\nmask=0,2\nnum=3\nclasses=3\nscale_x_y=1.2\n"
        f"anchors=4,5, 9,7, 20,15\nyolo_point={point}\n"))
    raw = np.random.default_rng(1).normal(0, 1.5, (24, 24, 40)).astype(np.float32)
    want = []
    for n, (aw, ah) in enumerate(((4, 5), (20, 15))):
        x, ux, y, uy, w, uw, h, uh, o = raw[12 * n : 12 * n + 9].astype(float)
        sure = 1 - (sigmoid(ux) + sigmoid(uy) + sigmoid(uw) + sigmoid(uh)) / 4
        for c in range(3):
            score = sigmoid(o) * sure * sigmoid(raw[12 * n + 9 + c].astype(float))
            for row, col in np.argwhere((sigmoid(o) > 0.3) & (score > 0.3)):
                bw, bh = np.exp(w[row, col]) * aw / 40, np.exp(h[row, col]) * ah / 24
                cx = (col + sigmoid(x[row, col]) * 1.2 - 0.1) / 40 + move * bw
                cy = (row + sigmoid(y[row, col]) * 1.2 - 0.1) / 24 + move * bh
                want.append((c, score[row, col], cx, cy, bw, bh))
    same(boxes(graph, raw, 0.3), want)


@pytest.mark.parametrize(("sqrt", "softmax"), [(0, 0), (1, 0), (1, 1)])
def test_detection(sqrt: int, softmax: int) -> None:
    graph = build_graph(parse_cfg(
        "[net]\nwidth=9\nheight=13\nchannels=1\n[detection]\n"
        f"classes=3\nside=3\nnum=2\ncoords=4\nsqrt={sqrt}\nsoftmax={softmax}\n"))
    raw = np.random.default_rng(2).uniform(0, 1, 117).astype(np.float32)
    classes, objects, numbers = raw[:27].reshape(9, 3).astype(float), raw[27:45], raw[45:].reshape(18, 4)
    if softmax:
        classes = np.exp(classes) / np.exp(classes).sum(axis=1, keepdims=True)
    want = []
    for box in range(18):
        row, col = divmod(box // 2, 3)
        x, y, w, h = numbers[box].astype(float)
        for c in range(3):
            score = objects[box] * classes[box // 2, c]
            if score > 0.2:
                want.append((c, score, (x + col) / 3, (y + row) / 3, w ** (1 + sqrt), h ** (1 + sqrt)))
    same(boxes(graph, raw, 0.2), want)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    (tmp_path / "words.tree").write_text(TREE)
    return read_tree(str(tmp_path / "words.tree"))


def test_a_word_tree_is_read(tree: Tree) -> None:
    assert tree.names[4:] == ("cat", "dog", "hound", "poodle")
    assert tree.groups == ((0, 2), (2, 2), (4, 2), (6, 2)) and tree.children == (1, -1, 2, -1, -1, 3, -1, -1)


@pytest.mark.parametrize(("text", "line"), [
    ("thing -1\nanimal 1\n", 2), ("thing\n", 1), ("", 0), ("a b\n", 1),
])
def test_what_is_no_word_tree(text: str, line: int, tmp_path: Path) -> None:
    (tmp_path / "bad.tree").write_text(text)
    with pytest.raises(CfgError) as error:
        read_tree(str(tmp_path / "bad.tree"))
    assert error.value.line == line


def test_probabilities_of_words(tree: Tree) -> None:
    raw = np.random.default_rng(3).normal(0, 2, 8)
    scores = among_siblings(tree, raw.tolist())
    for pair in range(0, 8, 2):
        assert sum(scores[pair : pair + 2]) == pytest.approx(1)
        assert scores[pair] / scores[pair + 1] == pytest.approx(np.exp(raw[pair] - raw[pair + 1]))
    whole = products(tree, scores)
    assert whole[7] == pytest.approx(scores[0] * scores[2] * scores[5] * scores[7])
    leaves = products(tree, scores, only_leaves=True)
    assert [place for place, value in enumerate(leaves) if value] == [1, 3, 4, 6, 7]
    assert sum(leaves) == pytest.approx(1)


@pytest.mark.parametrize(("scores", "word"), [
    ([0.9, 0.1, 0.8, 0.1, 0.1, 0.75, 0.74, 0.01], "dog"),  # 0.9 * 0.8 * 0.75 > 0.5, and times 0.74 it is not
    ([0.9, 0.1, 0.8, 0.1, 0.4, 0.4, 0.2, 0.2], "animal"),
    ([0.4, 0.3, 0.2, 0.2, 0.1, 0.1, 0.1, 0.1], "thing"),  # not even the best is probable
    ([0.1, 0.9, 0.1, 0.0, 0.1, 0.0, 0.0, 0.0], "place"),
    ([1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.1, 0.9], "poodle"),
])
def test_the_most_special_word(tree: Tree, scores: list[float], word: str) -> None:
    assert tree.names[most_special(tree, scores, 0.5)] == word


def region(tmp_path: Path) -> Graph:
    (tmp_path / "words.tree").write_text(TREE)
    (tmp_path / "net.cfg").write_text("[net]\nwidth=4\nheight=3\nchannels=26\n[region]\nclasses=8\nnum=2\n"
                                      "anchors=1,2, 3,1\nsoftmax=1\ntree=words.tree\n")
    return build_graph(parse_cfg((tmp_path / "net.cfg").read_text(), str(tmp_path / "net.cfg")))


def boxes_and_words(raw: np.ndarray, thresh: float, tree: Tree) -> Iterator[tuple[float, Any, list[float]]]:
    """Of every box of `region` above the threshold: objectness, place, and how probable each word is."""
    for n in range(2):
        planes = raw[13 * n : 13 * n + 13].astype(float)
        for row, col in np.argwhere(sigmoid(planes[4]) > thresh):
            x, y, w, h, objectness, *words = planes[:, row, col].tolist()
            place = ((col + sigmoid(x)) / 4, (row + sigmoid(y)) / 3, np.exp(w) * (1, 3)[n] / 4,
                     np.exp(h) * (2, 1)[n] / 3)
            yield sigmoid(objectness), place, products(tree, among_siblings(tree, words))


def test_a_box_is_called_by_one_word(tmp_path: Path, tree: Tree) -> None:
    graph = region(tmp_path)
    raw = np.random.default_rng(4).normal(0, 2, (26, 3, 4)).astype(np.float32)
    want = [(most_special(tree, words, 0.5), objectness, *place)
            for objectness, place, words in boxes_and_words(raw, 0.5, tree)]
    same(boxes(graph, raw, 0.5), want)


def test_how_probable_a_word_must_be(tmp_path: Path, tree: Tree) -> None:
    graph = region(tmp_path)
    raw = np.random.default_rng(4).normal(0, 2, (26, 3, 4)).astype(np.float32)
    called = []
    for hier in (0.0, 0.5, 0.9, 1.0):
        want = [(most_special(tree, words, hier), objectness, *place)
                for objectness, place, words in boxes_and_words(raw, 0.5, tree)]
        same(boxes(graph, raw, 0.5, hier=hier), want)
        called.append([one[0] for one in want])
    assert called[0] != called[1] != called[2]


def test_the_words_of_classes_asked_for(tmp_path: Path, tree: Tree) -> None:
    (tmp_path / "some.map").write_text("5\n0\n7\n")
    words = read_words(str(tmp_path / "some.map"))
    raw = np.random.default_rng(6).normal(0, 2, (26, 3, 4)).astype(np.float32)
    want = [(number, objectness * whole[word], *place)
            for objectness, place, whole in boxes_and_words(raw, 0.2, tree)
            for number, word in enumerate(words) if objectness * whole[word] > 0.2]
    same(boxes(region(tmp_path), raw, 0.2, words), want)
    with pytest.raises(DarkfuseError, match="8 words"):
        boxes(region(tmp_path), raw, 0.2, (3, 8))
    (tmp_path / "some.map").write_text("5\ncat\n")
    with pytest.raises(CfgError, match="some.map:2"):
        read_words(str(tmp_path / "some.map"))


def test_a_tree_that_is_not_there_or_of_another_size(tmp_path: Path) -> None:
    graph = region(tmp_path)
    raw = np.zeros((26, 3, 4), np.float32)
    (tmp_path / "words.tree").write_text("thing -1\n")
    with pytest.raises(CfgError, match="1 words for 8 classes"):
        boxes(graph, raw, 0.1)
    (tmp_path / "words.tree").unlink()
    with pytest.raises(CfgError, match="words.tree"):
        boxes(graph, raw, 0.1)


def test_classes_of_a_tree_are_its_leaves(tree: Tree) -> None:
    raw = np.random.default_rng(5).normal(0, 2, 8).astype(np.float32)
    leaves = products(tree, among_siblings(tree, raw.tolist()), only_leaves=True)
    found = best(raw, 3, tree.names, tree)
    assert [label.confidence for label in found] == sorted(leaves, reverse=True)[:3]
    assert {label.name for label in found} <= {"place", "tool", "cat", "hound", "poodle"}
