"""Write a network as ONNX, batch norm folded, with Darknet's reorg as reshape, transpose, reshape."""

from __future__ import annotations

from typing import Any

import numpy as np

from darkfuse.errors import DarkfuseError
from darkfuse.graph import Node
from tools.bench.ncnn_model import window_padding
from tools.bench.network import Network, shortcut_fit

OPSET = 17


def write_onnx(network: Network, path: str, external: bool = False, batch: int = 1) -> None:
    """Write an ONNX model with input `data` (batch, channels, height, width) and outputs `l<index>`.

    Parameters
    ----------
    network : Network
        What to write.
    path : str
        File to write.
    external : bool
        Put the weights beside the model in `path` + `.data`, from where a runtime can map them.
    batch : int
        Pictures at a time.

    Raises
    ------
    DarkfuseError
        For a layer that is not expressed here.
    """
    import onnx

    builder = _Builder(network, batch)
    for node in network.nodes:
        builder.layer(node)
    image = network.graph.input
    real, shape = onnx.TensorProto.FLOAT, network.graph.shape
    inputs = [onnx.helper.make_tensor_value_info("data", real, [batch, image.c, image.h, image.w])]
    outputs = [
        onnx.helper.make_tensor_value_info(f"l{i}", real, [batch, shape(i).c, shape(i).h, shape(i).w])
        for i in network.outputs
    ]
    graph = onnx.helper.make_graph(builder.nodes, "darknet", inputs, outputs, builder.constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=8)
    if external:
        location = path.rpartition("/")[2] + ".data"
        onnx.save(model, path, save_as_external_data=True, location=location, size_threshold=1024)
    else:
        onnx.save(model, path)


class _Builder:
    """Collects ONNX nodes and the constants they read."""

    def __init__(self, network: Network, batch: int) -> None:
        import onnx

        self.helper, self.numpy_helper = onnx.helper, onnx.numpy_helper
        self.network, self.batch = network, batch
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, values: np.ndarray) -> str:
        self.constants.append(self.numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(self.helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def reshape(self, source: str, output: str, shape: list[int]) -> str:
        wanted = self.constant(f"{output}_shape", np.array(shape, np.int64))
        return self.add("Reshape", [source, wanted], output)

    def layer(self, node: Node) -> None:
        inputs = ["data" if index < 0 else f"l{index}" for index in node.inputs]
        write = getattr(self, f"_{node.kind}", None)
        if write is None:
            raise DarkfuseError(f"layer {node.index} [{node.kind}] has no ONNX form here")
        write(node, node.options, f"l{node.index}", inputs)

    def _convolutional(self, node: Node, options: Any, name: str, inputs: list[str]) -> None:
        if options.activation not in ("linear", "relu", "leaky", "logistic", "mish"):
            raise DarkfuseError(f"layer {node.index}: activation {options.activation} has no ONNX form here")
        kernels, biases = self.network.folded[node.index]
        total = self.add(
            "Conv",
            [*inputs, self.constant(f"{name}_kernels", kernels), self.constant(f"{name}_biases", biases)],
            name if options.activation == "linear" else f"{name}_sum",
            kernel_shape=[options.size] * 2,
            strides=[options.stride] * 2,
            pads=[options.pad] * 4,
            dilations=[options.dilation] * 2,
            group=options.groups,
        )
        if options.activation == "leaky":
            self.add("LeakyRelu", [total], name, alpha=0.1)
        elif options.activation == "relu":
            self.add("Relu", [total], name)
        elif options.activation == "logistic":
            self.add("Sigmoid", [total], name)
        elif options.activation == "mish":  # an operator of its own from opset 18 on
            slope = self.add("Tanh", [self.add("Softplus", [total], f"{name}_softplus")], f"{name}_slope")
            self.add("Mul", [total, slope], name)

    def _maxpool(self, node: Node, options: Any, name: str, inputs: list[str]) -> None:
        window, source, out = options.window(), node.in_shapes[0], node.out_shape
        top, bottom = window_padding(window, source.h, out.h)
        left, right = window_padding(window, source.w, out.w)
        size, strides, pads = [options.size] * 2, [options.stride] * 2, [top, left, bottom, right]
        self.add("MaxPool", inputs, name, kernel_shape=size, strides=strides, pads=pads)

    def _route(self, node: Node, options: Any, name: str, inputs: list[str]) -> None:
        if options.groups > 1:
            parts = [f"{name}_part{i}" for i in range(len(inputs))]
            for part, source, shape in zip(parts, inputs, node.in_shapes):
                first = shape.c // options.groups * options.group_id
                bounds = {"starts": first, "ends": first + shape.c // options.groups, "axes": 1}
                cut = [self.constant(f"{part}_{key}", np.array([n], np.int64)) for key, n in bounds.items()]
                self.add("Slice", [source, *cut], part)
            inputs = parts
        if len(inputs) == 1:
            self.add("Identity", inputs, name)
        else:
            self.add("Concat", inputs, name, axis=1)

    def _reorg(self, node: Node, options: Any, name: str, inputs: list[str]) -> None:
        stride, source, out = options.stride, node.in_shapes[0], node.out_shape
        # (C, H, W) reread as (C/s2, H s, W s); the s rows and s columns of each cell then move to the front
        split = [self.batch, source.c // stride**2, source.h, stride, source.w, stride]
        wide = self.reshape(inputs[0], f"{name}_wide", split)
        moved = self.add("Transpose", [wide], f"{name}_moved", perm=[0, 3, 5, 1, 2, 4])
        self.reshape(moved, name, [self.batch, out.c, out.h, out.w])

    def _shortcut(self, node: Node, options: Any, name: str, inputs: list[str]) -> None:
        step, more = shortcut_fit(node)
        here, there = inputs
        if step > 1:  # every step-th row and column: the largest of one
            there = self.add("MaxPool", [there], f"{name}_fewer", kernel_shape=[1, 1], strides=[step, step])
        if more:
            ends = self.constant(f"{name}_ends", np.array([0, 0, 0, 0, 0, more, 0, 0], np.int64))
            there = self.add("Pad", [there, ends], f"{name}_more")
        total = self.add("Add", [here, there], name if options.activation == "linear" else f"{name}_sum")
        if options.activation == "leaky":
            self.add("LeakyRelu", [total], name, alpha=0.1)

    def _avgpool(self, node: Node, options: Any, name: str, inputs: list[str]) -> None:
        self.add("GlobalAveragePool", inputs, name)

    def _softmax(self, node: Node, options: Any, name: str, inputs: list[str]) -> None:
        if options.groups > 1:
            raise DarkfuseError(f"layer {node.index}: a softmax of groups has no ONNX form here")
        self.add("Softmax", inputs, name, axis=1)

    def _upsample(self, node: Node, options: Any, name: str, inputs: list[str]) -> None:
        if options.scale != 1.0:
            raise DarkfuseError(f"layer {node.index}: upsampling with a scale has no ONNX form here")
        scales = self.constant(f"{name}_scales", np.array([1, 1, options.stride, options.stride], np.float32))
        how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        self.add("Resize", [inputs[0], "", scales], name, mode="nearest", **how)
