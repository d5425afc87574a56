"""Is it safe to run? Every size, offset and region of a program against the buffers it names.

The C engine trusts its structs; a program that would read or write outside the arena is refused here, before
any of them is filled. What a program computes is not judged (`plan.check` proves that, for small networks).
"""

from __future__ import annotations

import sys

from darkfuse.engine.check_ops import FLOAT, LIMIT, PANEL, PIXEL, blocks, check_op, fail
from darkfuse.errors import PlanError
from darkfuse.plan.program import (
    PAGE,
    Op,
    Program,
    Stage,
    Tensor,
    Weights,
    arrived,
    reader_bytes,
    slot_bytes,
)

ALIGN = 64
MOST_PICTURES = 256


def check(program: Program, threads: int) -> None:
    """Raise `PlanError` for a program that could leave its buffers."""
    if not 1 <= threads <= program.threads:
        raise PlanError(f"the plan is laid out for 1..{program.threads} threads, not {threads}; plan again")
    if not 1 <= program.batch <= MOST_PICTURES:
        fail(f"a batch of {program.batch} pictures")
    if not 1 <= program.alone <= max(1, len(program.stages) if program.batch > 1 else 1):
        fail(f"{program.alone} stages that run for each picture as it comes")
    if not 0 <= program.arena_bytes <= sys.maxsize // 2:
        fail(f"an arena of {program.arena_bytes} bytes")
    for buffer in program.buffers:
        if buffer.bytes < 0 or buffer.offset < 0 or buffer.offset % 64 \
                or buffer.offset + buffer.bytes > program.arena_bytes:
            fail(f"buffer {buffer.name!r} is misaligned or outside the arena")
    for tensor in program.tensors:
        _tensor(program, tensor)
    for weights in program.weights:
        _weights(program, weights)
    step = -1
    for number, stage in enumerate(program.stages):
        _stage(program, number, stage)
        if stage.first != step + 1 or stage.last - stage.first not in (0, 1):
            fail(f"stage {number} has impossible steps")
        step = stage.last
    used = [op.weights for stage in program.stages for op in stage.ops if op.weights >= 0]
    if sorted(used) != list(range(len(program.weights))):
        fail("weights are not used by one operation each")
    for number, stage in enumerate(program.stages):
        for op in stage.ops:
            if op.weights >= 0:
                _slots(program, arrived(stage, program.weights[op.weights]), program.weights[op.weights])
            if op.weights >= 0 and number >= program.alone:
                _waits(program, program.weights[op.weights])
    for layer, number in program.outputs:
        if not 0 <= number < len(program.tensors) or program.tensors[number].layout != "chw":
            fail(f"the output of layer {layer} is not a map in Darknet's order")


def _bytes(program: Program, buffer: int, what: str) -> int:
    if not 0 <= buffer < len(program.buffers):
        fail(f"{what} has no buffer")
    return program.buffers[buffer].bytes


def _tensor(program: Program, t: Tensor) -> None:
    where = f"the map of layer {t.node}"
    room = _bytes(program, t.buffer, where)
    sizes = (t.channels, t.height, t.width, t.slots, t.cols)
    if t.layout not in PIXEL or min(sizes) < 1 or max(sizes) > LIMIT or not t.x0 \
            or t.offset < 0 or t.offset % FLOAT:
        fail(f"{where} has impossible sizes")
    if any(abs(x) > LIMIT - t.cols for x in t.x0):
        fail(f"{where} has a window far away")
    if t.layout == "chw":
        end = t.offset + t.channels * t.height * t.width * FLOAT
    else:
        slot = blocks(t.channels) * t.cols * PIXEL[t.layout]
        if t.row_stride < slot or (t.layout == "image" and t.channels != 3):
            fail(f"{where} has overlapping rows")
        end = t.offset + ((t.slots - 1) * t.row_stride + slot) * FLOAT
    if t.apart < 0 or t.apart % ALIGN:
        fail(f"{where} has impossible sizes")
    if end + (program.batch - 1) * t.apart > room:
        fail(f"{where} reaches past its buffer")
    if t.keep is not None and t.keep.buffer >= 0:
        room = _bytes(program, t.keep.buffer, where)
        if t.keep.slots < 1 or t.keep.cols < 1 \
                or t.keep.slots * t.keep.cols * blocks(t.channels) * PIXEL[t.layout] * FLOAT > room:
            fail(f"the row cache of layer {t.node} reaches past its buffer")


