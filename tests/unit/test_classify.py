"""Classifiers: the Python call, the verb, names, and the ways a picture gets the network's shape."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import darkfuse
from darkfuse.errors import DarkfuseError
from darkfuse.graph import load_graph
from tools.make_weights import make_weights

NET = ("[net]\nwidth=48\nheight=48\nchannels=3\n[convolutional]\nbatch_normalize=1\nfilters=16\nsize=3\n"
       "stride=4\npad=1\nactivation=leaky\n[avgpool]\n[connected]\noutput=7\nactivation=linear\n[softmax]\n")
NAMES = ("ant", "bee", "cat", "dog", "elk", "fox", "gnu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small classifier with its weights, names and .data, and a picture of noise, wider than high."""
    from PIL import Image

    place = tmp_path_factory.mktemp("classifier")
    (place / "small.cfg").write_text(NET)
    make_weights(load_graph(str(place / "small.cfg")), str(place / "small.weights"), 4)
    (place / "seven.list").write_text("".join(f"{name}\n" for name in NAMES))
    (place / "small.data").write_text("classes=7\nlabels=other.list\nnames=seven.list\ntop=3\n")
    noise = np.random.default_rng(5).integers(0, 256, (60, 100, 3), np.uint8)
    Image.fromarray(noise).save(place / "wide.png")
    return place


def darknets_crop(photo: np.ndarray, width: int, height: int) -> np.ndarray:
    """`resize_min` and `crop_image` in float64, (channels, height, width)."""
    rows, cols, _ = photo.shape
    w, h = (width, rows * width // cols) if cols < rows else (cols * width // rows, width)
    y, x = np.arange(h) * (rows - 1) / (h - 1), np.arange(w) * (cols - 1) / (w - 1)
    top, left = np.minimum(y.astype(int), rows - 2), np.minimum(x.astype(int), cols - 2)
    down, right = (y - top)[:, None, None], (x - left)[None, :, None]
    four = [[photo[top + i][:, left + j] / 255 for j in (0, 1)] for i in (0, 1)]
    lines = [one * (1 - right) + other * right for one, other in four]
    whole = lines[0] * (1 - down) + lines[1] * down
    dy, dx = (h - height) // 2, (w - width) // 2
    return np.ascontiguousarray(whole[dy : dy + height, dx : dx + width].transpose(2, 0, 1), np.float32)


@pytest.fixture()
def net(folder: Path):
    with darkfuse.load(folder / "small.cfg", folder / "small.weights", names=folder / "small.data") as loaded:
        yield loaded


def test_the_best_classes_are_those_of_the_networks_own_map(net: darkfuse.Network, folder: Path) -> None:
    from PIL import Image

    photo = np.asarray(Image.open(folder / "wide.png"))
    scores = net.forward(darknets_crop(photo, 48, 48))[3].reshape(-1)
    labels = net.classify(folder / "wide.png", top=7)
    assert [label.class_id for label in labels] == np.argsort(-scores).tolist()
    assert [label.name for label in labels] == [NAMES[i] for i in np.argsort(-scores)]
    # Its last row and column come from one source pixel in Darknet: 1e-3 of a level at most elsewhere
    assert np.allclose([label.confidence for label in labels], np.sort(scores)[::-1], atol=2e-3)
    assert sum(label.confidence for label in labels) == pytest.approx(1.0, abs=1e-5)
    assert net.classify(photo, top=7) == labels and net.classify(photo) == labels[:5]
    assert net.classify(photo, top=100) == labels


def test_ways_to_the_networks_shape_differ(net: darkfuse.Network, folder: Path) -> None:
    found = {fit: net.classify(folder / "wide.png", fit=fit) for fit in ("crop", "letterbox", "stretch")}
    assert found["crop"] != found["letterbox"] != found["stretch"] != found["crop"]
    assert net.classify(folder / "wide.png") == found["crop"]
    with darkfuse.load(folder / "small.cfg", folder / "small.weights", dialect="opencv") as other:
        scores = [label.confidence for label in other.classify(folder / "wide.png")]
        assert scores == [label.confidence for label in other.classify(folder / "wide.png", fit="stretch")]


def test_small_memory_changes_nothing(net: darkfuse.Network, folder: Path) -> None:
    with darkfuse.load(folder / "small.cfg", folder / "small.weights", names=NAMES, mem="min") as small:
        assert small.classify(folder / "wide.png") == net.classify(folder / "wide.png")


def test_what_cannot_be_classified(net: darkfuse.Network, folder: Path, shared: Path) -> None:
    with pytest.raises(DarkfuseError, match="top=0 is not a number of classes"):
        net.classify(folder / "wide.png", top=0)
    with pytest.raises(DarkfuseError, match="no fit 'squeeze'; there are crop, letterbox, stretch"):
        net.classify(folder / "wide.png", fit="squeeze")
    models = shared / "models"
    wrong = "this network detects, it does not classify; use detect"
    with darkfuse.load(models / "yolov3-tiny.cfg", models / "yolov3-tiny.weights") as detects, \
            pytest.raises(DarkfuseError, match=wrong):
        detects.classify(folder / "wide.png")


def test_the_verb_prints_darknets_lines_and_json(folder: Path, command) -> None:
    words = ("small.data", "small.cfg", "small.weights", "wide.png")
    run = command("darkfuse", "classify", *words, "-t", "2", "--stats", cwd=folder)
    head, *lines, stats = run.stdout.splitlines()
    assert run.returncode == 0 and head.startswith("wide.png: Predicted in ") and len(lines) == 2
    assert all(line[5:8] == "%: " and line[8:] in NAMES for line in lines) and "multiply-adds" in stats
    run = command("darkfuse", "classify", *words, words[-1], "--top=7", "--json", "-", cwd=folder)
    frames = json.loads(run.stdout)
    assert [frame["frame_id"] for frame in frames] == [1, 2]
    assert {entry["name"] for entry in frames[0]["classes"]} == set(NAMES)
    assert sum(entry["confidence"] for entry in frames[0]["classes"]) == pytest.approx(1, abs=1e-5)
    assert frames[0]["dialect"]["name"] == "darknet" and frames[0]["stats"]["macs"] > 0
    assert not (folder / "predictions.jpg").exists()


@pytest.mark.parametrize(("words", "says"), [
    (("--top", "0"), "0 is not a number of classes"), (("--crop", "--stretch"), "not allowed with argument"),
    (("absent.png",), "absent.png: cannot read the picture"),
])
def test_bad_input_is_one_line_and_status_2(folder: Path, command, words: tuple[str, ...], says: str) -> None:
    files = () if "absent.png" in words else ("wide.png",)
    run = command("darkfuse", "classify", "small.cfg", "small.weights", *files, *words, cwd=folder)
    assert run.returncode == 2 and says in run.stderr and run.stderr.count("\n") == 1
