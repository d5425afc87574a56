"""The model in the box keeps its promises: size, checksum, sample photos, the score of its card."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from functools import partial

import pytest

import darkfuse

CFG, WEIGHTS = "cfg/darkfuse-voc7.cfg", "weights/darkfuse-voc7.weights"


@pytest.fixture
def score_of(command, root):
    """Runs `darkfuse map` with the model on a folder of photos."""
    return partial(command, "darkfuse", "map", CFG, WEIGHTS, cwd=root, timeout=600)


@pytest.fixture
def net(root):
    with darkfuse.load(str(root / CFG), str(root / WEIGHTS)) as network:
        yield network


def test_size_and_checksum_are_those_of_the_card(root):
    data = (root / WEIGHTS).read_bytes()
    assert len(data) <= 8_000_000
    card = (root / "weights" / "README.md").read_text()
    assert hashlib.sha256(data).hexdigest() in card
    assert f"{len(data):,}" in card


def test_names(net):
    assert list(net.names) == ["person", "bicycle", "car", "motorbike", "bus", "cat", "dog"]


@pytest.mark.parametrize(("photo", "what"), [("astronaut", "person"), ("cat", "cat")])
def test_sample_photos(root, net, photo, what):
    """At the default threshold: the one thing in the photo, well framed, and nothing else."""
    result = net.detect(str(root / "docs" / "images" / f"{photo}.jpg"))
    assert result.names == [what]
    x1, y1, x2, y2 = result.xyxy[0]
    assert (x2 - x1) * (y2 - y1) > 0.5 * result.width * result.height


def test_dog_photo(shared, net):
    """The dog, the bicycle or the car (the truck counts as one), and at most one box on nothing."""
    from darkfuse.detect.average_precision import overlap

    there = {"dog": (131, 222, 309, 541), "bicycle": (124, 128, 567, 423), "car": (470, 80, 690, 170)}
    result = net.detect(str(shared / "images" / "dog.jpg"))
    right = {
        name
        for name, box in zip(result.names, result.xyxy)
        if name in there and overlap(box, there[name]) >= 0.5
    }
    wrong = [
        name
        for name, box in zip(result.names, result.xyxy)
        if name not in there or overlap(box, there[name]) < 0.5
    ]
    assert "dog" in right
    assert right & {"bicycle", "car"}
    assert len(wrong) <= 1, wrong


@pytest.mark.slow
def test_map_on_the_held_out_tenth(root, shared, score_of):
    """`darkfuse map` on photos never trained on: above the floor, as the card says, and as PyTorch has it."""
    data = shared / "data" / "voc7"
    split = root / "tools" / "train" / "voc7-held-out.txt"
    done = score_of(data, "--split", split, "--json", "-")
    assert done.returncode == 0, done.stderr
    score = json.loads(done.stdout)
    assert score["images"] == 340
    assert score["mean"]["voc11"] >= 0.45
    assert score["classes"][0]["name"] == "person" and score["classes"][0]["voc11"] >= 0.5
    card = (root / "weights" / "README.md").read_text()
    told = re.search(r"\| \*\*mean\*\* \|[^|]*\| \*\*([\d.]+)\*\*", card)
    assert told and 100 * score["mean"]["voc11"] == pytest.approx(float(told[1]), abs=0.1)
    pytest.importorskip("torch", reason="needs the extra [train]: PyTorch")
    other = subprocess.run(
        [sys.executable, "tools/train/evaluate.py", CFG, WEIGHTS, str(data), "--split", str(split)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        text=True,
        capture_output=True,
    )
    assert other.returncode == 0, other.stderr
    theirs = float(other.stdout.split()[1])
    assert 100 * score["mean"]["voc11"] == pytest.approx(theirs, abs=0.5)


def test_map_command(root, shared, tmp_path, score_of):
    """The table on a few photos, and the same as JSON in a file."""
    out = tmp_path / "score.json"
    done = score_of(shared / "data" / "voc7", "--limit", 12, "--json", out)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[2:9]] == (
        root / "weights/darkfuse-voc7.names"
    ).read_text().split()
    score = json.loads(out.read_text())
    assert f"{100 * score['mean']['coco']:.2f}%" == lines[10].split()[-1]
    assert os.listdir(tmp_path) == ["score.json"]


def test_map_command_faults(root, tmp_path, score_of):
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    done = score_of(tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "no photos" in done.stderr
    (tmp_path / "images" / "cat.jpg").write_bytes((root / "docs" / "images" / "cat.jpg").read_bytes())
    (tmp_path / "labels" / "cat.txt").write_text("7 0.5 0.5 0.5 0.5\n")
    done = score_of(tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "cat.txt:1: class 7, but the network knows 0 to 6" in done.stderr
