"""Suppression of overlapping boxes: against Darknet's loops written plainly, and by hand."""

from __future__ import annotations

import random

import numpy as np
import pytest

from darkfuse.detect.candidate import Candidate
from darkfuse.detect.decode import decode, suppression
from darkfuse.detect.nms import Suppression, nms_sort
from darkfuse.detect.types import Box
from darkfuse.errors import DarkfuseError
from darkfuse.graph import build_graph
from darkfuse.model.cfg import parse_cfg


def iou(a: Box, b: Box) -> float:
    wide = min(a.cx + a.w / 2, b.cx + b.w / 2) - max(a.cx - a.w / 2, b.cx - b.w / 2)
    high = min(a.cy + a.h / 2, b.cy + b.h / 2) - max(a.cy - a.h / 2, b.cy - b.h / 2)
    shared = max(wide, 0.0) * max(high, 0.0)
    return shared / (a.w * a.h + b.w * b.h - shared)


def distance(a: Box, b: Box) -> float:
    """Squared distance of the centres over the squared diagonal of the smallest box around both."""
    wide = max(a.cx + a.w / 2, b.cx + b.w / 2) - min(a.cx - a.w / 2, b.cx - b.w / 2)
    high = max(a.cy + a.h / 2, b.cy + b.h / 2) - min(a.cy - a.h / 2, b.cy - b.h / 2)
    return ((a.cx - b.cx) ** 2 + (a.cy - b.cy) ** 2) / (wide**2 + high**2)


def darknet_nms(candidates: list[Candidate], classes: int, thresh: float,
                beta: float | None = None) -> list[dict[int, float]]:
    """`do_nms_sort` as Darknet writes it, zeroing scores in sorted arrays, pair by pair; with `beta` the
    fork's `diounms_sort`."""
    scores = [[c.probs.get(k, 0.0) for k in range(classes)] for c in candidates]
    for k in range(classes):
        order = sorted(range(len(candidates)), key=lambda i: -scores[i][k])
        for place, i in enumerate(order):
            if scores[i][k] == 0.0:
                continue
            for j in order[place + 1 :]:
                a, b = candidates[i].box, candidates[j].box
                if iou(a, b) - (0.0 if beta is None else distance(a, b) ** beta) > thresh:
                    scores[j][k] = 0.0
    return [{k: p for k, p in enumerate(row) if p > 0.0} for row in scores]


@pytest.mark.parametrize("thresh", [0.2, 0.45, 0.9])
@pytest.mark.parametrize(("kind", "beta"), [
    ("plain", None), ("cornersnms", None), ("greedynms", 0.6), ("diounms", 1.3),
])
def test_nms_against_darknets_loops(kind: str, beta: float | None, thresh: float) -> None:
    rng = random.Random(11)
    lost = 0
    for _ in range(30):
        candidates = []
        for _ in range(rng.randrange(40)):
            # A few sizes in a few places, a little off: some pairs almost cover each other.
            box = Box(*(rng.choice((0.2, 0.35, 0.5)) * rng.uniform(0.98, 1.02) for _ in range(4)))
            probs = {k: rng.random() for k in range(4) if rng.random() < 0.5}
            candidates.append(Candidate(box, probs or {0: 0.5}))
        before = sum(len(c.probs) for c in candidates)
        wanted = [(c.box, p) for c, p in zip(candidates, darknet_nms(candidates, 4, thresh, beta)) if p]
        rule = Suppression(thresh, kind, beta or 0.3)
        assert [(c.box, c.probs) for c in nms_sort(candidates, rule)] == wanted
        lost += before - sum(len(p) for _, p in wanted)
    assert lost > 0


@pytest.mark.parametrize(("second", "overlap"), [
    (Box(0.5, 0.5, 1.0, 1.0), 1.0), (Box(1.0, 0.5, 1.0, 1.0), 1 / 3), (Box(0.5, 0.0, 1.0, 1.0), 1 / 3),
    (Box(0.5, 0.5, 0.5, 0.5), 0.25), (Box(1.0, 1.0, 1.0, 1.0), 1 / 7),
])
def test_nms_by_hand(second: Box, overlap: float) -> None:
    """The weaker box loses, past the threshold, the class it shares with the better one."""
    best = Candidate(Box(0.5, 0.5, 1.0, 1.0), {0: 0.9})
    for thresh, gone in ((overlap - 0.01, True), (overlap + 0.01, False)):
        alone = nms_sort([Candidate(second, {0: 0.8}), best], Suppression(thresh))
        assert [c.probs for c in alone] == ([{0: 0.9}] if gone else [{0: 0.8}, {0: 0.9}])
        other = nms_sort([Candidate(second, {0: 0.8, 1: 0.7}), best], Suppression(thresh))
        assert [c.probs for c in other] == [{1: 0.7} if gone else {0: 0.8, 1: 0.7}, {0: 0.9}]