def _weights(program: Program, w: Weights) -> None:
    where = f"the weights of layer {w.node}"
    bare = w.per_filter == 0 and w.residency == "pinned" and w.packed < 0  # parameters only
    if w.residency not in ("pinned", "loaded", "streamed") or not 1 <= w.filters <= LIMIT \
            or (w.per_filter < 1 and not bare):
        fail(f"{where} have impossible sizes")
    if not all(0.0 <= value <= 1.0 for value in w.epsilons):
        fail(f"{where} are normalised with impossible epsilons")
    params = -(-w.filters // PANEL) * PANEL * FLOAT
    if min(_bytes(program, w.scale, where), _bytes(program, w.bias, where)) < params:
        fail(f"scale or bias of layer {w.node} reach past their buffers")
    if (w.packed >= 0 or w.residency != "streamed") and not bare:
        _bytes(program, w.packed, where)  # its size depends on the kernel: the engine asks the kernels
    if w.residency == "pinned":
        return
    room = _bytes(program, w.raw, where)
    if w.raw_filters < 1 or w.slots < 1 or reader_bytes(w.slots, w.raw_filters, w.per_filter) > room:
        fail(f"{where} reach past their reader's slots")
    if w.resident:
        room = _bytes(program, w.resident_raw, where)
        need = reader_bytes(w.resident, w.raw_filters, w.per_filter)
        if w.resident < 0 or w.residency != "streamed" or need > room:
            fail(f"{where} reach past those that stay")
        if program.buffers[w.resident_raw].first >= 0:
            fail(f"{where} lose those that stay")
    if w.transposed:
        fail(f"{where} are stored transposed and must be pinned")
    if w.residency == "streamed" and (w.block < PANEL or w.block % PANEL):
        fail(f"{where} come in blocks of {w.block} filters")
    if w.residency == "streamed" and w.filters > w.block and w.block % w.raw_filters:
        fail(f"{where}: a block of {w.block} filters is not made of reads of {w.raw_filters}")


def _slots(program: Program, until: int, w: Weights) -> None:
    """Reads go where nothing else is from the place's step to the layer's own. The layer's own slots come
    first, and no place lies over another: so there is always one that gets free."""
    where, size = f"a read of layer {w.node}", slot_bytes(w.raw_filters, w.per_filter)
    if w.all_reads == w.resident:
        return
    start = -(-program.buffers[w.raw].offset // PAGE) * PAGE
    if [landing.offset for landing in w.landings[: w.slots]] != [start + n * size for n in range(w.slots)]:
        fail(f"layer {w.node} has not all of its own slots to read into")
    own = {other.raw for other in program.weights}
    others = [b for n, b in enumerate(program.buffers) if n not in own and b.first <= until]
    end = -1
    for offset, first in sorted(w.landings):
        if offset < max(end, 0) or offset % PAGE or offset + size > program.arena_bytes \
                or not 0 <= first <= until:
            fail(f"{where} is misaligned, over another, outside the arena or out of time")
        if any(b.last >= first and b.offset < offset + size and offset < b.offset + b.bytes for b in others):
            fail(f"{where} overwrites what is in use")
        end = offset + size


def _waits(program: Program, w: Weights) -> None:
    """What a stage that runs as each picture comes is done with, it needs again for the next one."""
    begin = program.stages[program.alone].first
    if any(0 < landing.step < begin for landing in w.landings):
        fail(f"a read of layer {w.node} overwrites what the next picture needs")


def _stage(program: Program, number: int, stage: Stage) -> None:
    rows, cols = stage.grid
    if rows < 1 or cols < 1 or stage.shared_bytes < 0 or stage.thread_bytes < 0:
        fail(f"stage {number} has impossible sizes")
    if stage.shared_bytes % 64 or stage.thread_bytes % 64:
        fail(f"the scratch of stage {number} is misaligned")
    if stage.shared_bytes or stage.thread_bytes:
        room = _bytes(program, stage.scratch, f"the scratch of stage {number}")
        if stage.shared_bytes + program.threads * stage.thread_bytes > room:
            fail(f"the scratch of stage {number} reaches past its buffer")
    for op in stage.ops:
        check_op(program, stage, op)
    weights = [program.weights[op.weights] for op in stage.ops if op.weights >= 0]
    alone = number < program.alone
    if program.batch > 1 and (stage.last > stage.first or alone and any(
            w.residency == "streamed" for w in weights)):
        fail(f"stage {number} cannot run for several pictures")
    for w in weights:  # loaded for the first picture, used for all
        if alone and w.residency == "loaded" and (
                program.buffers[w.packed].first > 0
                or program.buffers[w.packed].last < program.stages[program.alone - 1].last):
            fail(f"the weights of layer {w.node} are lost before the last picture has come")
    if stage.last > stage.first and (stage.grid != (1, 1) or len(stage.ops) != 1
                                     or not _one_strip(stage.ops[0])):
        fail(f"stage {number} is not done with its input before it writes")


def _one_strip(op: Op) -> bool:
    rows = (op.y[0][1] - op.y[0][0]) * (op.pool or 1)
    return op.kernel == "winograd" and not 0 < 4 * op.strip < rows
