"""Prove a program right without running it: every float of the arena gets a label saying what it holds.

The walk follows the contract in `program.py` tile by tile, as the engine does, but moves labels (layer,
channel, row, column) in place of values. An operation that reads a cell which holds anything else than the
graph says it should, finds out. Made for small networks: one Python object per float of the arena.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from darkfuse.errors import PlanError
from darkfuse.graph import Graph, Node
from darkfuse.graph.layers.route import RouteOptions
from darkfuse.plan.layout.arena import ALIGN
from darkfuse.plan.program import Keep, Op, Program, Span, Stage, Tensor

Label = tuple[int, int, int, int, int]  # layer, channel, row, column, picture of a batch
Spans = Sequence[Span]
FLOAT = 4


def check_program(graph: Graph, program: Program) -> dict[int, int]:
    """Walk a program and check that it computes the graph.

    Returns
    -------
    dict of int to int
        Values computed per layer (channels x pixels, recomputed ones counted again), for one picture.

    Raises
    ------
    PlanError
        Buffers alive together overlap or leave the arena, a tensor leaves its buffer, an operation reads
        what is not there, an output is incomplete, or multiply-adds are miscounted.
    """
    _check_buffers(program)
    return _Walk(graph, program).run()


def _fail(message: str) -> None:
    raise PlanError(f"program: {message}")


def _check_buffers(program: Program) -> None:
    for number, buffer in enumerate(program.buffers):
        if buffer.offset % ALIGN or buffer.offset < 0 or buffer.offset + buffer.bytes > program.arena_bytes:
            _fail(f"buffer {buffer.name} at {buffer.offset} is misaligned or outside the arena")
        for at, other in enumerate(program.buffers[:number]):
            if number == other.over or at == buffer.over:
                continue  # the walk finds out whether a row goes too early
            together = (buffer.first < 0 or other.last >= buffer.first) and (
                other.first < 0 or buffer.last >= other.first)
            apart = (buffer.offset + buffer.bytes <= other.offset
                     or other.offset + other.bytes <= buffer.offset)
            if together and not apart and buffer.bytes and other.bytes:
                _fail(f"buffers {buffer.name} and {other.name} are alive together and overlap")
    for tensor in program.tensors:
        last = _address(tensor, 0, tensor.channels - 1, tensor.slots - 1, tensor.cols - 1)
        if tensor.layout == "chw":
            last = tensor.channels * tensor.height * tensor.width - 1
        end = tensor.offset + (program.batch - 1) * tensor.apart + (last + 1) * FLOAT
        if end > program.buffers[tensor.buffer].bytes:
            _fail(f"tensor of layer {tensor.node} reaches past its buffer")


def _address(tensor: Tensor, start: int, channel: int, slot: int, column: int) -> int:
    """Float number of a stored cell, counted from `start`."""
    if tensor.layout == "image":
        return start + slot * tensor.row_stride + column * 3 + channel
    return start + slot * tensor.row_stride + (channel // 16 * tensor.cols + column) * 16 + channel % 16


class _Walk:
    def __init__(self, graph: Graph, program: Program) -> None:
        self.graph, self.program = graph, program
        self.arena: list[Label | None] = [None] * (program.arena_bytes // FLOAT)
        self.computed: dict[int, int] = {}
        self.asked = {tensor: layer for layer, tensor in program.outputs}
        self.picture = 0

    def run(self) -> dict[int, int]:
        everyone, alone = range(self.program.batch), self.program.stages[: self.program.alone]
        for picture in everyone:
            for stage in alone:
                if stage.first > 0 or picture == 0:  # maps that wait for the batch are there from then on
                    self._begin(stage.first)
                self._stage(stage, range(picture, picture + 1))
        for stage in self.program.stages[self.program.alone :]:
            self._begin(stage.first)
            self._stage(stage, everyone)
        for stage in self.program.stages:
            for op in stage.ops:
                self._macs(op)
        for picture in everyone:
            self.picture = picture
            for layer, number in self.program.outputs:
                self._output(layer, number)
        return self.computed

    def _stage(self, stage: Stage, pictures: range) -> None:
        weights = self.program.weights
        if any(op.weights >= 0 and weights[op.weights].residency == "streamed" for op in stage.ops):
            for i, j in product(range(stage.grid[0]), range(stage.grid[1])):
                for op in stage.ops:
                    for picture in pictures:
                        self.picture = picture
                        self._op(op, i, j, stage)
            return
        for picture in pictures:
            self.picture = picture
            for i in range(stage.grid[0]):
                for j in range(stage.grid[1]):
                    for op in stage.ops:
                        self._op(op, i, j, stage)

    def _begin(self, step: int) -> None:
        """What is alive from this step on holds nothing yet."""
        for buffer in self.program.buffers:
            if buffer.first == step and buffer.over < 0:
                start = buffer.offset // FLOAT
                self.arena[start : start + buffer.bytes // FLOAT] = [None] * (buffer.bytes // FLOAT)

    def _at(self, tensor: Tensor, channel: int, y: int, x: int, j: int) -> int:
        """Float number in the arena of one value; checks that it is stored at all."""
        start = self.program.buffers[tensor.buffer].offset + tensor.offset + self.picture * tensor.apart
        start //= FLOAT
        if tensor.layout == "chw":
            return start + (channel * tensor.height + y) * tensor.width + x
        column = x - tensor.x0[j if len(tensor.x0) > 1 else 0]
        if not 0 <= column < tensor.cols:
            _fail(f"layer {tensor.node}: column {x} is outside the stored window at tile column {j}")
        return _address(tensor, start, channel, y % tensor.slots, column)

    # -- what the graph says ---------------------------------------------------------------------------

    def _origin(self, layer: int, channel: int) -> tuple[int, int]:
        """The layer and channel whose value channel `channel` of `layer` is."""
        while layer >= 0:
            node = self.graph.node(layer)
            if node.options.passes:
                layer = node.inputs[0]
            elif isinstance(node.options, RouteOptions):
                for source, shape in zip(node.inputs, node.in_shapes):
                    part = shape.c // node.options.groups
                    if channel < part:
                        layer, channel = source, channel + part * node.options.group_id
                        break
                    channel -= part
            else:
                break
        return layer, channel

    def _reads(self, op: Op, y: Span, x: Span) -> list[tuple[int, Span, Span]]:
        """(layer read, rows, columns) per input, columns with the padding a convolution reads;
        Winograd reads what there is."""
        if op.kind in ("input", "copy"):
            return []
        if op.kind == "export":
            return [(self.asked[op.output], y, x)]
        node, (y,), (x,) = self._before_pooling(op, [y], [x])
        reads = []
        for number, (layer, shape) in enumerate(zip(node.inputs, node.in_shapes)):
            rows, columns = (0, shape.h), (0, shape.w)
            window, across = node.window, node.columns_window
            if window is not None and across is not None:
                rows = y[0] * window.stride - window.pad_before, \
                    (y[1] - 1) * window.stride - window.pad_before + window.extent
                columns = x[0] * across.stride - across.pad_before, \
                    (x[1] - 1) * across.stride - across.pad_before + across.extent
                rows = max(rows[0], 0), min(rows[1], shape.h)
                if node.kind != "convolutional" or op.kernel == "winograd":
                    columns = max(columns[0], 0), min(columns[1], shape.w)
            elif node.kind == "upsample":
                scale = getattr(node.options, "stride", 1)
                rows = y[0] // scale, (y[1] - 1) // scale + 1
                columns = x[0] // scale, (x[1] - 1) // scale + 1
            elif node.kind in ("shortcut", "sam", "scale_channels") \
                    and (shape.h, shape.w) == (node.out_shape.h, node.out_shape.w):
                rows, columns = y, x
            elif node.kind == "scale_channels" and number == 0:
                rows = columns = 0, 1
            reads.append((layer, rows, columns))
        return reads

    def _before_pooling(self, op: Op, y: Sequence[Span], x: Sequence[Span]) -> tuple[Node, Spans, Spans]:
        """The layer that computes, and regions of its own map; of the map pooled from it, where it pools."""
        node = self.graph.node(op.node)
        if not op.pool:
            return node, y, x
        node = self.graph.node(node.inputs[0])
        height, width = node.out_shape.h, node.out_shape.w
        return node, [(2 * a, min(2 * b, height)) for a, b in y], [(2 * a, min(2 * b, width)) for a, b in x]

    # -- one operation at one tile ---------------------------------------------------------------------

    def _op(self, op: Op, i: int, j: int, stage: Stage) -> None:
        out = self.program.tensors[op.output]
        y, x = op.y[i], op.x[j]
        if out.keep is not None:
            self._carry(out, out.keep, op, i, j)
        if y[0] < y[1] and x[0] < x[1]:
            for number, (layer, rows, columns) in enumerate(self._reads(op, y, x)):
                tensor = self.program.tensors[op.inputs[number]]
                self._read(f"layer {op.node}", tensor, layer, rows, columns, j)
            if stage.last > stage.first:
                self._begin(stage.last)
            if op.kind == "copy":
                self._copy(op, y, x, j)
            else:
                self._write(op, out, y, x, j)
        if out.keep is not None and out.keep.buffer >= 0 and i + 1 < len(op.y):
            self._rows(out, out.keep, (out.keep.top[i + 1], y[1]), x, j, save=True)

    def _read(self, reader: str, tensor: Tensor, layer: int, rows: Span, columns: Span, j: int) -> None:
        """Check that a region of a tensor holds that region of a layer's map."""
        for channel in range(tensor.channels):
            origin = self._origin(layer, channel)
            for row, column in product(range(*rows), range(*columns)):
                cell = self._at(tensor, channel, row, column, j)
                # Padding columns need only be stored: keeping them zero is the engine's business.
                right = (*origin, row, column, self.picture)
                if 0 <= column < tensor.width and self.arena[cell] != right:
                    _fail(f"{reader} reads layer {layer} channel {channel} at row {row}, column {column}, "
                          f"and finds {self.arena[cell]}")

    def _write(self, op: Op, out: Tensor, y: Span, x: Span, j: int) -> None:
        for channel in range(out.channels):
            exported = op.kind == "export"
            label = self._origin(self.asked[op.output], channel) if exported else (op.node, channel)
            for row, column in product(range(*y), range(*x)):
                self.arena[self._at(out, channel, row, column, j)] = (*label, row, column, self.picture)
        if op.kind != "export" and self.picture == 0:
            count = out.channels * (y[1] - y[0]) * (x[1] - x[0])
            self.computed[op.node] = self.computed.get(op.node, 0) + count

    def _copy(self, op: Op, y: Span, x: Span, j: int) -> None:
        source, out = self.program.tensors[op.inputs[0]], self.program.tensors[op.output]
        for channel, row, column in product(range(op.channels), range(*y), range(*x)):
            cell = self._at(source, op.block_offset + channel, row, column, j)
            self.arena[self._at(out, op.dest_channel + channel, row, column, j)] = self.arena[cell]

    # -- what a moving window carries ------------------------------------------------------------------

    def _carry(self, out: Tensor, keep: Keep, op: Op, i: int, j: int) -> None:
        y, x = op.y[i], op.x[j]
        if keep.columns and j > 0:
            cells = product(range(out.channels), range(keep.top[i], y[1]), range(keep.left[j], x[0]))
            moved = {self._at(out, *cell, j): self.arena[self._at(out, *cell, j - 1)] for cell in cells}
            for at, label in moved.items():
                self.arena[at] = label
        if keep.buffer >= 0 and i > 0:
            self._rows(out, keep, (keep.top[i], y[0]), x, j, save=False)

    def _rows(self, out: Tensor, keep: Keep, rows: Span, columns: Span, j: int, save: bool) -> None:
        cache = Tensor(out.node, keep.buffer, 0, out.layout, out.channels, out.height, out.width,
                       keep.cols * (3 if out.layout == "image" else -(-out.channels // 16) * 16),
                       keep.cols, keep.slots, (keep.x0,))
        size = self.program.buffers[keep.buffer].bytes
        if keep.slots * cache.row_stride * FLOAT > size:
            _fail(f"row cache of layer {out.node} is too small")
        for cell in product(range(out.channels), range(*rows), range(*columns)):
            inside, cached = self._at(out, *cell, j), self._at(cache, *cell, 0)
            if save:
                self.arena[cached] = self.arena[inside]
            else:
                self.arena[inside] = self.arena[cached]

    # -- at the end ------------------------------------------------------------------------------------

    def _macs(self, op: Op) -> None:
        if op.kind != "conv":
            return
        node, rows, columns = self._before_pooling(op, op.y, op.x)
        pixels = sum(max(b - a, 0) for a, b in rows) * sum(max(b - a, 0) for a, b in columns)
        expected = pixels * node.macs // (node.out_shape.h * node.out_shape.w)
        if op.macs != expected:
            _fail(f"layer {op.node}: {op.macs} multiply-adds promised, {expected} executed")

    def _output(self, layer: int, number: int) -> None:
        tensor = self.program.tensors[number]
        shape = self.graph.shape(layer)
        size = tensor.channels, tensor.height, tensor.width
        if tensor.layout != "chw" or size != (shape.c, shape.h, shape.w):
            _fail(f"output of layer {layer} is not its map in Darknet's order")
        self._read("the caller", tensor, layer, (0, tensor.height), (0, tensor.width), 0)
