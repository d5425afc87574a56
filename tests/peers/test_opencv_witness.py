"""OpenCV's own reader of Darknet files as a second witness: small random networks of every type it knows, and
every cfg of ours.

OpenCV 5 has no such reader any more. Where that is installed, DARKFUSE_OPENCV4 names the Python of an
environment with an older one (`pip install "opencv-python<5"`).
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from reference import forward

import darkfuse
from darkfuse.graph import Graph, load_graph
from darkfuse.graph.build import DETECTION
from tools.make_weights import make_weights

SCRIPT = Path(__file__).with_name("opencv4_answers.py")


@lru_cache(maxsize=1)
def opencv4() -> str:
    """A Python whose OpenCV reads Darknet files, '' where there is none."""
    for python in (os.environ.get("DARKFUSE_OPENCV4", ""), sys.executable):
        ask = "import cv2; cv2.dnn.readNetFromDarknet"
        if python and subprocess.run([python, "-c", ask], capture_output=True).returncode == 0:
            return python
    return ""


pytestmark = pytest.mark.skipif(not opencv4(), reason="no OpenCV before 5; DARKFUSE_OPENCV4 names a Python")

CHANNELS = (1, 3, 13, 16, 24, 32, 48, 127)
# OpenCV knows these of ours
ACTIVATIONS = ("linear", "leaky", "relu", "logistic", "mish", "swish")


class Maker:
    """Writes a random cfg, keeping count of the shape so that every layer fits."""

    def __init__(self, seed: int) -> None:
        self.pick = random.Random(seed)
        self.w, self.h = self.pick.choice([(37, 37), (45, 29), (52, 60), (31, 64), (13, 13)])
        self.c, self.index = 3, 0
        self.text = f"[net]\nwidth={self.w}\nheight={self.h}\nchannels=3\n"

    def add(self, kind: str, **options: object) -> None:
        self.text += f"\n[{kind}]\n" + "".join(f"{key}={value}\n" for key, value in options.items())
        self.index += 1

    def convolutional(
        self,
        filters: int | None = None,
        stride: int = 1,
        size: int | None = None,
        activation: str | None = None,
        groups: int = 1,
    ) -> None:
        size = size or self.pick.choice([1, 3, 3, 5])
        filters = filters or self.pick.choice(CHANNELS)
        options = {"groups": groups} if groups > 1 else {}
        self.add(
            "convolutional",
            batch_normalize=self.pick.randint(0, 1),
            filters=filters,
            size=size,
            stride=stride,
            pad=1,
            activation=activation or self.pick.choice(ACTIVATIONS),
            **options,
        )
        self.c = filters
        self.w, self.h = ((side + 2 * (size // 2) - size) // stride + 1 for side in (self.w, self.h))

    def maxpool(self) -> None:
        size, stride = self.pick.choice([(2, 2), (2, 1), (3, 2), (3, 1), (5, 1)])
        self.add("maxpool", size=size, stride=stride)
        self.w, self.h = ((side - 1) // stride + 1 for side in (self.w, self.h))

    def shortcut(self) -> None:
        self.convolutional(size=3, activation="linear")
        here = self.c
        self.convolutional(filters=here, size=self.pick.choice([1, 3]))
        self.add("shortcut", **{"from": -2, "activation": self.pick.choice(["linear", "leaky"])})

    def concat(self) -> None:
        first = self.c
        before = self.index - 1
        self.convolutional()
        self.add("route", layers=f"-1,{before}")
        self.c += first

    def slice(self) -> None:
        self.convolutional(filters=self.pick.choice([24, 32, 64]))
        self.add("route", layers=-1, groups=2, group_id=self.pick.randint(0, 1))
        self.c //= 2

    def reorg(self) -> None:
        self.convolutional(filters=self.pick.choice([16, 24, 64]), size=3)
        if self.w % 2 or self.h % 2:
            self.maxpool_to_even()
        self.add("reorg", stride=2)
        self.c, self.w, self.h = self.c * 4, self.w // 2, self.h // 2

    def maxpool_to_even(self) -> None:
        # one 3x3 convolution without padding cannot make both sides even in general; cut them by stride
        while self.w % 2 or self.h % 2:
            if self.w % 2 and self.h % 2:
                self.add("convolutional", filters=self.c, size=2, stride=1, padding=0, activation="linear")
                self.w, self.h = self.w - 1, self.h - 1
            else:
                self.convolutional(filters=self.c, stride=2, size=3)

    def upsample(self) -> None:
        self.add("upsample", stride=2)
        self.w, self.h = 2 * self.w, 2 * self.h

    def grouped(self) -> None:
        self.convolutional(filters=24)
        self.convolutional(filters=48, groups=self.pick.choice([2, 3, 24]), size=3)

    def squeezed(self) -> None:
        """Squeeze and excitation."""
        self.convolutional()
        here = self.c, self.w, self.h
        self.avgpool()
        self.convolutional(filters=8, size=1, activation="swish")
        self.convolutional(filters=here[0], size=1, activation="logistic")
        self.add("scale_channels", **{"from": -4})
        self.c, self.w, self.h = here

    def attended(self) -> None:
        """Spatial attention."""
        self.convolutional(size=3)
        self.convolutional(filters=self.c, size=1, activation="logistic")
        self.add("sam", **{"from": -2})

    def dropout(self) -> None:
        self.add("dropout", probability=0.5)

    def avgpool(self) -> None:
        self.add("avgpool")
        self.w = self.h = 1


BODY = ("convolutional", "maxpool", "shortcut", "concat", "slice", "reorg", "upsample", "grouped", "dropout",
        "squeezed", "attended")


def network(seed: int) -> Maker:
    """A first convolution, then a few layers of any type, each type in turn so that all of them come up."""
    maker = Maker(seed)
    maker.convolutional(stride=maker.pick.choice([1, 1, 2]))
    kinds = [BODY[seed % len(BODY)], *maker.pick.sample(BODY, 3)]
    for kind in kinds:
        if kind == "upsample" and maker.w * maker.h > 2000:
            kind = "maxpool"
        getattr(maker, kind)()
    return maker


class Theirs:
    """What OpenCV makes of the networks in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def forward(self) -> np.ndarray:
        """Values of the last layer of the only network."""
        subprocess.run([opencv4(), SCRIPT, self.folder], check=True)
        answer: np.ndarray = np.load(self.folder / "net.answer.npy")
        return answer


