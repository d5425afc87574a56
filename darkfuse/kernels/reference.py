"""What the kernels must compute, in float64 NumPy, and maps in the layout they compute on.

For tests and `tools/kernels.py`; nothing that runs a network imports it.
"""

from __future__ import annotations

import numpy as np

from darkfuse.kernels._kernels import Conv, Kernels, View

BLOCK = 16
PANEL = 32


def activate(x: np.ndarray, act: str) -> np.ndarray:
    """Darknet's activation of that name, in the precision of `x`."""
    e = np.exp(np.minimum(x, 80))
    return {
        "linear": x,
        "leaky": np.where(x > 0, x, 0.1 * x),
        "relu": np.maximum(x, 0),
        "relu6": np.clip(x, 0, 6),
        "logistic": 1 / (1 + np.exp(-x)),
        "swish": x / (1 + np.exp(-x)),
        "tanh": np.tanh(x),
        "elu": np.where(x >= 0, x, e - 1),
        "loggy": 2 / (1 + np.exp(-x)) - 1,
        "selu": 1.0507 * np.where(x >= 0, x, 1.6732 * (e - 1)),
        "gelu": 0.5 * x * (1 + np.tanh(0.797885 * x + 0.035677 * x**3)),
        "relie": np.where(x > 0, x, 0.01 * x),
        "ramp": np.maximum(x, 0) + 0.1 * x,
        "plse": np.where(x < -4, 0.01 * (x + 4), np.where(x > 4, 0.01 * (x - 4) + 1, 0.125 * x + 0.5)),
        "stair": np.floor(x / 2) + np.where(np.floor(x) % 2 == 0, 0, x - np.floor(x)),
        "hardtan": np.clip(x, -1, 1),
        "lhtan": np.where(x < 0, 0.001 * x, np.where(x > 1, 0.001 * (x - 1) + 1, x)),
        "hard_mish": np.where(x > 0, x, np.where(x > -2, x * x / 2 + x, 0)),
        "mish": x * np.tanh(np.log1p(e)),
    }[act]


