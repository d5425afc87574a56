"""Average precision agrees with pycocotools and with figures worked out by hand."""

from __future__ import annotations

import contextlib
import io
import math
import random

import pytest

from darkfuse.detect.average_precision import (
    Detection,
    Truth,
    ap_11_point,
    ap_101_point,
    ap_area,
    clip,
    evaluate,
    overlap,
)

CLASSES = 4


def random_scene(seed: int, images: int = 30) -> tuple[list[list[Detection]], list[list[Truth]]]:
    """Truths, some difficult, and detections: most near a truth, some doubled, some on nothing, many equal
    confidences."""
    rng = random.Random(seed)
    found: list[list[Detection]] = []
    there: list[list[Truth]] = []
    for _ in range(images):
        truths: list[Truth] = []
        dets: list[Detection] = []
        for _ in range(rng.randrange(9)):
            x, y = rng.uniform(0, 300), rng.uniform(0, 300)
            w, h = rng.uniform(8, 180), rng.uniform(8, 180)
            truths.append((rng.randrange(CLASSES), x, y, x + w, y + h, rng.random() < 0.25))
            for _ in range(rng.choice([0, 1, 1, 2, 3])):
                spread = rng.choice([0.0, 0.04, 0.1, 0.3])
                x1, y1, x2, y2 = (
                    v + rng.gauss(0, spread) * s for v, s in zip((x, y, x + w, y + h), (w, h, w, h))
                )
                kind = truths[-1][0] if rng.random() < 0.9 else rng.randrange(CLASSES)
                confidence = rng.choice([rng.random(), round(rng.random(), 1)])
                dets.append((kind, confidence, min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)))
        for _ in range(rng.randrange(6)):
            x, y = rng.uniform(0, 300), rng.uniform(0, 300)
            dets.append(
                (
                    rng.randrange(CLASSES),
                    rng.random() * 0.6,
                    x,
                    y,
                    x + rng.uniform(5, 90),
                    y + rng.uniform(5, 90),
                )
            )
        rng.shuffle(dets)
        found.append(dets)
        there.append(truths)
    return found, there


def coco_reference(found: list[list[Detection]], there: list[list[Truth]]) -> list[tuple[float, float]]:
    """(AP at .50, AP over .50:.95) of each class from pycocotools, difficult truths as crowds."""
    coco = pytest.importorskip("pycocotools.coco", reason="needs the extra [test]: pycocotools")
    from pycocotools.cocoeval import COCOeval

    data = {
        "info": {},
        "images": [{"id": i + 1} for i in range(len(there))],
        "categories": [{"id": c, "name": str(c)} for c in range(CLASSES)],
        "annotations": [],
    }
    for i, truths in enumerate(there):
        for c, x1, y1, x2, y2, difficult in truths:
            data["annotations"].append(
                {
                    "id": len(data["annotations"]) + 1,
                    "image_id": i + 1,
                    "category_id": c,
                    "iscrowd": int(difficult),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                }
            )
    results = [
        {
            "image_id": i + 1,
            "category_id": d[0],
            "score": d[1],
            "bbox": [d[2], d[3], d[4] - d[2], d[5] - d[3]],
        }
        for i, dets in enumerate(found)
        for d in dets
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO()
        truth.dataset = data
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(results), "bbox")
        judge.evaluate()
        judge.accumulate()
    precision = judge.eval["precision"][:, :, :, 0, 2]  # (IoU, recall, class), all areas, 100 detections
    return [(precision[0, :, c].mean(), precision[:, :, c].mean()) for c in range(CLASSES)]


@pytest.mark.parametrize("seed", range(8))
def test_coco_agrees_with_pycocotools(seed):
    found, there = random_scene(seed)
    result = evaluate(found, there, CLASSES)
    for ours, (ap50, ap) in zip(result.classes, coco_reference(found, there)):
        assert 0 < ours.coco < ours.coco50 < 1, "the scene is too easy or too hard to tell anything"
        assert ours.coco50 == pytest.approx(ap50, abs=1e-6)
        assert ours.coco == pytest.approx(ap, abs=1e-6)


