"""Each operation of a program against the maps and weights it names; `check` has the rest.

What an operation computes is not judged. What it reads and writes must lie in its maps, whatever it computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from darkfuse.errors import PlanError
from darkfuse.plan.program import (
    Keep,
    Op,
    Program,
    Span,
    Stage,
    Tensor,
    Weights,
    winograd_slots,
)

FLOAT = 4
BLOCK = 16
PANEL = 32
PIXEL = {"blocks": BLOCK, "image": 3, "chw": 1}
LIMIT = 2**31 - 1
WHOLE_MAP = ("avgpool", "reorg", "softmax", "connected", "local")  # read all of their input at once
SAME_CHANNELS = ("maxpool", "local_avgpool", "avgpool", "upsample", "softmax", "activate", "export", "crop",
                 "batchnorm")
SAME_MAP = ("export", "softmax", "activate", "batchnorm")
INPUTS = {"input": 0, "shortcut": 2, "sam": 2, "scale_channels": 2}
MOST_INPUTS = 64  # of a shortcut
MOST_READS = 1 << 21  # of one layer in a frame, for tile after tile


def fail(message: str) -> None:
    """Refuse the program."""
    raise PlanError(f"malformed program: {message}; make the plan again")


def blocks(channels: int) -> int:
    """Channel blocks of a map."""
    return -(-channels // BLOCK)


def conv_output(options: Any, length: int, across: bool = False) -> int:
    """Rows of a convolution's own output, or `across` its columns."""
    extent = (options.size - 1) * options.dilation + 1
    return int((length + 2 * options.pad - extent) // stride_of(options, across) + 1)


def stride_of(options: Any, across: bool) -> int:
    """The stride from row to row, or `across` from column to column."""
    return int(getattr(options, "stride_x", 0) if across else 0) or int(getattr(options, "stride", 1))


def check_op(program: Program, stage: Stage, op: Op) -> None:
    where = f"{op.kind} of layer {op.node}"
    few = INPUTS.get(op.kind, 1)
    if not few <= len(op.inputs) <= (MOST_INPUTS if op.kind == "shortcut" else few) \
            or not all(0 <= n < len(program.tensors) for n in (*op.inputs, op.output)):
        fail(f"{where} names maps that are not there")
    out, inputs = program.tensors[op.output], [program.tensors[n] for n in op.inputs]
    if len(op.y) != stage.grid[0] or len(op.x) != stage.grid[1]:
        fail(f"{where} does not say what each tile computes")
    for tensor in (out, *inputs):
        if len(tensor.x0) not in (1, stage.grid[1]):
            fail(f"{where}: a window has not one place per tile column")
    _spans(where, op.y, out.height)
    _spans(where, op.x, out.width)
    _channels(where, op, out, inputs)
    if op.kind == "conv":
        _conv(program, stage, op, out, inputs[0])
    elif op.kind in ("connected", "local"):
        _rows(where, op, _weights_of(program, op), out, inputs[0])
    elif op.kind == "batchnorm" or (op.kind == "shortcut" and _weighting(op)):
        _parameters(where, op, _weights_of(program, op), out)
    elif op.weights >= 0:
        fail(f"{where} has weights it does not read")
    if (op.kind in ("avgpool", "connected") and (out.height, out.width) != (1, 1)) or (
            op.kind == "connected" and op.y != ((0, 1),)) or (
            op.kind == "local" and (op.y, op.x) != (((0, out.height),), ((0, out.width),))):
        fail(f"{where} does not make its whole map at once")
    for j, x in enumerate(op.x):
        if out.layout != "chw":
            _inside(where, out, j, x)
        if x[0] < x[1]:
            for n, tensor in enumerate(inputs):
                if tensor.layout != "chw":
                    _inside(where, tensor, j, _reads(where, op, n, tensor, out, x))
    if out.keep is not None:
        _keep(where, stage, op, out, out.keep)


def _spans(where: str, spans: Sequence[Span], length: int) -> None:
    for start, end in spans:
        if not 0 <= start <= end <= length:
            fail(f"{where} computes {start}..{end} of {length}")


def _inside(where: str, t: Tensor, j: int, x: Span) -> None:
    x0 = t.x0[j if len(t.x0) > 1 else 0]
    if x[0] < x[1] and not x0 <= x[0] <= x[1] <= x0 + t.cols:
        fail(f"{where}: columns {x[0]}..{x[1]} are not all stored")


def _channels(where: str, op: Op, out: Tensor, inputs: Sequence[Tensor]) -> None:
    layouts = [t.layout for t in inputs]
    if op.kind in ("export", "softmax", "connected"):
        ok = "image" not in layouts[:1] or op.kind == "export"
        ok = ok and (op.kind != "export" or (out.layout == "chw" and layouts != ["chw"]))
        ok = ok and out.layout != "image"
    elif op.kind == "input":
        ok = out.layout != "chw"
    else:
        ok = out.layout == "blocks" and (layouts == ["image"] if op.kernel == "first" else
                                         all(layout == "blocks" for layout in layouts))
    if op.kind in SAME_CHANNELS and inputs[0].channels != out.channels:
        ok = False
    if op.kind in SAME_MAP \
            and (inputs[0].height, inputs[0].width) != (out.height, out.width):
        ok = False
    if op.kind == "copy":
        count = op.channels or inputs[0].channels
        ok = ok and min(op.block_offset, op.dest_channel, count) >= 0 \
            and op.block_offset + count <= inputs[0].channels and op.dest_channel + count <= out.channels \
            and (inputs[0].height, inputs[0].width) == (out.height, out.width)
    if op.kind == "shortcut":
        plain = len(inputs) == 2 and not _weighting(op)
        ok = ok and all(_size(t) == _size(out) for t in (inputs[:1] if plain else inputs))
    if op.kind == "sam":
        ok = ok and all(_size(t) == _size(out) for t in inputs)
    if op.kind == "scale_channels":
        ok = ok and _size(inputs[1]) == _size(out) \
            and _size(inputs[0]) in ((out.channels, 1, 1), (1, out.height, out.width))
    if op.kind == "crop":
        o: Any = op.options
        here = inputs[0]
        ok = ok and min(o.top, o.left) >= 0 and o.top + out.height <= here.height \
            and o.left + out.width <= here.width
    if op.kind == "reorg3d":
        s, here = getattr(op.options, "stride", 0), inputs[0]
        ok = ok and s >= 1 and _size(out) == (here.channels * s * s, here.height // s, here.width // s)
    if op.kind == "reorg":
        s, here = getattr(op.options, "stride", 0), inputs[0]
        ok = ok and s >= 1 and here.channels % (s * s) == 0 and here.height % s == here.width % s == 0
        ok = ok and out.channels == here.channels * s * s \
            and (out.height, out.width) == (here.height // s, here.width // s)
    if not ok:
        fail(f"{where} joins maps that do not fit each other")


def _size(t: Tensor) -> tuple[int, int, int]:
    return t.channels, t.height, t.width


def _rows(where: str, op: Op, w: Weights, out: Tensor, source: Tensor) -> None:
    """A row of weights for each output value (local), or unit (connected)."""
    size = int(getattr(op.options, "size", 1))
    if op.kind == "local":
        fits = 0 < size <= 1024 and 0 < stride_of(op.options, False) <= 1024 \
            and w.filters == out.channels * out.height * out.width \
            and w.per_filter == source.channels * size * size
    else:
        fits = (w.filters, w.per_filter) == (out.channels, source.channels * source.height * source.width)
    if not fits:
        fail(f"{where} does not fit its weights")


def _parameters(where: str, op: Op, w: Weights, out: Tensor) -> None:
    """One float a channel, or a map, or a channel of each map."""
    if op.kind == "batchnorm":
        count = out.channels
    else:
        count = len(op.inputs) * (out.channels if _weighting(op) == "channel" else 1)
    if w.per_filter or w.filters != count:
        fail(f"{where} does not fit its parameters")


def _weights_of(program: Program, op: Op) -> Weights:
    if not 0 <= op.weights < len(program.weights):
        fail(f"{op.kind} of layer {op.node} has no weights")
    return program.weights[op.weights]


def _conv(program: Program, stage: Stage, op: Op, out: Tensor, source: Tensor) -> None:
    where, o, w = f"convolution of layer {op.node}", op.options, _weights_of(program, op)
    size, stride, dilation, groups, pad = (
        int(getattr(o, name, -1)) for name in ("size", "stride", "dilation", "groups", "pad"))
    if not (0 < size <= 1024 and 0 < stride <= 1024 and 0 < dilation <= 1024 and groups > 0
            and 0 <= pad <= 1 << 20 and op.pool in (0, 2)):
        fail(f"{where} has impossible options")
    if source.channels % groups or out.channels % groups or w.filters != out.channels \
            or w.per_filter != source.channels // groups * size * size:
        fail(f"{where} does not fit its weights")
    if not 0 <= int(getattr(o, "stride_x", 0)) <= 1024:
        fail(f"{where} has impossible options")
    for before, after, across in ((source.height, out.height, False), (source.width, out.width, True)):
        conv = conv_output(o, before, across)
        if conv < 1 or after != (-(-conv // 2) if op.pool else conv):
            fail(f"{where} does not make a map of that size")
    plain = groups == 1 and not int(getattr(o, "stride_x", 0))
    winograd = plain and (size, stride, dilation, pad) == (3, 1, 1, 1)
    able = {"first": plain and dilation == 1, "direct": plain, "general": True, "winograd": winograd}
    if not able.get(op.kernel, False):
        fail(f"kernel {op.kernel!r} cannot run the {where}")
    if w.residency == "streamed" and w.all_reads * stage.grid[0] * stage.grid[1] > MOST_READS:
        fail(f"{where} is read too often")
    if w.residency == "streamed" and (w.packed < 0) != (op.kernel == "winograd"):
        fail(f"{where} has weights packed for another kernel")
    if w.packed < 0 and not winograd_slots(w.slots, w.raw_filters, w.block, w.filters):
        fail(f"{where} needs its filters in slots that hold a block, in parts of a panel")
    if op.strip < 0 or op.strip > LIMIT // 8:
        fail(f"{where} has strips of {op.strip} rows")


def _reads(where: str, op: Op, n: int, source: Tensor, out: Tensor, x: Span) -> tuple[int, int]:
    """Columns of input `n` that columns `x` of the output are made of; a convolution's with its padding,
    where its kernel needs that stored."""
    o: Any = op.options
    same = (source.height, source.width) == (out.height, out.width)
    if op.kind in WHOLE_MAP or (op.kind == "shortcut" and not same):
        return 0, source.width
    if op.kind == "scale_channels" and n == 0 and not same:
        return 0, 1
    across = stride_of(o, True)
    if op.kind == "conv":
        if op.pool:
            x = 2 * x[0], min(2 * x[1], conv_output(o, source.width, True))
        start, end = x[0] * across - o.pad, (x[1] - 1) * across - o.pad + (o.size - 1) * o.dilation + 1
        # Winograd looks where the stored columns end
        return (max(start, 0), min(end, source.width)) if op.kernel == "winograd" else (start, end)
    if op.kind in ("maxpool", "local_avgpool"):
        if o.size < 1 or min(o.stride, across) < 1 or o.padding < 0:
            fail(f"{where} has impossible options")
        before = o.padding // 2
        start, end = x[0] * across - before, (x[1] - 1) * across - before + o.size
        return max(start, 0), min(end, source.width)
    if op.kind == "reorg3d":
        return x[0] * across, x[1] * across
    if op.kind == "crop":
        return x[0] + o.left, x[1] + o.left
    if op.kind == "upsample":
        if o.stride < 1 or source.width * o.stride < out.width or source.height * o.stride < out.height:
            fail(f"{where} makes a map too large")
        return x[0] // o.stride, (x[1] - 1) // o.stride + 1
    return x


def _keep(where: str, stage: Stage, op: Op, out: Tensor, k: Keep) -> None:
    """Every column a moving window carries, in the windows before and after, and in the row cache."""
    if len(k.top) != stage.grid[0] or len(k.left) != stage.grid[1] or out.layout == "chw" \
            or not all(0 <= row <= out.height for row in k.top) \
            or not all(0 <= column <= out.width for column in k.left):
        fail(f"{where} does not say what its window keeps")
    for j, x in enumerate(op.x):
        if k.columns and j > 0:
            _inside(where, out, j - 1, (k.left[j], x[0]))
            _inside(where, out, j, (k.left[j], x[0]))
        first = x[0] if k.columns else min(k.left[j], x[0])
        _inside(where, out, j, (first, x[1]))
        if k.buffer >= 0 and first < x[1] and not k.x0 <= first <= x[1] <= k.x0 + k.cols:
            fail(f"{where}: columns {first}..{x[1]} are not in the row cache")


def _weighting(op: Op) -> str:
    return str(getattr(op.options, "weighting", ""))
