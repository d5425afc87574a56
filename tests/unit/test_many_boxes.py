"""Tens of thousands of boxes in one picture: what they take, and that a budget is kept or the user told."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import darkfuse
from darkfuse.detect.boxes import DETECTION_BYTES, LABEL_BYTES, Boxes
from darkfuse.detect.candidate import Candidate
from darkfuse.detect.decode import decode
from darkfuse.detect.nms import Suppression, nms_sort, survivors
from darkfuse.detect.report import json_frame, lines
from darkfuse.detect.types import Box
from darkfuse.engine._engine import give_back
from darkfuse.errors import ImageError
from darkfuse.graph import load_graph
from darkfuse.graph.build import build_graph
from darkfuse.host import process
from darkfuse.model.cfg import parse_cfg
from darkfuse.model.locate import DEFAULT_CFG, find_cfg
from darkfuse.plan.search.simple import layer_by_layer

SIDE = 40
HEAD = f"[net]\nwidth={SIDE}\nheight={SIDE}\nchannels=24\n[yolo]\nclasses=3\nnum=3\nanchors=1,2, 3,4, 5,6\n"


@pytest.mark.parametrize("thresh", [0.0, 0.3])
def test_compact_boxes_give_what_objects_give(thresh: float) -> None:
    """Order and ties included: labels from most to least confident, those of a box together."""
    rng = random.Random(5)
    for _ in range(20):
        given = [Candidate(Box(*(rng.choice((0.2, 0.21, 0.5)) for _ in range(4))),
                           {k: rng.choice((0.5, 0.6)) for k in range(3) if rng.random() < 0.6} or {2: 0.5})
                 for _ in range(rng.randrange(30))]
        boxes = Boxes()
        boxes.gather(given)
        rule = Suppression(thresh)
        kept = sorted(nms_sort(given, rule), key=lambda c: -max(c.probs.values()))
        wanted = [(number, score, c.box) for c in kept
                  for number, score in sorted(c.probs.items(), key=lambda item: -item[1])]
        found = list(boxes.with_labels(survivors(boxes, rule)).detections(str))
        assert [(d.class_id, d.confidence, d.box) for d in found] == wanted
        one = list(boxes.best().detections(str))
        assert [d.class_id for d in one] == [max(sorted(c.probs), key=c.probs.__getitem__) for c in sorted(
            given, key=lambda c: -max(c.probs.values()))]


@pytest.mark.parametrize(("classes", "nms"), [(3, 0.0), (1, 0.9)])
def test_what_boxes_take_is_within_what_is_asked_for(classes: int, nms: float) -> None:
    graph = build_graph(parse_cfg(HEAD))
    raw = np.random.default_rng(2).normal(0, 3, (24, SIDE, SIDE)).astype(np.float32)
    raw.reshape(3, 8, SIDE, SIDE)[:, 5 + classes :] = -99
    raw.reshape(3, 8, SIDE, SIDE)[:, 2:4] -= 3  # small boxes, of which most stay
    asked: list[tuple[int, int, bool]] = []
    taken: list[int] = []  # after each answer, until the next question

    def note() -> None:
        now, peak = tracemalloc.get_traced_memory()
        taken.extend((peak, now))
        tracemalloc.reset_peak()

    def room(labels: int, needed: int, decoded: bool) -> None:
        asked.append((labels, needed, decoded))
        note()

    # One decoding before: imports and caches are not boxes
    decode(graph, {0: raw}, SIDE, SIDE, 0.9)
    tracemalloc.start()
    try:
        result = decode(graph, {0: raw}, SIDE, SIDE, 0.05, nms, room=room)
        text = json_frame(result, 1)
        count = len(list(lines(result, False)))
        marks = result.marks()
        note()
    finally:
        tracemalloc.stop()
    assert [decoded for _, _, decoded in asked[-3:]] == [False, True, True]
    assert asked[-1][:2] == (len(result), len(result) * DETECTION_BYTES) and len(result) > 1024
    for (_, needed, _), began, most in zip(asked, taken[1::2], taken[2::2]):
        assert most - began < needed
    assert taken[-2] - taken[-3] > asked[-1][1] // 3
    assert text and count and marks


def test_more_boxes_than_fit_are_refused_while_they_are_decoded() -> None:
    graph = build_graph(parse_cfg(HEAD))
    raw = np.full((24, SIDE, SIDE), 4, np.float32)

    def room(labels: int, needed: int, decoded: bool) -> None:
        if needed > 3000 * LABEL_BYTES and not decoded:
            raise ImageError(f"{labels} boxes")

    with pytest.raises(ImageError, match="^(3[1-9]|4[01]).. boxes"):
        decode(graph, {0: raw}, SIDE, SIDE, 0.1, 0.45, room=room)


WATCHED = """
import sys
from darkfuse.cli.main import main
from darkfuse.host.process import peak_rss_bytes
status = main(sys.argv[1:])
print(peak_rss_bytes())
sys.exit(status)
"""


@pytest.mark.parametrize(("thresh", "boxes"), [("0.001", 1000), ("0", 0)])
def test_a_process_keeps_to_its_budget_whatever_the_boxes(thresh: str, boxes: int, root: Path,
                                                          tmp_path: Path) -> None:
    """Drawn, written as JSON and printed; or refused in a line. At 0 each of 16,000 boxes has 7 labels."""
    photo, total = str(root / "docs" / "images" / "cat.jpg"), 24 << 20
    words = ["detect", photo, "--size", "1024", "--mem", "24M", "--thresh", thresh, "--nms", "0",
             "--json", "found.json"]
    done = subprocess.run([sys.executable, "-c", WATCHED, *words], cwd=tmp_path, text=True,
                          capture_output=True, env={**os.environ, "PYTHONPATH": str(root)})
    assert process.peak_rss_bytes() is None or int(done.stdout.split()[-1]) <= total
    if boxes:
        assert done.returncode == 0 and len(done.stdout.splitlines()) > boxes, done.stderr
        (frame,) = json.loads((tmp_path / "found.json").read_text())
        assert len(frame["objects"]) > boxes and (tmp_path / "predictions.jpg").exists()
    else:
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert "boxes above the threshold, or more, do not fit in 24M; raise --thresh" in done.stderr


def test_a_picture_of_a_list_gives_its_arena_away_for_its_boxes(root: Path) -> None:
    """... and the next one has it again."""
    photo = str(root / "docs" / "images" / "cat.jpg")
    with darkfuse.load(mem="resident") as net:
        wanted = net.detect(photo, 0.000001, 0.0).detections
        give_back()
        total = (process.rss_bytes() or 0) + len(wanted) * DETECTION_BYTES // 2
        assert len(wanted) > 1024 and net.stats["arena_bytes"] > len(wanted) * DETECTION_BYTES
        for part in (net._chosen.budget, net._pictures._budget):
            object.__setattr__(part, "total", total)
        assert net.detect(photo, 0.000001, 0.0).detections == wanted
        assert net._engine is None  # its room was needed
        assert 0 < len(net.detect(photo)) < 10 and net._engine is not None
        object.__setattr__(net._pictures._budget, "total", 1 << 20)
        with pytest.raises(ImageError, match="cat.jpg: .* do not fit in 1M; raise --thresh"):
            net.detect(photo, 0.000001, 0.0)


def test_a_picture_of_a_batch_with_more_boxes_than_fit_beside_it_runs_alone(root: Path) -> None:
    """The others' maps are done with by then, so that its boxes get the arena's room."""
    photo, grey = str(root / "docs" / "images" / "cat.jpg"), np.full((64, 64, 3), 128, np.uint8)
    plan = layer_by_layer(load_graph(find_cfg(DEFAULT_CFG)), 1, "pinned")
    with darkfuse.load(plan=dataclasses.replace(plan, batch=2), threads=1) as net:
        wanted = net.detect(photo, 0.000001, 0.0).detections
        list(net.detect_each([grey] * 2, 0.9))
        give_back()
        total = (process.rss_bytes() or 0) + len(wanted) * DETECTION_BYTES // 2
        for part in (net._chosen.budget, net._pictures._budget):
            object.__setattr__(part, "total", total)
        first, second = net.detect_each([photo, grey], 0.000001, 0.0)
        assert not isinstance(first, ImageError) and first.detections == wanted
        assert not isinstance(second, ImageError) and len(second) > 1024
        assert net.stats.get("batch", 1) == 1 and net._planned == 2
