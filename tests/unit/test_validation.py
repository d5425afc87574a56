"""`valid`, `recall`, `anchors`: Darknet's forms, and anchors that k-means must find."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
from PIL import Image

import darkfuse
from darkfuse.cli.main import main
from darkfuse.detect.anchors import find_anchors
from darkfuse.detect.darknet_map import Rules, map_lines, tally
from darkfuse.detect.types import Box, Detection, Result
from darkfuse.detect.validation import COCO_IDS, Recall, coco_lines, image_id, imagenet_lines, voc_lines

FOUND = (Detection(0, "person", 0.75, Box(0.5, 0.5, 0.5, 0.25)),
         Detection(15, "cat", 0.25, Box(0.0, 0.9, 0.2, 0.4)))
RESULT = Result(FOUND, 200, 100, "a/COCO_val2014_000000000042.jpg")


def test_lines_are_darknets() -> None:
    name = "COCO_val2014_000000000042"
    assert voc_lines(RESULT) == [(0, f"{name} 0.750000 51.000000 38.500000 151.000000 63.500000"),
                                 (15, f"{name} 0.250000 1.000000 71.000000 21.000000 100.000000")]
    assert imagenet_lines(RESULT, 7)[0] == "7 1 0.750000 50.000000 37.500000 150.000000 62.500000"
    first, second = (json.loads(line) for line in coco_lines(RESULT))
    assert first == {"image_id": 42, "category_id": 1, "bbox": [50.0, 37.5, 100.0, 25.0], "score": 0.75}
    assert second["category_id"] == 17 and second["bbox"] == [0.0, 70.0, 20.0, 30.0]


def test_coco_numbers() -> None:
    assert len(COCO_IDS) == 80 and COCO_IDS[0] == 1 and COCO_IDS[-1] == 90 and COCO_IDS[11] == 13
    assert image_id("x/000000000139.jpg") == 139 and image_id("dog.jpg") == 0


def test_recall_is_counted_as_darknet_does() -> None:
    recall = Recall()
    there = [(3, 0.25, 0.375, 0.75, 0.625, False), (0, 0.0, 0.0, 0.05, 0.1, False)]
    boxes = [found.box for found in FOUND]
    first = recall.add(boxes, there)
    assert first == "    0     1     2\tRPs/Img: 2.00\tIOU: 50.00%\tRecall:50.00%"
    assert recall.add(boxes, []).startswith("    1     1     2\tRPs/Img: 2.00")


def test_anchors_are_the_clusters_there_are() -> None:
    draw, centres = random.Random(1), [(10, 14), (30, 60), (120, 90), (300, 280)]
    boxes = [(w * draw.uniform(0.95, 1.05), h * draw.uniform(0.95, 1.05))
             for w, h in centres for _ in range(50)]
    found = find_anchors(boxes, 4)
    assert found == find_anchors(boxes, 4) and found.iou > 0.94
    assert 1 <= found.rounds < 20
    for have, want in zip(found.sizes, centres):
        assert have == pytest.approx(want, rel=0.02)
    assert len(find_anchors([(5.0, 5.0)] * 9, 3).sizes) == 3


@pytest.fixture
def data(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A .data file of two photos, the cat labelled, in a folder of its own."""
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    for name in ("cat", "astronaut"):
        Image.open(root / "docs" / "images" / f"{name}.jpg").save(tmp_path / "images" / f"{name}.png")
    net = darkfuse.load()
    with net:
        cat = net.detect(tmp_path / "images" / "cat.png")[0]
    x, y, w, h = cat.box
    (tmp_path / "labels" / "cat.txt").write_text(f"{cat.class_id} {x} {y} {w} {h}\n")
    (tmp_path / "list.txt").write_text("images/cat.png\nimages/astronaut.png\n")
    (tmp_path / "x.data").write_text("classes=7\nvalid=list.txt\ntrain=list.txt\nresults=out\n")
    (tmp_path / "x.cfg").symlink_to(root / "cfg" / "darkfuse-voc7.cfg")
    (tmp_path / "x.weights").symlink_to(root / "weights" / "darkfuse-voc7.weights")
    (tmp_path / "x.names").symlink_to(root / "weights" / "darkfuse-voc7.names")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_valid_writes_a_file_a_class(data: Path, capsys) -> None:
    assert main(["detector", "valid", "x.data", "x.cfg", "x.weights"]) == 0
    files = sorted((data / "out").glob("comp4_det_test_*.txt"))
    lines = [line for file in files for line in file.read_text().splitlines()]
    assert lines and {line.split()[0] for line in lines} <= {"cat", "astronaut"}
    assert any(float(line.split()[1]) > 0.5 for line in lines if line.startswith("cat "))
    printed = capsys.readouterr()
    assert printed.out == " Detection layer: 19 - type = 27 \n"
    assert re.search(r"^Total Detection Time: \d+\.\d{6} Seconds$", printed.err, re.MULTILINE)
    scores = [float(line.split()[1]) for line in lines]
    assert min(scores) > 0.005  # the original's; the fork's is 0.001
    assert main(["detector", "valid", "x.data", "x.cfg", "x.weights", "--dialect", "alexeyab"]) == 0
    lines = [line for file in files for line in file.read_text().splitlines()]
    assert 0.001 < min(float(line.split()[1]) for line in lines) < 0.005