def both(tmp_path: Path, maker: Maker, seed: int) -> tuple[darkfuse.Network, Theirs, np.ndarray]:
    cfg, weights = str(tmp_path / "net.cfg"), str(tmp_path / "net.weights")
    Path(cfg).write_text(maker.text)
    make_weights(load_graph(cfg), weights, seed)
    ours = darkfuse.load(cfg, weights, threads=2, mem="resident", dialect="opencv")
    shape = ours.graph.input
    chw = np.random.default_rng(seed).random((shape.c, shape.h, shape.w), np.float32)
    np.save(tmp_path / "net.npy", chw)
    return ours, Theirs(tmp_path), chw


def agree(ours: np.ndarray, theirs: np.ndarray, text: str) -> None:
    assert ours.size == theirs.size, text
    theirs = theirs.reshape(ours.shape)
    scale = float(np.sqrt(np.mean(np.square(theirs, dtype=np.float64)))) + 1e-6
    rms = float(np.sqrt(np.mean(np.square(ours - theirs, dtype=np.float64))))
    assert rms <= 2e-5 * scale and np.abs(ours - theirs).max() <= 1e-3 * max(1.0, scale), (
        f"RMS difference {rms / scale:.2e} of the map's in\n{text}"
    )


def distance(have: np.ndarray, want: np.ndarray) -> float:
    """RMS of the difference, in that of what is wanted."""
    have, want = have.astype(np.float64), want.astype(np.float64).reshape(have.shape)
    return float(np.sqrt(np.mean((have - want) ** 2)) / (np.sqrt(np.mean(want**2)) + 1e-6))


def judged(have: np.ndarray, witness: np.ndarray, folder: Path, graph: Graph, chw: np.ndarray, layer: int,
           text: str) -> None:
    """Agree with the witness; where the two part, as over OpenCV's mish and logistic, be nearer to float64.
    Of a hundred layers and more, float32 alone loses more than of a few."""
    if distance(have, witness) > 2e-5:
        truth = forward(folder / "net.cfg", folder / "net.weights", chw, *graph.dialect.epsilons)[layer]
        assert distance(have, truth) < distance(witness, truth) < 1e-4, text
        if len(graph.nodes) > 100:
            return
        witness = truth
    agree(have, witness, text)


@pytest.mark.parametrize("seed", range(33))
def test_random_network(tmp_path: Path, seed: int) -> None:
    maker = network(seed)
    ours, theirs, chw = both(tmp_path, maker, seed)
    with ours:
        (layer,) = ours.graph.outputs
        have, witness = ours.forward(chw)[layer], theirs.forward()
    judged(have, witness, tmp_path, ours.graph, chw, layer, maker.text)


@pytest.mark.parametrize("seed", range(3))
def test_classifier(tmp_path: Path, seed: int) -> None:
    maker = network(seed)
    maker.avgpool()
    maker.add("softmax", groups=1)
    ours, theirs, chw = both(tmp_path, maker, seed)
    with ours:
        (layer,) = ours.graph.outputs
        agree(ours.forward(chw)[layer], theirs.forward(), maker.text)