def test_coco_looks_at_the_100_most_confident_only():
    truth: list[Truth] = [(0, 0, 0, 10, 10, False)]
    noise: list[Detection] = [(0, 0.9, 50.0 + i, 50, 60.0 + i, 60) for i in range(100)]
    found = [[*noise, (0, 0.1, 0, 0, 10, 10)]]
    assert evaluate(found, [truth], CLASSES).classes[0].coco50 == 0
    assert evaluate([found[0][1:]], [truth], CLASSES).classes[0].coco50 == pytest.approx(0.01)
    assert coco_reference([found[0][1:]], [truth])[0][0] == pytest.approx(0.01)


def test_voc_by_hand():
    """Two objects; right, wrong, right: precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1."""
    truths: list[list[Truth]] = [[(0, 0, 0, 10, 10, False)], [(0, 0, 0, 10, 10, False)]]
    found: list[list[Detection]] = [
        [(0, 0.9, 0, 0, 10, 10), (0, 0.8, 0, 0, 10, 10)],
        [(0, 0.7, 0, 0, 10, 9)],
    ]
    score = evaluate(found, truths, 1).classes[0]
    assert score.truths == 2 and score.detections == 3
    assert score.voc11 == pytest.approx((6 * 1 + 5 * 2 / 3) / 11)
    assert score.voc_area == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_voc_ignores_what_lies_on_a_difficult_object():
    truths: list[list[Truth]] = [[(0, 0, 0, 10, 10, False), (0, 40, 40, 60, 60, True)]]
    right: Detection = (0, 0.5, 0, 0, 10, 10)
    on_difficult: list[Detection] = [(0, 0.9, 40, 40, 60, 60), (0, 0.8, 41, 40, 60, 60)]
    assert evaluate([[right, *on_difficult]], truths, 1).classes[0].voc_area == 1
    nowhere: Detection = (0, 0.9, 80, 80, 99, 99)
    assert evaluate([[right, nowhere]], truths, 1).classes[0].voc_area == 0.5


def test_voc_second_box_on_the_best_truth_is_wrong_even_if_another_is_free():
    """VOC takes the best-overlapping truth only; COCO would go on to the next free one."""
    truths: list[list[Truth]] = [[(0, 0, 0, 10, 10, False), (0, 0, 0, 10, 16, False)]]
    found: list[list[Detection]] = [[(0, 0.9, 0, 0, 10, 10), (0, 0.8, 0, 0, 10, 11)]]
    score = evaluate(found, truths, 1).classes[0]
    assert score.voc_area == 0.5
    assert score.coco50 == 1


def test_classes_without_truth_have_no_score_and_stay_out_of_the_mean():
    truths: list[list[Truth]] = [[(1, 0, 0, 10, 10, False), (2, 20, 20, 30, 30, True)]]
    result = evaluate([[(1, 0.9, 0, 0, 10, 10), (0, 0.9, 0, 0, 10, 10)]], truths, 3)
    assert [c.voc11 for c in result.classes] == [None, 1.0, None]
    assert [c.detections for c in result.classes] == [1, 1, 0]
    assert result.mean("coco") == pytest.approx(1.0)
    assert evaluate([], [], 3).mean("voc11") is None


def test_curves_at_their_ends():
    assert ap_11_point([], []) == ap_101_point([], []) == ap_area([], []) == 0
    assert ap_11_point([1.0], [1.0]) == ap_area([1.0], [1.0]) == 1
    assert ap_101_point([1.0], [1.0]) == pytest.approx(1)
    # Precision may rise with recall: only the best at that recall or above counts.
    assert ap_area([0.5, 1.0], [0.2, 0.6]) == pytest.approx(0.6)


def test_overlap_and_clip():
    assert overlap((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 10, 10), (5, 0, 15, 10), crowd=True) == pytest.approx(1 / 2)
    assert overlap((0, 0, 10, 10), (10, 0, 20, 10)) == 0
    assert clip((0, 0.5, -3, 2, 500, 90), 100, 80) == (0, 0.5, 0, 2, 100, 80)
    assert math.isclose(overlap((0, 0, 3, 3), (0, 0, 3, 3)), 1)


def test_unequal_lists_are_refused():
    with pytest.raises(ValueError, match="2 images but labels of 1"):
        evaluate([[], []], [[]], 1)