def test_valid_writes_cocos_results(data: Path) -> None:
    (data / "y.data").write_text("valid=list.txt\nresults=out\neval=coco\n")
    assert main(["detector", "valid", "y.data", "x.cfg", "x.weights", "-out", "mine"]) == 0
    assert {found["image_id"] for found in json.loads((data / "out" / "mine.json").read_text())} == {0}


def test_recall_and_anchors_as_commands(data: Path, capsys) -> None:
    assert main(["detector", "recall", "x.data", "x.cfg", "x.weights"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    line = re.compile(r" {4}[01]     1     1\tRPs/Img: \d+\.\d\d\tIOU: \d+\.\d\d%\tRecall:100\.00%")
    assert line.fullmatch(first) and line.fullmatch(second)
    assert first.startswith("    0     1     1\tRPs/Img: ") and second.endswith("Recall:100.00%")
    assert main(["detector", "calc_anchors", "x.data", "-num_of_clusters", "1", "-width", "416",
                 "-height", "416", "-show"]) == 0
    cat = (data / "labels" / "cat.txt").read_text().split()
    size = ",".join(f"{float(side) * 416:3.0f}" for side in cat[3:])
    counters = "counters_per_class = " + ", ".join("1" if at == int(cat[0]) else "0" for at in range(7))
    assert capsys.readouterr().out == (
        "\n num_of_clusters = 1, width = 416, height = 416 \n read labels from 2 images \n"
        "\r loaded \t image: 2 \t box: 1\n all loaded. \n\n calculating k-means++ ...\n"
        "\n iterations = 1 \n\n"
        f"\n{counters}\n\n avg IoU = 100.00 % \n\nSaving anchors to the file: anchors.txt \n"
        f"anchors = {size}\n")
    assert (data / "anchors.txt").read_text() == size
    assert (data / "counters_per_class.txt").read_text() == counters


def test_the_forks_map_is_printed_in_its_words(data: Path, capsys) -> None:
    command = "detector map x.data x.cfg -thresh .5 x.weights -iou_thresh .9"
    assert main(command.split()) == 0
    printed = capsys.readouterr()
    cat = (data / "labels" / "cat.txt").read_text().split()[0]
    lines = printed.out.split("\n")
    assert lines[:3] == ["", " calculation mAP (mean average precision)...",
                         " Detection layer: 19 - type = 27 "]
    count = re.fullmatch(r" detections_count = (\d+), unique_truth_count = 1  ", lines[4])
    assert count and f" rank = 0 of ranks = {count[1]} \r" in lines[5]
    named = (data / "x.names").read_text().split("\n")[int(cat)]
    assert f"class_id = {cat}, name = {named}, ap = 100.00%   \t (TP = 1, FP = 0) " in lines[5 + int(cat)]
    rest = "\n".join(lines[12:])
    right = re.match(r"\n for conf_thresh = 0.50, precision = (\S+), recall = 1.00, F1-score = (\S+) \n"
                     r" for conf_thresh = 0.50, TP = 1, FP = (\d+), FN = 0, average IoU = (\S+) % \n"
                     r"\n IoU threshold = 90 %, used Area-Under-Curve for each unique Recall \n"
                     r" mean average precision \(mAP@0.90\) = 0.142857, or 14.29 % \n"
                     r"\nSet -points flag:\n `-points 101` for MS COCO \n", rest)
    assert right and float(right[1]) == pytest.approx(1 / (1 + int(right[3])), abs=0.005)
    assert printed.err.endswith(" Seconds\n") and "Total Detection Time: " in printed.err


def test_the_forks_map_counts_as_it_says() -> None:
    """Two objects of three found, one of them twice, one box on nothing, one on a difficult object."""
    there = [[(0, 0.0, 0.0, 10.0, 10.0, False), (0, 20.0, 0.0, 30.0, 10.0, False),
              (0, 40.0, 0.0, 50.0, 10.0, True)], [(0, 0.0, 0.0, 10.0, 10.0, False)]]
    found = [[(0, 0.9, 0.0, 0.0, 10.0, 10.0), (0, 0.8, 0.0, 0.0, 10.0, 9.0), (0, 0.7, 40.0, 0.0, 50.0, 10.0),
              (0, 0.2, 20.0, 0.0, 30.0, 10.0)], [(0, 0.6, 50.0, 50.0, 60.0, 60.0)]]
    rules = Rules()
    tallies = tally(found, there, 2, rules)
    own = tallies[0]
    assert (own.objects, own.right, own.wrong, own.overlap) == (3, 1, 2, 1.0)
    assert own.average_precision(0) == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 4)
    assert own.average_precision(11) == pytest.approx((4 * 1 + 3 * 0.5) / 11)
    printed = "\n".join(map_lines(tallies, ("cat", "dog"), rules))
    assert " detections_count = 4, unique_truth_count = 3  " in printed
    assert "precision = 0.33, recall = 0.33, F1-score = 0.33 " in printed
    assert "class_id = 1, name = dog, ap = 0.00%   \t (TP = 0, FP = 0) " in printed


def test_a_classifier_is_scored(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    from darkfuse.graph import load_graph
    from tools.make_weights import make_weights

    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.cfg").write_text("[net]\nwidth=16\nheight=16\nchannels=3\n"
                                    "[convolutional]\nfilters=3\nsize=3\npad=1\nactivation=linear\n[avgpool]\n[softmax]\n")
    make_weights(load_graph("c.cfg"), "c.weights", 1)
    for name in ("red", "blue"):
        Image.new("RGB", (20, 20), name).save(f"{name}.png")
    (tmp_path / "c.names").write_text("red\ngreen\nblue\n")
    (tmp_path / "list").write_text("red.png\nblue.png\n")
    (tmp_path / "c.data").write_text("names=c.names\nvalid=list\ntop=3\n")
    assert main(["classifier", "valid", "c.data", "c.cfg", "c.weights"]) == 0
    first, blank, *lines = capsys.readouterr().out.splitlines()
    assert (first, blank) == (" TOP calculation...", "")
    assert [line.partition(":")[0] for line in lines] == ["0", "1"] and lines[1].endswith("top 3: 1.000000")

    (tmp_path / "d.data").write_text("names=shown\nlabels=c.names\nvalid=list\ntop=3\nclasses=3\n")
    (tmp_path / "shown").write_text("warm\nmild\ncold\n")  # what a person reads; paths have the labels
    assert main(["classifier", "valid", "d.data", "c.cfg", "c.weights"]) == 0
    assert capsys.readouterr().out.splitlines()[2:] == lines
    assert main(["classifier", "predict", "d.data", "c.cfg", "c.weights", "red.png"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == [" classes = 3, output in cfg = 3 ", "16 16"]
    assert re.fullmatch(r"red\.png: Predicted in \d+\.\d{6} milli-seconds\.", printed[2])
    scores = [re.fullmatch(r"(?:warm|mild|cold): ([01]\.\d{6})", line) for line in printed[3:]]
    assert len(scores) == 3 and all(scores)


def test_a_wrong_order_is_said(data: Path, capsys) -> None:
    assert main(["valid", "x.cfg", "x.weights"]) == 2
    assert "the order is x.data x.cfg x.weights" in capsys.readouterr().err
