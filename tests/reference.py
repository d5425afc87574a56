"""Darknet's forward pass in numpy, written from the formats' description alone: nothing of darkfuse in it.

Slow and plain on purpose. Works in float64 on the float32 weights, so that its own rounding does not count.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

PASSING = ("region", "yolo", "Gaussian_yolo", "detection", "dropout", "cost", "contrastive", "empty")


def read_cfg(path: str | Path) -> tuple[dict[str, str], list[tuple[str, dict[str, str]]]]:
    """([net] keys, [(section, keys), ...])."""
    sections: list[tuple[str, dict[str, str]]] = []
    for line in Path(path).read_text().splitlines():
        line = line.split("#", 1)[0].split(";", 1)[0].strip()
        if line.startswith("["):
            sections.append((line[1 : line.index("]")], {}))
        elif line:
            key, _, value = line.partition("=")
            sections[-1][1][key.strip()] = value.strip()
    return sections[0][1], sections[1:]


class Stream:
    """The floats of a .weights file, in order."""

    def __init__(self, path: str | Path) -> None:
        data = Path(path).read_bytes()
        major, minor, _ = struct.unpack("<iii", data[:12])
        wide = major * 10 + minor >= 2 and major < 1000 and minor < 1000
        self.transposed = major > 1000 or minor > 1000
        self.floats = np.frombuffer(data, "<f4", offset=20 if wide else 16)
        self.at = 0

    def take(self, *shape: int) -> np.ndarray:
        count = int(np.prod(shape))
        self.at += count
        assert self.at <= len(self.floats), "the weights file is too short"
        return self.floats[self.at - count : self.at].reshape(shape).astype(np.float64)


def logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -80, 80)))


def activate(x: np.ndarray, name: str) -> np.ndarray:
    return {
        "linear": lambda: x,
        "leaky": lambda: np.where(x > 0, x, 0.1 * x),
        "relu": lambda: np.maximum(x, 0),
        "relu6": lambda: np.clip(x, 0, 6),
        "logistic": lambda: logistic(x),
        "swish": lambda: x * logistic(x),
        "silu": lambda: x * logistic(x),
        "tanh": lambda: np.tanh(x),
        "elu": lambda: np.where(x >= 0, x, np.expm1(np.minimum(x, 0))),
        "loggy": lambda: 2 / (1 + np.exp(-x)) - 1,
        "selu": lambda: 1.0507 * np.where(x >= 0, x, 1.6732 * (np.expm1(np.minimum(x, 0)))),
        "gelu": lambda: 0.5 * x * (1 + np.tanh(0.797885 * x + 0.035677 * x**3)),
        "relie": lambda: np.where(x > 0, x, 0.01 * x),
        "ramp": lambda: np.maximum(x, 0) + 0.1 * x,
        "plse": lambda: np.select([x < -4, x > 4], [0.01 * (x + 4), 0.01 * (x - 4) + 1], 0.125 * x + 0.5),
        "stair": lambda: np.floor(x / 2) + np.where(np.floor(x) % 2 == 0, 0, x - np.floor(x)),
        "hardtan": lambda: np.clip(x, -1, 1),
        "lhtan": lambda: np.where(x < 0, 0.001 * x, np.where(x > 1, 0.001 * (x - 1) + 1, x)),
        "hard_mish": lambda: np.where(x > 0, x, np.where(x > -2, x * x / 2 + x, 0)),
        "mish": lambda: x * np.tanh(np.logaddexp(0, x)),
    }[name]()


def strides(o: dict[str, str]) -> tuple[int, int]:
    """From row to row and from column to column."""
    both = int(o.get("stride", 1))
    return int(o.get("stride_y", both)), int(o.get("stride_x", both))


def convolve(x: np.ndarray, w: np.ndarray, stride: tuple[int, int], pad: int, dilation: int,
             groups: int) -> np.ndarray:
    """x (c, h, w), w (n, c/groups, k, k)."""
    down, across = stride
    n, per, k, _ = w.shape
    c, height, width = x.shape
    padded = np.zeros((c, height + 2 * pad, width + 2 * pad))
    padded[:, pad : pad + height, pad : pad + width] = x
    extent = (k - 1) * dilation + 1
    rows, cols = (height + 2 * pad - extent) // down + 1, (width + 2 * pad - extent) // across + 1
    out = np.zeros((n, rows, cols))
    for g in range(groups):
        own = slice(g * n // groups, (g + 1) * n // groups)
        for i in range(k):
            for j in range(k):
                y, z = i * dilation, j * dilation
                seen = padded[g * per : (g + 1) * per, y : y + (rows - 1) * down + 1 : down,
                              z : z + (cols - 1) * across + 1 : across]
                out[own] += np.tensordot(w[own, :, i, j], seen, 1)
    return out


def pool(x: np.ndarray, size: int, stride: tuple[int, int], padding: int, mean: bool = False) -> np.ndarray:
    """The largest value, or the mean, of those cells of a window that are inside the map."""
    c, height, width = x.shape
    down, across = stride
    rows, cols = (height + padding - size) // down + 1, (width + padding - size) // across + 1
    out = np.empty((c, rows, cols))
    for y in range(rows):
        for z in range(cols):
            top, left = y * down - padding // 2, z * across - padding // 2
            window = x[:, max(top, 0) : max(top + size, 0), max(left, 0) : max(left + size, 0)]
            out[:, y, z] = window.mean(axis=(1, 2)) if mean else window.max(axis=(1, 2))
    return out


def reorg(x: np.ndarray, s: int) -> np.ndarray:
    c, height, width = x.shape
    flat, deep = x.reshape(-1), c // (s * s)
    out = np.empty(x.size)
    k, j, i = np.meshgrid(np.arange(c), np.arange(height), np.arange(width), indexing="ij")
    source = (i * s + k // deep % s) + width * s * ((j * s + k // deep // s) + height * s * (k % deep))
    out[(i + width * (j + height * k)).reshape(-1)] = flat[source.reshape(-1)]
    return out.reshape(c * s * s, height // s, width // s)


def reorg3d(x: np.ndarray, s: int) -> np.ndarray:
    c, height, width = x.shape
    squares = x.reshape(c, height // s, s, width // s, s)  # (channel, row, row inside, column, column inside)
    return squares.transpose(2, 4, 0, 1, 3).reshape(c * s * s, height // s, width // s)


def local(x: np.ndarray, w: np.ndarray, stride: int, pad: int) -> np.ndarray:
    """x (c, h, w), w (rows, columns, n, c, k, k): filters of their own at every place."""
    rows, cols, n, _, k, _ = w.shape
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    out = np.empty((n, rows, cols))
    for y in range(rows):
        for z in range(cols):
            seen = padded[:, y * stride : y * stride + k, z * stride : z * stride + k]
            out[:, y, z] = np.tensordot(w[y, z], seen, 3)
    return out


def mixing(weights: np.ndarray | None, maps: int, normalization: str) -> np.ndarray:
    """(maps, channels or 1, 1, 1): what each map of a weighted shortcut is multiplied by."""
    if weights is None:
        return np.ones((maps, 1, 1, 1))
    w = weights.reshape(maps, -1)
    if normalization in ("relu", "avg_relu"):
        w = np.maximum(w, 1e-3)
        w = w / (w.sum(axis=0) + 1e-4)
    elif normalization == "softmax":
        w = np.exp(w - w.max(axis=0))
        w = w / (w.sum(axis=0) + 1e-4)
    return w[:, :, None, None]


def shortcut(x: np.ndarray, add: np.ndarray) -> np.ndarray:
    out = x.copy()
    stride, sample = max(add.shape[2] // x.shape[2], 1), max(x.shape[2] // add.shape[2], 1)
    for k in range(min(x.shape[0], add.shape[0])):
        for j in range(min(x.shape[1], add.shape[1])):
            for i in range(min(x.shape[2], add.shape[2])):
                out[k, j * sample, i * sample] += add[k, j * stride, i * stride]
    return out


def forward(cfg: str | Path, weights: str | Path, image: np.ndarray, in_root: float = 0.0,
            beside: float = 1e-6, batchnorm_biases: bool = False) -> list[np.ndarray]:
    """Every layer's output, (c, h, w) float64; detection layers give what they read.

    Batch norm divides by sqrt(variance + `in_root`) + `beside`: (0, 1e-6) is the original Darknet's,
    (1e-5, 0) AlexeyAB's. `batchnorm_biases`: whether a [batchnorm] has biases in the file.
    """
    _, layers = read_cfg(cfg)
    stream = Stream(weights)
    outs: list[np.ndarray] = []
    shared: dict[int, tuple[np.ndarray, list[np.ndarray] | None, np.ndarray]] = {}

    def place(word: str, number: int) -> int:
        return int(word) if int(word) >= 0 else number + int(word)

    x = np.asarray(image, np.float64)
    for number, (kind, o) in enumerate(layers):
        if kind == "convolutional":
            n, k, groups = int(o["filters"]), int(o.get("size", 1)), int(o.get("groups", 1))
            dilation = int(o.get("dilation", 1)) if k > 1 else 1
            pad = (k // 2 if int(o.get("pad", 0)) else int(o.get("padding", 0))) * dilation
            if "share_index" in o:
                bias, norm, w = shared[place(o["share_index"], number)]
            else:
                bias = stream.take(n)
                norm = [stream.take(n) for _ in range(3)] if int(o.get("batch_normalize", 0)) else None
                w = stream.take(n, x.shape[0] // groups, k, k)
                shared[number] = bias, norm, w
            x = convolve(x, w, strides(o), pad, dilation, groups)
            if norm:
                scale, mean, variance = (a[:, None, None] for a in norm)
                x = (x - mean) / (np.sqrt(variance + in_root) + beside) * scale
            x = activate(x + bias[:, None, None], o.get("activation", "logistic"))
        elif kind == "connected":
            n = int(o["output"])
            bias = stream.take(n)
            w = stream.take(x.size, n).T if stream.transposed else stream.take(n, x.size)
            x = w @ x.reshape(-1)
            if int(o.get("batch_normalize", 0)):
                scale, mean, variance = (stream.take(n) for _ in range(3))
                x = (x - mean) / (np.sqrt(variance + in_root) + beside) * scale
            x = activate(x + bias, o.get("activation", "logistic")).reshape(n, 1, 1)
        elif kind in ("maxpool", "local_avgpool"):
            size = int(o.get("size", o.get("stride", 1)))
            x = pool(x, size, strides(o), int(o.get("padding", size - 1)), kind == "local_avgpool")
        elif kind == "local":
            n, k, stride = int(o["filters"]), int(o.get("size", 1)), int(o.get("stride", 1))
            pad = int(o.get("pad", 0))
            rows, cols = ((side + 2 * pad - k) // stride + 1 for side in x.shape[1:])
            bias = stream.take(n, rows, cols)
            x = local(x, stream.take(rows, cols, n, x.shape[0], k, k), stride, pad)
            x = activate(x + bias, o.get("activation", "logistic"))
        elif kind == "batchnorm":
            c = x.shape[0]
            bias = stream.take(c, 1, 1) if batchnorm_biases else 0
            scale, mean, variance = (stream.take(c, 1, 1) for _ in range(3))
            x = (x - mean) / (np.sqrt(variance + in_root) + beside) * scale + bias
        elif kind in ("activation", "logistic"):
            x = activate(x, o.get("activation", "linear" if kind == "activation" else "logistic"))
        elif kind == "crop":
            h, w = int(o["crop_height"]), int(o["crop_width"])
            top, left = (x.shape[1] - h) // 2, (x.shape[2] - w) // 2
            x = x[:, top : top + h, left : left + w]
            x = x if int(o.get("noadjust", 0)) else 2 * x - 1
        elif kind == "reorg3d":
            x = reorg3d(x, int(o.get("stride", 1)))
        elif kind in ("sam", "scale_channels"):
            x = activate(x * outs[place(o["from"], number)], o.get("activation", "linear"))
        elif kind == "avgpool":
            x = x.mean(axis=(1, 2), keepdims=True)
        elif kind == "upsample":
            s = int(o.get("stride", 2))
            x = x.repeat(s, axis=1).repeat(s, axis=2) * float(o.get("scale", 1))
        elif kind == "reorg":
            x = reorg(x, int(o.get("stride", 1)))
        elif kind == "route":
            groups, part = int(o.get("groups", 1)), int(o.get("group_id", 0))
            pieces = []
            for index in (int(v) for v in o["layers"].split(",")):
                source = outs[index if index >= 0 else number + index]
                count = source.shape[0] // groups
                pieces.append(source[part * count : (part + 1) * count])
            x = np.concatenate(pieces)
        elif kind == "shortcut":
            maps = [outs[place(word, number)] for word in o["from"].split(",")]
            kinds = {"per_feature": 1, "per_layer": 1, "per_channel": x.shape[0]}
            count = kinds.get(o.get("weights_type", "none"), 0)
            if count or len(maps) > 1:
                w = stream.take((len(maps) + 1) * count) if count else None
                factors = mixing(w, len(maps) + 1, o.get("weights_normalization", "none"))
                added = sum(factor * map_ for factor, map_ in zip(factors, (x, *maps)))
            else:
                added = shortcut(x, maps[0])
            x = activate(added, o.get("activation", "linear"))
        elif kind == "softmax":
            groups, heat = int(o.get("groups", 1)), float(o.get("temperature", 1))
            runs = x.reshape(groups, -1) / heat
            e = np.exp(runs - runs.max(axis=1, keepdims=True))
            x = (e / e.sum(axis=1, keepdims=True)).reshape(x.shape)
        elif kind not in PASSING:
            raise ValueError(kind)
        outs.append(x)
    assert stream.at == len(stream.floats), "the weights file is too long"
    return outs
