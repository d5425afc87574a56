"""`tools/make_weights.py`: the right bytes for any cfg, the same ones every time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from darkfuse.errors import DarkfuseError
from darkfuse.graph import load_graph
from tools.make_weights import make_weights

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"

HEADER = 20

SMALL = """
[net]
width=64
height=64
channels=3

[convolutional]
batch_normalize=1
filters=16
size=3
stride=1
pad=1
activation=leaky

[maxpool]
size=2
stride=2

[convolutional]
filters=8
groups=4
size=3
stride=2
pad=1
activation=leaky

[route]
layers=-1,-1

[convolutional]
filters=14
size=1
stride=1
pad=1
activation=linear

[region]
anchors=1,1, 2,2
classes=2
num=2
softmax=1
"""


@pytest.fixture
def small(tmp_path: Path) -> str:
    path = tmp_path / "small.cfg"
    path.write_text(SMALL)
    return str(path)


def test_size_is_the_graphs(small: str, tmp_path: Path) -> None:
    graph = load_graph(small)
    out = tmp_path / "small.weights"
    written = make_weights(graph, str(out))
    floats = 16 * (4 + 27) + 8 * (1 + 16 // 4 * 9) + 14 * (1 + 16)
    assert written == out.stat().st_size == HEADER + 4 * floats == HEADER + graph.weight_bytes
    assert list(np.fromfile(out, "<i4", 3)) == [0, 2, 5]
    assert [path.name for path in tmp_path.iterdir() if path.name != "small.cfg"] == ["small.weights"]


def test_seed_decides_every_byte(small: str, tmp_path: Path) -> None:
    graph = load_graph(small)
    bytes_of = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        make_weights(graph, str(tmp_path / name), seed)
        bytes_of[name] = (tmp_path / name).read_bytes()
    assert bytes_of["a"] == bytes_of["b"]
    a, c = (np.frombuffer(bytes_of[name], "<f4", offset=HEADER) for name in "ac")
    assert np.mean(a == c) < 0.01


def test_statistics_fit_a_network(small: str, tmp_path: Path) -> None:
    out = tmp_path / "w"
    make_weights(load_graph(small), str(out))
    floats = np.fromfile(out, "<f4", offset=HEADER)
    biases, scales, means, variances = floats[:64].reshape(4, 16)
    assert np.all((scales > 0.69) & (scales < 1.31))
    assert np.all((variances > 0.59) & (variances < 1.61))
    assert 0 < np.abs(means).max() < 1.5
    assert not np.allclose(biases, 0)
    head = floats[-14 * 17 :]
    objectness = head[:14].reshape(2, 7)[:, 4]
    assert np.all(objectness < -3.0)  # sparse: few boxes hold an object
    rows = head[14:].reshape(2, 7, 16).std(axis=2)
    assert rows[:, :4].max() < rows[:, 4:].min()  # boxes stay near their anchors


@pytest.mark.parametrize("name", ["yolov2", "yolov2-tiny", "yolov3-tiny", "yolov2-lite-coco"])
def test_same_bytes_as_the_weights_behind_the_golden_outputs(name: str, tmp_path: Path, command) -> None:
    theirs, cfg = SHARED / "tools" / "make_weights.py", SHARED / "models" / f"{name}.cfg"
    if not theirs.exists() or not cfg.exists():
        pytest.skip(f"{theirs} is not here")
    command("make_weights", cfg, tmp_path / "ours", "--seed", 3, check=True)
    words = [sys.executable, theirs, cfg, tmp_path / "theirs", "--seed", "3"]
    subprocess.run(words, check=True, capture_output=True)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_nothing_is_left_where_it_cannot_write(small: str, tmp_path: Path) -> None:
    with pytest.raises(DarkfuseError, match="cannot write the weights"):
        make_weights(load_graph(small), str(tmp_path / "no" / "w"))
    (tmp_path / "taken").mkdir()
    with pytest.raises(DarkfuseError, match="cannot write the weights: it is a folder"):
        make_weights(load_graph(small), str(tmp_path / "taken"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.cfg", "taken"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["/no/such.cfg", "out"], "/no/such.cfg: cannot read"),
        (["small.cfg", "/no/such/out"], "/no/such/out: cannot write the weights"),
    ],
)
def test_command_line_bad_input_is_one_line(small: str, words: list[str], complaint: str, command) -> None:
    done = command("make_weights", *words, cwd=Path(small).parent)
    assert done.returncode == 2
    assert done.stderr.startswith(complaint)
    assert done.stderr.count("\n") == 1


def test_command_line_says_what_it_wrote(small: str, tmp_path: Path, command) -> None:
    done = command("make_weights", small, "w", "--seed", "5", check=True, cwd=tmp_path)
    assert done.stdout == f"w: {(tmp_path / 'w').stat().st_size} bytes\n"