@pytest.mark.parametrize("seed", range(3))
def test_connected(tmp_path: Path, seed: int) -> None:
    maker = Maker(seed)
    maker.convolutional(filters=13, size=3)
    maker.maxpool()
    maker.add("connected", output=27, activation=maker.pick.choice(["linear", "leaky", "relu"]))
    ours, theirs, chw = both(tmp_path, maker, seed)
    with ours:
        (layer,) = ours.graph.outputs
        agree(ours.forward(chw)[layer], theirs.forward(), maker.text)


@pytest.mark.parametrize("kind", ["region", "yolo"])
def test_detection_layer(tmp_path: Path, kind: str) -> None:
    maker = Maker(5)
    anchors, classes = [1.5, 2.0, 3.0, 2.5, 5.0, 4.0], 7
    maker.convolutional(filters=16, size=3)
    maker.convolutional(filters=3 * (5 + classes), size=1, activation="linear")
    words = ",".join(map(str, anchors))
    if kind == "region":
        maker.add("region", anchors=words, classes=classes, coords=4, num=3, softmax=1)
    else:
        maker.add("yolo", anchors=words, classes=classes, num=3, mask="0,1,2")
    ours, theirs, chw = both(tmp_path, maker, 5)
    with ours:
        (layer,) = ours.graph.outputs
        shape = ours.graph.node(layer).out_shape
        maps = ours.forward(chw)[layer].reshape(3, 5 + classes, shape.h, shape.w)
    # OpenCV: a row per box, cells first, then anchors: centre and size as parts of the input, objectness,
    # scores
    rows = theirs.forward().reshape(shape.h, shape.w, 3, 5 + classes).transpose(2, 3, 0, 1)
    agree(maps[:, 4], rows[:, 4], maker.text)
    column, row = np.arange(shape.w), np.arange(shape.h)[:, None]
    agree((maps[:, 0] + column) / shape.w, rows[:, 0], maker.text)
    agree((maps[:, 1] + row) / shape.h, rows[:, 1], maker.text)
    scale = (shape.w, shape.h) if kind == "region" else (ours.graph.input.w, ours.graph.input.h)
    for part, size in ((2, scale[0]), (3, scale[1])):
        anchor = np.array(anchors[part - 2 :: 2])[:, None, None]
        agree(np.exp(maps[:, part]) * anchor / size, rows[:, part], maker.text)
    scores = maps[:, 5:] * maps[:, 4:5]
    kept = rows[:, 5:] > 0  # OpenCV clears what its own threshold drops
    assert kept.any()
    agree(scores[kept], rows[:, 5:][kept], maker.text)


# Pixels of the cfgs' networks here, so that the whole set takes seconds.
SIDE = 96


def heads(graph: Graph) -> dict[int, str]:
    """Layers that end in detection layers, or the last one, and what OpenCV calls them."""
    found = {}
    for output in graph.outputs:
        node = graph.node(output)
        if node.kind in DETECTION:
            node = graph.node(node.inputs[0])
        act = getattr(node.options, "activation", "linear")
        # Activations are layers of their own there, and counted one further.
        found[node.index] = f"conv_{node.index}" if act == "linear" else f"{act}_{node.index + 1}"
    return found


OURS = sorted(path.stem for path in (SCRIPT.parents[2] / "cfg").glob("*.cfg"))


@pytest.mark.parametrize("name", OURS)
def test_our_cfgs(tmp_path: Path, root: Path, name: str) -> None:
    text = (root / "cfg" / f"{name}.cfg").read_text()
    text = re.sub(r"(?m)^(width|height) *=.*", rf"\1={SIDE}", text)
    (tmp_path / "net.cfg").write_text(text)
    graph, weights = load_graph(str(tmp_path / "net.cfg"), dialect="opencv"), str(tmp_path / "net.weights")
    make_weights(graph, weights, 3)
    chw = np.random.default_rng(3).random((graph.input.c, SIDE, SIDE), np.float32)
    np.save(tmp_path / "net.npy", chw)
    layers = heads(graph)
    (tmp_path / "net.layers").write_text("\n".join(layers.values()))
    subprocess.run([opencv4(), SCRIPT, tmp_path], check=True)
    answers = np.load(tmp_path / "net.answer.npz")
    how = {"threads": 2, "mem": "resident", "dialect": "opencv", "exact": True}  # Winograd rounds more
    with darkfuse.load(str(tmp_path / "net.cfg"), weights, **how) as ours:
        maps = ours.forward(chw, list(layers))
    for layer, called in layers.items():
        judged(maps[layer], answers[called], tmp_path, graph, chw, layer, f"layer {layer} of {name}")
