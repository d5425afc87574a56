"""A Darknet ``.cfg`` as a plain PyTorch network, loaded from and saved to Darknet ``.weights``.

Only what the shipped model and its warm start need: convolutional, maxpool, route, reorg, upsample,
and the detection heads, which are left as raw maps (``loss.py`` and ``decode`` give them meaning).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Darknet adds 1e-6 to the root of the variance, PyTorch adds eps below the root. With this eps the two
# are converted exactly into each other by `_variance_to_darknet`.
BN_EPS = 1e-6
Section = tuple[str, dict[str, str]]


def read_cfg(path: str | Path) -> list[Section]:
    """Sections of a ``.cfg`` in order, each with its options as strings."""
    sections: list[Section] = []
    for raw in Path(path).read_text().splitlines():
        line = raw.split("#")[0].split(";")[0].strip()
        if line.startswith("["):
            sections.append((line.strip("[]"), {}))
        elif "=" in line:
            key, value = line.split("=", 1)
            sections[-1][1][key.strip()] = value.strip()
    return sections


def darknet_reorg(x: Tensor, stride: int) -> Tensor:
    """Darknet's reorg: the flat (C, H, W) buffer is reread as (C/s², H·s, W·s). Not space-to-depth."""
    b, c, h, w = x.shape
    s = stride
    x = x.contiguous().view(b, c // (s * s), h, s, w, s)  # reread: rows j·s + a, columns i·s + b
    x = x.permute(0, 3, 5, 1, 2, 4)  # (batch, a, b, C/s², H, W): output channel = (a·s + b)·C/s² + c
    return x.reshape(b, c * s * s, h // s, w // s)


class Conv(nn.Module):
    """Convolution, optional batch norm, leaky or linear activation: one Darknet [convolutional]."""

    def __init__(self, cin: int, opt: dict[str, str]) -> None:
        super().__init__()
        size = int(opt.get("size", 1))
        pad = size // 2 if int(opt.get("pad", 0)) else int(opt.get("padding", 0))
        norm = bool(int(opt.get("batch_normalize", 0)))
        self.filters = int(opt["filters"])
        self.conv = nn.Conv2d(cin, self.filters, size, int(opt.get("stride", 1)), pad, bias=not norm)
        self.bn = nn.BatchNorm2d(self.filters, eps=BN_EPS, momentum=0.03) if norm else None
        self.leaky = opt.get("activation", "logistic") == "leaky"

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.bn is not None:
            x = self.bn(x)
        return F.leaky_relu(x, 0.1, inplace=True) if self.leaky else x


class Net(nn.Module):
    """The network of a ``.cfg``; ``forward`` returns the raw maps of its heads, (B, A·(5+classes), H, W)."""

    def __init__(self, cfg: str | Path) -> None:
        super().__init__()
        sections = read_cfg(cfg)
        self.options = sections[0][1]
        self.size = int(self.options["width"])
        self.layers: list[Section] = sections[1:]
        self.head: dict[str, str] = {}
        self.convs = nn.ModuleDict()
        channels: list[int] = []
        last = int(self.options.get("channels", 3))
        for i, (kind, opt) in enumerate(self.layers):
            if kind == "convolutional":
                self.convs[str(i)] = Conv(last, opt)
                last = int(opt["filters"])
            elif kind == "route":
                last = sum(channels[j] for j in self._sources(i, opt))
            elif kind == "reorg":
                last *= int(opt.get("stride", 1)) ** 2
            elif kind in ("region", "yolo"):
                self.head = opt
            elif kind not in ("maxpool", "upsample"):
                raise ValueError(f"{cfg}: [{kind}] is not known to the trainer")
            channels.append(last)
        self.channels = channels
        # Outputs that a later route reads; the others are dropped as soon as the next layer has run.
        self.kept = {
            j for i, (kind, opt) in enumerate(self.layers) if kind == "route" for j in self._sources(i, opt)
        }

    @staticmethod
    def _sources(index: int, opt: dict[str, str]) -> list[int]:
        return [j if j >= 0 else index + j for j in map(int, opt["layers"].split(","))]

    @property
    def anchors(self) -> list[tuple[float, float]]:
        """Anchors of the region layer, (width, height) in cells."""
        flat = [float(v) for v in self.head["anchors"].split(",")]
        return list(zip(flat[::2], flat[1::2]))

    @property
    def classes(self) -> int:
        return int(self.head["classes"])

    def run(
        self, x: Tensor, start: int = 0, keep: tuple[int, ...] = (), stop: int | None = None
    ) -> dict[int, Tensor]:
        """Run layers ``start`` to ``stop``; the maps of the heads, of ``keep`` and the last one, by index."""
        maps: dict[int, Tensor] = {}
        wanted: dict[int, Tensor] = {}
        end = len(self.layers) if stop is None else stop
        for i in range(start, end):
            kind, opt = self.layers[i]
            if kind == "convolutional":
                x = self.convs[str(i)](x)
            elif kind == "maxpool":
                x = _maxpool(x, opt)
            elif kind == "route":
                parts = [maps[j] for j in self._sources(i, opt)]
                x = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
            elif kind == "reorg":
                x = darknet_reorg(x, int(opt.get("stride", 1)))
            elif kind == "upsample":
                x = F.interpolate(x, scale_factor=int(opt.get("stride", 2)), mode="nearest")
            if i in self.kept:
                maps[i] = x
            if i in keep or i == end - 1 or kind in ("region", "yolo"):
                wanted[i] = x
        return wanted

    def forward(self, x: Tensor) -> Tensor:
        return self.run(x)[len(self.layers) - 1]

    def load_darknet(self, path: str | Path, layers: int | None = None) -> int:
        """Read the first ``layers`` layers (all by default) from a ``.weights``; returns images seen."""
        data = Path(path).read_bytes()
        major, minor = struct.unpack_from("<ii", data)
        wide = major * 10 + minor >= 2 and major < 1000 and minor < 1000
        seen = struct.unpack_from("<q" if wide else "<i", data, 12)[0]
        flat = np.frombuffer(data, "<f4", offset=20 if wide else 16)
        at = 0

        def take(shape: Any) -> Tensor:
            nonlocal at
            count = int(np.prod(tuple(shape)))
            if at + count > flat.size:
                raise ValueError(f"{path}: too short for this network")
            part = torch.from_numpy(flat[at : at + count].copy()).view(*shape)
            at += count
            return part

        with torch.no_grad():
            for i, conv in self.convolutions():
                if layers is not None and i >= layers:
                    break
                n = (conv.filters,)
                bias = take(n)
                if conv.bn is not None:
                    stored = {"bias": bias}
                    for name in ("weight", "running_mean", "running_var"):
                        stored[name] = take(n)
                    # Darknet's root + 1e-6 as PyTorch's root of (variance + eps).
                    square = (stored["running_var"].double().sqrt() + 1e-6).square()
                    stored["running_var"] = (square - BN_EPS).clamp_min(0).float()
                    conv.bn.load_state_dict(stored, strict=False)
                elif conv.conv.bias is not None:
                    conv.conv.bias.copy_(bias)
                conv.conv.weight.copy_(take(conv.conv.weight.shape))
        if layers is None and at != flat.size:
            raise ValueError(f"{path}: {flat.size - at} values left over: not the weights of this network")
        return int(seen)

    def convolutions(self) -> list[tuple[int, Conv]]:
        return [(int(i), conv) for i, conv in self.convs.items()]  # type: ignore[misc]


def _maxpool(x: Tensor, opt: dict[str, str]) -> Tensor:
    stride = int(opt.get("stride", 1))
    size = int(opt.get("size", stride))
    padding = int(opt.get("padding", size - 1))
    if size == stride == 2 and x.shape[-1] % 2 == 0 and x.shape[-2] % 2 == 0:
        return F.max_pool2d(x, 2)
    # Out-of-range cells are ignored, so they are padded with the lowest value.
    before = padding // 2
    x = F.pad(x, (before, padding - before, before, padding - before), value=float("-inf"))
    return F.max_pool2d(x, size, stride)


def decode(raw: Tensor, anchors: list[tuple[float, float]], classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Region map to boxes, objectness and class scores, as Darknet's [region] with ``softmax=1`` does.

    Parameters
    ----------
    raw : (B, A·(5+classes), H, W)

    Returns
    -------
    boxes : (B, A, H, W, 4)
        Centre x, y, width, height in cells.
    objectness : (B, A, H, W)
        Logits.
    scores : (B, A, H, W, classes)
        Logits.
    """
    b, _, h, w = raw.shape
    raw = raw.float().view(b, len(anchors), 5 + classes, h, w).permute(0, 1, 3, 4, 2)
    col = torch.arange(w, dtype=torch.float32).view(1, 1, 1, w)
    row = torch.arange(h, dtype=torch.float32).view(1, 1, h, 1)
    prior = torch.tensor(anchors).view(1, len(anchors), 1, 1, 2)
    size = raw[..., 2:4].clamp(max=6).exp() * prior
    boxes = torch.stack(
        [raw[..., 0].sigmoid() + col, raw[..., 1].sigmoid() + row, size[..., 0], size[..., 1]], -1
    )
    return boxes, raw[..., 4], raw[..., 5:]
