"""What the engine executes: buffers with offsets, tensors in them, operations over tile regions.

`lower(graph, plan)` of `plan.layout` makes a `Program`; the engine copies it into C structs and runs it frame
after frame.  Every number the engine needs is here, so `arena_bytes` is the allocation, to the byte.

Time is counted in steps: a stage is one, or two where its only operation is a Winograd convolution in one
strip. That has transformed all of its input before it writes anything: the input is dead in the second step,
the output not yet alive in the first.

A program for a batch of pictures runs its first stages, `alone` of them, for each picture as it comes, and
every other stage for all of them before the next stage begins. Maps of the first stages that later ones read
are there for each picture, from step 0 on; the bytes of others serve one picture after another. Where a stage
streams weights, each operation is done for every picture before the stage's next one; and the weights come
again for every tile.

All regions are half open.  A stage with an R x C grid runs ``for i in R: for j in C: for op in ops``.  The
region an operation computes at tile (i, j) is rows ``op.y[i]`` x columns ``op.x[j]`` of its output.
"""
from __future__ import annotations

from typing import NamedTuple

from darkfuse.host.record import dataclass

Span = tuple[int, int]  # [start, end)
TOGETHER = 4  # pictures: a filter's transform is a fiftieth of what it is then computed with
ENOUGH_TILES = 100  # share it as well
SUMS = 8  # panels times pictures, whose sums a thread holds: no cache has more
PAGE = 4096  # direct reads begin and end at multiples of this, in the file and in memory