def conv(x: np.ndarray, w: np.ndarray, bias: np.ndarray, *, stride: int = 1, pad: int = 0, dilation: int = 1,
         groups: int = 1, act: str = "linear", pool: int = 0) -> np.ndarray:
    """Convolution in float64.

    Parameters
    ----------
    x : (C, H, W)
    w : (O, C / groups, k, k)
    bias : (O,)

    Returns
    -------
    (O, H', W'), or half of that rounded up with `pool` = 2
    """
    x, w = x.astype(np.float64), w.astype(np.float64)
    out_c, per_group, size, _ = w.shape
    span = (size - 1) * dilation + 1
    h = (x.shape[1] + 2 * pad - span) // stride + 1
    wd = (x.shape[2] + 2 * pad - span) // stride + 1
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    out = np.zeros((out_c, h, wd)) + bias.astype(np.float64)[:, None, None]
    for g in range(groups):
        channels = slice(g * per_group, (g + 1) * per_group)
        filters = slice(g * out_c // groups, (g + 1) * out_c // groups)
        for ky in range(size):
            for kx in range(size):
                ys, xs = ky * dilation, kx * dilation
                cells = x[channels, ys:ys + (h - 1) * stride + 1:stride, xs:xs + (wd - 1) * stride + 1:stride]
                out[filters] += np.tensordot(w[filters, :, ky, kx], cells, 1)
    out = activate(out, act)
    return maxpool(out, 2, 2, 0, (h + 1) // 2, (wd + 1) // 2) if pool else out


def maxpool(x: np.ndarray, size: int, stride: int, pad_before: int, out_h: int, out_w: int) -> np.ndarray:
    """Darknet's max pooling: cells outside the map are ignored."""
    far = size + stride * max(out_h, out_w)
    x = np.pad(x, ((0, 0), (pad_before, far), (pad_before, far)), constant_values=-np.inf)
    cells = [x[:, dy:dy + out_h * stride:stride, dx:dx + out_w * stride:stride]
             for dy in range(size) for dx in range(size)]
    return np.max(cells, axis=0)


def aligned(floats: int, skew: int = 0) -> np.ndarray:
    """NaNs from `skew` floats after a multiple of 64 bytes on. Arenas are aligned; kernels must not care."""
    raw = np.full(floats + 16 + skew, np.nan, np.float32)
    start = -(raw.ctypes.data // 4) % 16 + skew
    return raw[start:start + floats]


class Map:
    """A map as the kernels see it: rows of channel blocks in a larger buffer, NaN where nothing may be read.

    Parameters
    ----------
    channels, height, width : int
    margin : int
        Columns of zeros left and right.
    image : bool
        Three interleaved channels instead of blocks.
    slots : int
        Rows stored at a time; 0 for all of them.
    before, after : int
        Channel blocks of a concatenation around this one; NaN, and checked to stay so by `intact`.
    skew : int
        Floats by which the map misses 64-byte alignment.
    """

    def __init__(self, channels: int, height: int, width: int, *, margin: int = 1, image: bool = False,
                 slots: int = 0, before: int = 0, after: int = 0, skew: int = 1) -> None:
        self.shape = (channels, height, width)
        self.pixel = 3 if image else BLOCK
        self.margin, self.before = margin, before
        self.slots = slots or height
        self.blocks = 1 if image else -(-channels // BLOCK)
        self.cols = width + 2 * margin
        total = before + self.blocks + after
        # (slots, blocks, cols, pixel)
        self.row = total * self.cols * self.pixel
        self.data = aligned(self.slots * self.row, skew)
        self.array = self.data.reshape(self.slots, total, self.cols, self.pixel)
        mine = self.array[:, before:before + self.blocks]
        mine[:, :, :margin] = 0
        mine[:, :, margin + width:] = 0
        self.view = View(self.data, offset=before * self.cols * self.pixel, row_stride=self.row,
                         pixel=self.pixel, cols=self.cols, x0=-margin, slots=self.slots, blocks=self.blocks,
                         channels=channels, height=height, width=width)

    def put(self, x: np.ndarray, y0: int = 0, y1: int | None = None) -> Map:
        """Store rows [y0, y1) of x, (C, H, W); channels that only pad a block become zero."""
        c, h, w = self.shape
        for y in range(y0, h if y1 is None else y1):
            row = np.zeros((self.blocks * self.pixel, w), np.float32)
            row[:c] = x[:, y]
            self.array[y % self.slots, self.before:self.before + self.blocks, self.margin:self.margin + w] = (
                row.reshape(self.blocks, self.pixel, w).transpose(0, 2, 1))
        return self

    def get(self) -> np.ndarray:
        """(blocks * 16, slots, W): what is stored, padding channels included."""
        mine = self.array[:, self.before:self.before + self.blocks, self.margin:self.margin + self.shape[2]]
        return mine.transpose(1, 3, 0, 2).reshape(self.blocks * self.pixel, self.slots, self.shape[2])

    def intact(self) -> bool:
        """Neighbouring blocks still NaN, margins still zero."""
        b, m = self.before, self.margin
        around = np.isnan(self.array[:, :b]).all() and np.isnan(self.array[:, b + self.blocks:]).all()
        mine = self.array[:, b:b + self.blocks]
        return bool(around and not mine[:, :, :m].any() and not mine[:, :, m + self.shape[2]:].any())


def panels(k: Kernels, c: Conv, kernel: int, w: np.ndarray, scale: np.ndarray) -> list[np.ndarray]:
    """Pack all filters, (O, C / groups, k, k), with one call a panel; each panel's own floats."""
    packed = []
    for oc in range(0, len(w), PANEL):
        n = min(PANEL, len(w) - oc)
        area = aligned(c.packed_floats(kernel, n))
        k.pack(c, kernel, np.ascontiguousarray(w[oc:oc + n]).reshape(-1), scale, oc, n, oc, area)
        packed.append(area)
    return packed


def padded(bias: np.ndarray) -> np.ndarray:
    """Bias with zeros up to whole panels."""
    return np.pad(bias.astype(np.float32), (0, -len(bias) % PANEL))