def test_centres_apart_keep_what_iou_alone_would_drop() -> None:
    """Two boxes side by side, IoU 1/3: d^2 = 1/4, c^2 = 1.5^2 + 1, so the distance takes 0.22 of it away."""
    pair = [Candidate(Box(0.5, 0.5, 1.0, 1.0), {0: 0.9}), Candidate(Box(1.0, 0.5, 1.0, 1.0), {0: 0.8})]
    left = 1 / 3 - (0.25 / 3.25) ** 0.6
    for kind, thresh, count in (("plain", 0.3, 1), ("greedynms", 0.3, 2), ("greedynms", left - 0.001, 1),
                                ("greedynms", left + 0.001, 2)):
        assert len(nms_sort(pair, Suppression(thresh, kind))) == count, (kind, thresh)


HEADS = ("[net]\nwidth=8\nheight=8\nchannels=18\n[yolo]\nclasses=1\nnum=3\nanchors=1,2, 3,4, 5,6\n{}\n"
         "[route]\nlayers=0\n[yolo]\nclasses=1\nnum=3\nanchors=1,2, 3,4, 5,6\n{}\n")


def test_the_cfg_chooses_the_kind_of_nms_and_the_caller_can_overrule_it() -> None:
    cfg = parse_cfg(HEADS.format("nms_kind=diounms", "nms_kind=greedynms\nbeta_nms=0.9"))
    assert suppression(build_graph(cfg), 0.4) == Suppression(0.4, "greedynms", 0.9)  # the last head's
    assert suppression(build_graph(cfg), 0.4, "plain").kind == "plain"
    assert suppression(build_graph(cfg, dialect="darknet"), 0.4).kind == "plain"
    assert suppression(build_graph(cfg, dialect="opencv"), 0.4).kind == "plain"
    assert suppression(build_graph(parse_cfg(HEADS.format("", "nms_kind=default"))), 0.4).kind == "plain"
    with pytest.raises(DarkfuseError, match="no NMS kind 'soft'; there are plain"):
        suppression(build_graph(cfg), 0.4, "soft")
    with pytest.raises(DarkfuseError, match=r"<cfg>:9: nms_kind=hard is none of default, plain, greedynms"):
        build_graph(parse_cfg(HEADS.format("nms_kind=hard", "")))


def test_one_label_a_box_in_opencvs_dialect() -> None:
    text = "[net]\nwidth=1\nheight=1\nchannels=7\n[yolo]\nclasses=2\nnum=1\nanchors=1,1\n"
    raw = np.array([0, 0, 0, 0, 4, 3, 4], np.float32)
    for dialect, labels in (("darknet", [1, 0]), ("opencv", [1])):
        graph = build_graph(parse_cfg(text), dialect=dialect)
        assert decode(graph, {0: raw}, 10, 10).class_id == labels


def test_a_region_layers_boxes_lose_labels_before_the_best_is_chosen_in_opencvs_dialect() -> None:
    """As `cv2.dnn` gives them: of two boxes on each other the weaker keeps the class it is better in."""
    text = "[net]\nwidth=2\nheight=1\nchannels=7\n[region]\nclasses=2\nnum=1\nanchors=1,1\n"
    raw = np.zeros((7, 1, 2), np.float32)
    raw[0], raw[4] = [[4, -4]], [[4, 3]]  # centres meet in the middle; objectness .98 and .95
    raw[5], raw[6] = [[3, 2]], [[-0.5, 1.5]]  # classes .95 and .38, .88 and .82
    graph = build_graph(parse_cfg(text), dialect="opencv")
    found = decode(graph, {0: raw}, 10, 10, nms=0.0, letterbox=False)
    assert [(d.class_id, round(d.confidence, 2)) for d in found.detections] == [(0, 0.94), (1, 0.78)]


def test_boxes_that_only_touch_and_empty_ones_stay() -> None:
    unit, nothing = Box(0.5, 0.5, 1.0, 1.0), Box(0.5, 0.5, 0.0, 0.0)
    boxes = [unit, Box(1.5, 0.5, 1.0, 1.0), nothing, nothing]
    assert len(nms_sort([Candidate(box, {0: 0.5}) for box in boxes], Suppression(0.01))) == 4