def slot_bytes(filters: int, per_filter: int) -> int:
    """Bytes of one slot of the weights' reader: `filters` filters and the rest of the pages they lie in."""
    return -(-filters * per_filter * 4 // PAGE) * PAGE + PAGE


def reader_bytes(slots: int, filters: int, per_filter: int) -> int:
    """Bytes of a reader's buffer: its slots, and room to begin at a whole page."""
    return slots * slot_bytes(filters, per_filter) + PAGE


def reads_of(filters: int, block: int, raw: int) -> int:
    """Reads of so many filters at a time; none reaches from one block into the next."""
    whole, rest = divmod(filters, block)
    return whole * -(-block // raw) + -(-rest // raw)


def winograd_slots(slots: int, raw: int, block: int, filters: int) -> bool:
    """Whether a streamed Winograd layer can compute from its reader's slots: they hold a block of filters at
    a time, and a panel of 32 comes in whole reads, or a read in whole panels."""
    return slots * raw >= min(block, filters) and (32 % raw == 0 or raw % 32 == 0 or raw >= filters)


def panels_at_once(batch: int, threads: int, block: int) -> int:
    """Panels of 32 filters that a thread computes a streamed Winograd layer with at a time in a batch: each
    transformed input serves them all. None reaches from one block into the next."""
    return next(panels for panels in (4, 2, 1) if block % (32 * panels) == 0) if batch >= threads else 1


def pictures_at_once(batch: int, threads: int, tiles: int, panels: int) -> int:
    """Pictures that it does so for, in strips of so many tiles: each transformed filter serves them all, and
    every thread has some."""
    return max(1, min(TOGETHER, SUMS // panels, batch // threads, ENOUGH_TILES // max(1, tiles)))


class Buffer(NamedTuple):
    """Bytes in the arena, 64-byte aligned. Alive from step `first` to step `last`, inclusive;
    first == -1 marks what is kept over frames (pinned weights, biases; in a still plan all maps). `over` >=
    0: this one is written over rows of that buffer that are dead by then, in the step where that one ends
    and this begins."""

    name: str
    bytes: int
    offset: int
    first: int
    last: int
    over: int = -1


class Tensor(NamedTuple):
    """One node's output map, or the window of it that a tile sees.

    layout : 'blocks' (slots, blocks, cols, 16) float32; 'image' (slots, cols, 3) float32 interleaved RGB;
        'chw' (channels, height, width) float32, Darknet's order, for outputs
    offset : bytes into the buffer (a slice of a concatenation starts at its first channel block)
    row_stride : floats from slot to slot
    cols : stored columns, margin included;  x0[j] : column number of stored column 0 at tile column j
        (one entry when the window does not move)
    slots : stored rows; row y lives in slot y % slots
    apart : bytes from one picture's map to the next one's in a batch; 0: all have it, one after another
    keep : for a window that moves (C > 1) and keeps what the next tile needs; None otherwise
    """

    node: int  # Darknet layer index, -1 the network input
    buffer: int
    offset: int
    layout: str
    channels: int
    height: int
    width: int
    row_stride: int
    cols: int
    slots: int
    x0: tuple[int, ...]
    keep: Keep | None = None
    apart: int = 0


class Keep(NamedTuple):
    """What a moving window carries between tiles. Before its producer runs at tile (i, j):

    1. columns ('full' only, j > 0): stored columns of [left[j], x[j][0]) move from where tile j - 1 had them
       to their place under x0[j], for rows [top[i], y[i][1]) that are already there from tile (i, j - 1)
    2. rows (i > 0): rows [top[i], y[i][0]) of columns [x[j][0], x[j][1]) come from the row cache
       (cache 'rows': of columns [left[j], x[j][1]), all the window's)
    After it ran (not in the last tile row): rows [top[i + 1], y[i][1]) of columns x[j] are saved to the row
    cache. The row cache is shaped like the tensor, without margins: (slots, blocks, cols, 16), or (slots,
    cols, 3) for an image; row y in slot y % slots, column x at x - x0.
    `buffer` is -1, and `slots` 0, when no rows are carried. Spans of rows or columns may be empty.
    """

    buffer: int
    slots: int
    cols: int
    x0: int
    top: tuple[int, ...]  # per tile row: first row any consumer needs
    left: tuple[int, ...]  # per tile column: first column any consumer needs
    columns: bool  # carry columns too (cache 'full')


class Landing(NamedTuple):
    """Where a read may go: bytes from the arena's start, a multiple of `PAGE`; not before that step, as the
    bytes serve others until then."""

    offset: int
    step: int


class Weights(NamedTuple):
    """One layer's weights: where they lie in the file, and where they go.

    The file part after `file_offset` is (filters, per_filter) float32. Biases and batch norm arrays are
    folded once at load into `scale` and `bias` (each round32(filters) float32), always pinned. Connected
    layers are packed as they lie, (filters, per_filter) rows.
    """

    node: int
    residency: str  # 'pinned' | 'loaded' | 'streamed'
    filters: int
    per_filter: int  # floats: in_c / groups * size * size
    file_offset: int  # bytes, of the kernel weights; -1 not in the file: all of the layer's weights are zero
    params_offset: int  # bytes, of the biases
    batch_normalize: bool
    scale: int  # buffer: (round32(filters),) float32
    bias: int  # buffer
    packed: int  # buffer: the layer packed (pinned, loaded) or one block of it; -1: Winograd, from the slots
    raw: int  # buffer of `slots` slots of `raw_filters` filters; -1: pinned
    block: int  # streamed: filters the team computes with at a time
    raw_filters: int
    slots: int
    # bytes, of scales, means, variances; -1 they follow the biases (connected: they do not)
    norm_offset: int = -1
    resident: int = 0  # reads, from the first on, that stay over frames
    resident_raw: int = -1  # buffer of `resident` slots
    # batch norm divides by sqrt(variance + the first) + the second: the dialect's
    epsilons: tuple[float, float] = (0.0, 1e-6)
    transposed: bool = False  # (per_filter, filters) in the file: connected layers of old files, pinned only
    landings: tuple[Landing, ...] = ()  # for reads: the slots in `raw`, then others; none over another

    @property
    def block_reads(self) -> int:
        """Reads of one block."""
        return -(-(self.block if self.residency == "streamed" else self.filters) // self.raw_filters)

    @property
    def all_reads(self) -> int:
        """Reads of the layer, the resident ones included."""
        if self.residency == "pinned" or self.file_offset < 0:
            return 0
        return reads_of(self.filters, self.block if self.residency == "streamed" else self.filters,
                        self.raw_filters)


class Op(NamedTuple):
    """One layer operation of a stage.

    kind : a key of `KINDS` in engine/structs.pxi: 'input', 'conv', 'copy' (of a route), 'export', ...;
        'activate' is a function of each value, into a map of its own
    node : the layer it completes;  inputs, output : tensor indices
    y, x : output region per tile row / tile column (of the pooled map when `pool` is 2)
    options : the node's own options dataclass (graph/layers), for sizes and strides; the convolution's when a
        pooling is fused into it; None for 'input', 'export' and 'copy'
    """

    kind: str
    node: int
    inputs: tuple[int, ...]
    output: int
    y: tuple[Span, ...]
    x: tuple[Span, ...]
    kernel: str = "none"
    pool: int = 0  # 2: the following 2x2/2 max pooling is done in the store
    strip: int = 0  # Winograd tile rows at a time, 0 all
    weights: int = -1  # index into Program.weights
    block_offset: int = 0  # 'copy': first source channel (route groups)
    channels: int = 0  # 'copy': how many channels, 0 all of the source
    dest_channel: int = 0  # 'copy': first destination channel when not a multiple of 16 apart
    macs: int = 0  # multiply-adds of the whole op over all tiles, recompute included
    options: object | None = None  # read by attribute: size, stride, pad, activation, ...


class Stage(NamedTuple):
    """Operations that run together, tile by tile over a grid of (rows, columns).

    first, last : steps, both included; one, or two
    """

    ops: tuple[Op, ...]
    grid: tuple[int, int]
    first: int
    last: int
    scratch: int  # buffer: shared and per-thread scratch (Winograd), -1 none
    shared_bytes: int = 0  # of the scratch, shared by the team (Winograd's transformed input)
    thread_bytes: int = 0  # of the scratch, per thread


def passes(op: Op) -> int:
    """How often an operation's weights are read in a frame when they are streamed: once for each tile that
    computes anything."""
    return sum(a < b for a, b in op.y) * sum(a < b for a, b in op.x)


def arrived(stage: Stage, weights: Weights) -> int:
    """The last step in which weights of a stage may still arrive. Loaded ones are packed before the stage's
    first operation, so they are read by its first step; a streamed layer is read while it runs."""
    return stage.last if weights.residency == "streamed" else stage.first


@dataclass(frozen=True)
class Program:
    """All the engine needs to know: what lies where in the arena, and what runs in which order."""

    buffers: tuple[Buffer, ...]
    tensors: tuple[Tensor, ...]
    weights: tuple[Weights, ...]
    stages: tuple[Stage, ...]
    outputs: tuple[tuple[int, int], ...]  # (layer index asked for, 'chw' tensor index)
    arena_bytes: int
    threads: int
    input_channels: int
    input_height: int
    input_width: int
    batch: int = 1  # pictures
    alone: int = 1  # stages that run for each picture as it comes
