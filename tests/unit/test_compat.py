"""The look-alikes by themselves: names, shapes, errors, and putting them back into cv2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import darkfuse
from darkfuse import darknet, dnn
from darkfuse.graph import load_graph
from tools.make_weights import make_weights

CFG = """[net]
width=64
height=64
channels=3

[convolutional]
batch_normalize=1
filters=16
size=3
stride=2
pad=1
activation=leaky

[maxpool]
size=2
stride=2

[convolutional]
filters=21
size=1
stride=1
pad=1
activation=linear

[yolo]
mask=0,1,2
anchors=10,14, 23,27, 37,58
classes=2
num=3
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    cfg, weights = tmp_path / "toy.cfg", tmp_path / "toy.weights"
    cfg.write_text(CFG)
    make_weights(load_graph(str(cfg)), str(weights))
    return str(cfg), str(weights)


def test_layers_are_called_as_opencv_calls_them(files: tuple[str, str]) -> None:
    net = dnn.readNetFromDarknet(*files)
    assert net.getLayerNames() == ("conv_0", "bn_0", "leaky_1", "pool_1", "conv_2", "permute_3", "yolo_3")
    assert net.getUnconnectedOutLayers().tolist() == [7]
    assert net.getLayer(4) == ("pool_1", "Pooling")


def test_a_net_runs_at_the_size_of_its_blob_and_in_batches(files: tuple[str, str]) -> None:
    net = dnn.readNet(files[1], files[0])
    picture = np.random.default_rng(0).integers(0, 256, (50, 70, 3)).astype(np.uint8)
    for size, rows in (((64, 64), 768), ((32, 96), 576)):
        net.setInput(dnn.blobFromImages([picture, picture[::-1]], 1 / 255, size, swapRB=True))
        together = net.forward("yolo_3")
        assert together.shape == (2, rows, 7) and together.dtype == np.float32
        net.setInput(dnn.blobFromImage(picture, 1 / 255, size, swapRB=True))
        np.testing.assert_array_equal(net.forward(), together[0])
    assert net.forward("leaky_1").shape == (1, 16, 48, 16)


def test_files_may_come_as_bytes(files: tuple[str, str]) -> None:
    cfg, weights = (Path(name).read_bytes() for name in files)
    blob = np.zeros((1, 3, 64, 64), np.float32)
    answers = []
    for net in (dnn.readNetFromDarknet(*files), dnn.readNetFromDarknet(cfg, weights),
                dnn.readNet("darknet", np.frombuffer(cfg, np.uint8), np.frombuffer(weights, np.uint8))):
        net.setInput(blob)
        answers.append(net.forward())
    assert np.array_equal(answers[0], answers[1]) and np.array_equal(answers[0], answers[2])


@pytest.mark.parametrize(("call", "words"), [
    (lambda f: dnn.readNetFromDarknet("none.cfg", f[1]), "none.cfg"),
    (lambda f: dnn.readNetFromDarknet(f[0], "none.weights"), "none.weights"),
    (lambda f: dnn.readNetFromDarknet(*f).forward(), "setInput"),
    (lambda f: dnn.readNetFromDarknet(*f).setInput(np.zeros((1, 4, 64, 64))), "takes a blob"),
    (lambda f: dnn.readNetFromDarknet(*f).forward("nope"), "nope"),
    (lambda f: dnn.readNet("model.onnx"), "Darknet"),
    (lambda f: dnn.blobFromImage(None), "was the file read"),
])
def test_mistakes_are_errors_of_opencv_too(files: tuple[str, str], call: object, words: str) -> None:
    import cv2

    for kind in (dnn.error, cv2.error):
        with pytest.raises(kind, match=words):
            call(files)  # type: ignore[operator]


def test_the_budget_of_a_net_is_kept_or_refused(files: tuple[str, str]) -> None:
    net = dnn.readNetFromDarknet(*files)
    net.setInput(np.zeros((1, 3, 64, 64), np.float32))
    net.setMemory("1M")
    with pytest.raises(dnn.error, match="does not fit"):
        net.forward()
    net.setMemory("1G")
    net.forward()
    assert net.network is not None and net.network.budget.total == 1 << 30


