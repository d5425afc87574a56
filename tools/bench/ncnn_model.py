"""Write a network as ncnn's .param (text) and .bin (float32), batch norm folded, with Darknet's reorg.

Option numbers are those the `load_param` of each ncnn layer reads.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO

from darkfuse.errors import DarkfuseError
from darkfuse.graph import Node, Window
from tools.bench.network import Network, shortcut_fit

MAGIC = 7767517
_ACTIVATIONS = {
    "linear": "",
    "relu": " 9=1",
    "leaky": " 9=2 -23310=1,0.1",
    "logistic": " 9=4",
    "mish": " 9=5",
}


def write_ncnn(network: Network, param: str, model: str) -> None:
    """Write the two files ncnn loads.

    The input blob is `data`, (channels, height, width). :func:`output_blobs` names the outputs.

    Raises
    ------
    DarkfuseError
        For a layer that is not expressed here.
    """
    with open(model, "wb") as out:
        writer = _Writer(network, out)
        for node in network.nodes:
            writer.layer(node)
    head = f"{MAGIC}\n{len(writer.lines)} {writer.blobs}\n"
    Path(param).write_text(head + "\n".join(writer.lines) + "\n")


def output_blobs(network: Network) -> list[str]:
    """Names of the blobs that hold the network's outputs: the first copy where other layers read them too."""
    return [f"l{index}_0" if network.readers(index) else f"l{index}" for index in network.outputs]


def window_padding(window: Window, length: int, out: int) -> tuple[int, int]:
    """Padding before and after `length` pixels that makes exactly `out` windows fit."""
    after = (out - 1) * window.stride + window.extent - length - window.pad_before
    return window.pad_before, max(0, after)


class _Writer:
    """Collects layer lines; a blob that is read more than once goes through Split, as ncnn wants it."""

    def __init__(self, network: Network, out: BinaryIO) -> None:
        self.network, self.out = network, out
        self.lines: list[str] = []
        self.blobs = 0
        self.unread: dict[int, list[str]] = {}  # by layer: the copies of its output nobody has taken yet
        image = network.graph.input
        self.add("Input", "data", [], ["data"], f"0={image.w} 1={image.h} 2={image.c}")
        self.share(-1, "data")

    def add(self, kind: str, name: str, inputs: list[str], outputs: list[str], options: str) -> None:
        self.blobs += len(outputs)
        words = [kind, name, str(len(inputs)), str(len(outputs)), *inputs, *outputs, options]
        self.lines.append(" ".join(words).rstrip())

    def share(self, index: int, blob: str) -> None:
        """Make the output of a layer available to all its readers; being an output counts as one."""
        readers = self.network.readers(index) + (index in self.network.outputs)
        copies = [f"{blob}_{i}" for i in range(readers)] if readers > 1 else [blob]
        if readers > 1:
            self.add("Split", f"split_{blob}", [blob], copies, "")
        self.unread[index] = copies

    def layer(self, node: Node) -> None:
        inputs = [self.unread[index].pop() for index in node.inputs]
        name = f"l{node.index}"
        write = getattr(self, f"_{node.kind}", None)
        if write is None:
            raise DarkfuseError(f"layer {node.index} [{node.kind}] has no ncnn form here")
        write(node, node.options, name, inputs)
        self.share(node.index, name)

    def _convolutional(self, node: Node, options: Any, name: str, inputs: list[str]) -> None:
        if options.activation not in _ACTIVATIONS:
            raise DarkfuseError(f"layer {node.index}: activation {options.activation} has no ncnn form here")
        kernels, biases = self.network.folded[node.index]
        text = (
            f"0={options.filters} 1={options.size} 2={options.dilation} 3={options.stride} 4={options.pad} "
            f"5=1 6={kernels.size}{_ACTIVATIONS[options.activation]}"
        )
        if options.groups > 1:
            self.add("ConvolutionDepthWise", name, inputs, [name], f"{text} 7={options.groups}")
        else:
            self.add("Convolution", name, inputs, [name], text)
        self.out.write(struct.pack("<I", 0))  # float32 follows
        self.out.write(kernels.astype("<f4").tobytes())
        self.out.write(biases.astype("<f4").tobytes())

    def _maxpool(self, node: Node, options: Any, name: str, inputs: list[str]) -> None:
        window, source, out = options.window(), node.in_shapes[0], node.out_shape
        top, bottom = window_padding(window, source.h, out.h)
        left, right = window_padding(window, source.w, out.w)
        text = f"0=0 1={options.size} 2={options.stride} 3={left} 14={right} 13={top} 15={bottom} 5=1"
        self.add("Pooling", name, inputs, [name], text)

    def _route(self, node: Node, options: Any, name: str, inputs: list[str]) -> None:
        if options.groups > 1:
            parts = [f"{name}_part{i}" for i in range(len(inputs))]
            for part, blob, shape in zip(parts, inputs, node.in_shapes):
                channels = shape.c // options.groups
                first = channels * options.group_id
                text = f"-23309=1,{first} -23310=1,{first + channels} -23311=1,0"
                self.add("Crop", part, [blob], [part], text)
            inputs = parts
        if len(inputs) == 1:
            self.add("Noop", name, inputs, [name], "")
        else:
            self.add("Concat", name, inputs, [name], "0=0")

    def _reorg(self, node: Node, options: Any, name: str, inputs: list[str]) -> None:
        # Darknet first rereads (C, H, W) as (C/s2, H s, W s); mode 1 of ncnn then has its order of channels
        stride, source, out = options.stride, node.in_shapes[0], node.out_shape
        wide, moved = f"{name}_wide", f"{name}_moved"
        shape = f"0={source.w * stride} 1={source.h * stride} 2={source.c // stride**2}"
        self.add("Reshape", wide, inputs, [wide], shape)
        self.add("Reorg", moved, [wide], [moved], f"0={stride} 1=1")
        self.add("Reshape", name, [moved], [name], f"0={out.w} 1={out.h} 2={out.c}")

    def _shortcut(self, node: Node, options: Any, name: str, inputs: list[str]) -> None:
        step, more = shortcut_fit(node)
        here, there = inputs
        if step > 1:  # every step-th row and column: the largest of one
            self.add("Pooling", f"{name}_fewer", [there], [f"{name}_fewer"], f"0=0 1=1 2={step} 5=1")
            there = f"{name}_fewer"
        if more:
            self.add("Padding", f"{name}_more", [there], [f"{name}_more"], f"4=0 5=0.0 7=0 8={more}")
            there = f"{name}_more"
        total = name if options.activation == "linear" else f"{name}_sum"
        self.add("BinaryOp", total, [here, there], [total], "0=0")
        if options.activation == "leaky":
            self.add("ReLU", name, [total], [name], "0=0.1")

    def _avgpool(self, node: Node, options: Any, name: str, inputs: list[str]) -> None:
        self.add("Pooling", name, inputs, [name], "0=1 4=1")

    def _softmax(self, node: Node, options: Any, name: str, inputs: list[str]) -> None:
        if options.groups > 1:
            raise DarkfuseError(f"layer {node.index}: a softmax of groups has no ncnn form here")
        self.add("Softmax", name, inputs, [name], "0=0")

    def _upsample(self, node: Node, options: Any, name: str, inputs: list[str]) -> None:
        if options.scale != 1.0:
            raise DarkfuseError(f"layer {node.index}: upsampling with a scale has no ncnn form here")
        self.add("Interp", name, inputs, [name], f"0=1 1={options.stride}.0 2={options.stride}.0")
