"""Layers that no stored map and no OpenCV covers, against PyTorch's own operations: uneven strides, shared
weights, [local], [crop] and weighted sums.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import darkfuse
from darkfuse.graph import load_graph
from tools.make_weights import make_weights

torch: Any = pytest.importorskip("torch", reason="needs PyTorch")
F: Any = torch.nn.functional if torch else None

NET = "[net]\nwidth=21\nheight=14\nchannels=3\n"
FIRST = "[convolutional]\nfilters=16\nsize=3\nstride=1\npad=1\nactivation=linear\n"


def both(folder: Path, text: str) -> tuple[list[Any], Any, Any]:
    """Maps of every layer at the least memory, the input, and the floats of the weights' file."""
    (folder / "net.cfg").write_text(NET + text)
    graph = load_graph(str(folder / "net.cfg"), dialect="alexeyab")
    make_weights(graph, str(folder / "net.weights"), 5)
    chw = np.random.default_rng(5).random((3, 14, 21), np.float32)
    with darkfuse.load(folder / "net.cfg", folder / "net.weights", mem="min", threads=2, exact=True,
                       dialect="alexeyab") as net:
        maps = net.forward(chw, list(range(len(graph.nodes))))
    floats = torch.from_numpy(np.fromfile(folder / "net.weights", "<f4", offset=20))
    return [torch.from_numpy(maps[n])[None] for n in range(len(graph.nodes))], \
        torch.from_numpy(chw)[None], floats


def close(have: Any, want: Any) -> None:
    torch.testing.assert_close(have, want, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("across, down", [(1, 2), (2, 1), (3, 2)])
def test_uneven_strides(tmp_path: Path, across: int, down: int) -> None:
    strides = f"stride_x={across}\nstride_y={down}\n"
    maps, image, floats = both(tmp_path, FIRST.replace("stride=1\n", strides)
                               + f"[maxpool]\nsize=3\n{strides}")
    biases, kernels = floats[:16], floats[16:].reshape(16, 3, 3, 3)
    first = F.conv2d(image, kernels, biases, stride=(down, across), padding=1)
    close(maps[0], first)
    padded = F.pad(first, (1, 1, 1, 1), value=-float("inf"))
    close(maps[1], F.max_pool2d(padded, 3, (down, across)))


def test_shared_weights(tmp_path: Path) -> None:
    again = FIRST.replace("filters", "batch_normalize=1\nfilters")
    maps, _, floats = both(tmp_path, FIRST + again + again.replace("stride=1", "share_index=1\nstride=2"))
    rest = floats[16 + 16 * 27 :]
    biases, scales, means, variances = rest[:64].reshape(4, 16)
    kernels = rest[64:].reshape(16, 16, 3, 3)
    for before, layer, stride in ((0, 1, 1), (1, 2, 2)):
        plain = F.conv2d(maps[before], kernels, stride=stride, padding=1)
        close(maps[layer], F.batch_norm(plain, means, variances, scales, biases, eps=1e-5))


@pytest.mark.parametrize("pad, stride", [(0, 1), (1, 1), (1, 2), (0, 3)])
def test_local(tmp_path: Path, pad: int, stride: int) -> None:
    maps, _, floats = both(tmp_path, FIRST + f"[local]\nfilters=5\nsize=3\nstride={stride}\npad={pad}\n"
                                             "activation=linear\n")
    windows = F.unfold(maps[0], 3, padding=pad, stride=stride)[0]  # (channels * 9, places)
    places = windows.shape[1]
    rest = floats[16 + 16 * 27 :]
    biases, kernels = rest[: 5 * places].reshape(5, places), rest[5 * places :].reshape(places, 5, -1)
    want = torch.einsum("pfk,kp->fp", kernels, windows) + biases
    close(maps[1], want.reshape(maps[1].shape))


@pytest.mark.parametrize("plain", [0, 1])
def test_crop(tmp_path: Path, plain: int) -> None:
    maps, image, _ = both(tmp_path, f"[crop]\ncrop_height=9\ncrop_width=12\nnoadjust={plain}\n" + FIRST)
    middle = image[:, :, 2:11, 4:16]
    close(maps[0], middle if plain else 2 * middle - 1)


@pytest.mark.parametrize("kind, count", [("per_feature", 1), ("per_channel", 16)])
@pytest.mark.parametrize("how", ["none", "relu", "softmax"])
def test_weighted_sums(tmp_path: Path, kind: str, count: int, how: str) -> None:
    maps, _, floats = both(tmp_path, FIRST + FIRST + FIRST + "[shortcut]\nfrom=-2,-3\nactivation=linear\n"
                                     f"weights_type={kind}\nweights_normalization={how}\n")
    weights = floats[-3 * count :].reshape(3, count, 1, 1)
    if how == "relu":
        weights = weights.clamp(min=1e-3)  # the fork's lrelu, with which it fuses them when it loads
        weights = weights / (weights.sum(0) + 1e-4)
    elif how == "softmax":
        powers = torch.exp(weights - weights.max(0).values)
        weights = powers / (powers.sum(0) + 1e-4)
    close(maps[3], maps[2] * weights[0] + maps[1] * weights[1] + maps[0] * weights[2])