def test_restore_gives_cv2_its_importer_back(files: tuple[str, str], tmp_path: Path) -> None:
    program = tmp_path / "old.py"
    program.write_text("""
import sys, cv2, numpy as np
net = cv2.dnn.readNet(sys.argv[2], sys.argv[1])
model = cv2.dnn_DetectionModel(net)
model.setInputParams(size=(64, 64), scale=1/255, swapRB=True)
print(cv2.__version__, len(model.detect(np.zeros((20, 30, 3), np.uint8), .1, .4)))
try:
    cv2.dnn.readNetFromDarknet("none.cfg")
except cv2.error as error:
    print("caught", error)
""")
    done = subprocess.run([sys.executable, "-m", "darkfuse.cv2", "--as", "4.14", str(program), *files],
                          capture_output=True, text=True)
    assert done.stdout.splitlines()[0] == "4.14.0 3", done.stderr
    assert "caught none.cfg" in done.stdout


@pytest.mark.parametrize("words", [[], ["none.py"], ["--as", "four", "x.py"], ["-m"]])
def test_the_runner_says_in_one_line_what_is_wrong(words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "darkfuse.cv2", *words], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "darkfuse.cv2:" in done.stderr


def test_darknets_script_answers_in_its_own_shapes(files: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "toy.names").write_text("cat\ndog\n")
    data = tmp_path / "toy.data"
    data.write_text(f"classes=2\nnames={tmp_path / 'toy.names'}\n")
    net, names, colours = darknet.load_network(files[0].encode(), str(data), files[1].encode())
    assert names == ["cat", "dog"] and set(colours) == {"cat", "dog"}
    side = darknet.network_width(net), darknet.network_height(net)
    picture = darknet.make_image(*side, 3)
    darknet.copy_image_from_bytes(picture, bytes(range(256)) * 48)
    found = darknet.detect_image(net, names, picture, thresh=0.005)
    assert found and found == sorted(found, key=lambda d: d[1])
    assert all(isinstance(score, str) and name in names and len(box) == 4 for name, score, box in found)
    darknet.predict_image(net, picture)
    boxes = darknet.get_network_boxes(net, *side, 0.005)
    kept = sum(p > 0 for b in boxes for p in b.prob)
    darknet.do_nms_sort(boxes, len(boxes), 2, 0.45)
    assert sum(p > 0 for b in boxes for p in b.prob) == len(found) < kept
    with pytest.raises(darkfuse.DarkfuseError, match="takes 12288 bytes"):
        darknet.copy_image_from_bytes(picture, b"123")
    assert darknet.bbox2points((10, 10, 4, 6)) == (8, 7, 12, 13)


def test_darknets_script_in_its_other_forms(files: tuple[str, str]) -> None:
    """As darknet.py itself calls them: a count behind a pointer, fractions, a batch of planar floats."""
    net = darknet.load_net_custom(files[0].encode(), files[1].encode(), 0, 1)
    side = darknet.network_width(net), darknet.network_height(net)
    picture = darknet.make_image(*side, 3)
    darknet.copy_image_from_bytes(picture, bytes(range(256)) * 48)
    count = darknet.pointer(darknet.c_int(0))
    darknet.predict_image(net, picture)
    boxes = darknet.get_network_boxes(net, *side, 0.005, 0.5, None, 0, count, 0)
    assert count[0] == len(boxes) > 0 and all(box.objectness > 0.005 for box in boxes)
    assert all(p < box.objectness for box in boxes for p in box.prob)
    part = darknet.get_network_boxes(net, *side, 0.005, 0.5, None, 1)[0].bbox
    assert (part.x * side[0], part.h * side[1]) == pytest.approx((boxes[0].bbox.x, boxes[0].bbox.h))

    pixels = np.frombuffer(picture.pixels, np.uint8).reshape(side[1], side[0], 3)
    planar = np.concatenate([pixels.transpose(2, 0, 1)] * 2).astype(np.float32).ravel() / 255
    batch = darknet.IMAGE(*side, 3, planar.ctypes.data_as(darknet.POINTER(darknet.c_float)))
    pairs = darknet.network_predict_batch(net, batch, 2, *side, 0.005, 0.5, None, 0, 0)
    assert [pair.dets for pair in pairs] == [boxes, boxes] and pairs[0].num == len(boxes)
    darknet.do_nms_obj(boxes, len(boxes), 2, 0.3)
    left = [box for box in boxes if box.objectness]
    assert 0 < len(left) < len(boxes) and not any(p for box in boxes if not box.objectness for p in box.prob)
    darknet.rgbgr_image(picture)
    assert picture.pixels[:3] == bytes((2, 1, 0))
    darknet.free_batch_detections(pairs, 2)
    darknet.free_network_ptr(net)
