"""What any plan will take: bytes to the byte, milliseconds by the device's rates.

The search prices thousands of candidates in closed form. This prices one plan, from the very regions its
program will run: a plan made by hand, read from a cfg or found by the search, all in the same way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from darkfuse.graph import Graph
from darkfuse.graph.layers.convolutional import ConvOptions
from darkfuse.host.record import dataclass, field
from darkfuse.plan.layout.arena import aligned
from darkfuse.plan.layout.lower import lower
from darkfuse.plan.layout.weights import FLOAT, PANEL
from darkfuse.plan.price.cost import (
    BESIDE,
    Sizes,
    bytes_ms,
    conv_ms,
    far_ms,
    input_ms,
    pack_ms,
    read_ms,
    streamed_work_ms,
)
from darkfuse.plan.price.device import Device, load_device
from darkfuse.plan.price.timeline import Slot, Timeline, Work
from darkfuse.plan.program import Buffer, Op, Program, Span, Tensor, Weights, passes
from darkfuse.plan.types import Plan

# Milliseconds of operations by all that they depend on; regions by identity, and kept, as plans of one graph
# have most of theirs in common (`layout.windows.Regions`)
Known = dict[tuple[object, ...], tuple[float, object]]


class LayerCost(NamedTuple):
    """One layer of a group. `ms` is all of it; `weights_ms` what getting its weights, every frame, adds."""

    node: int
    kind: str
    ms: float
    weights_ms: float
    macs: int


class GroupCost(NamedTuple):
    """One group: milliseconds, and bytes alive in the arena while it runs, weights pinned for other groups
    included. `layers` are those that compute, in order."""

    ms: float
    bytes: int
    layers: tuple[LayerCost, ...]

    def scaled(self, part: float) -> GroupCost:
        """The same with that part of all times."""
        layers = tuple(x._replace(ms=part * x.ms, weights_ms=part * x.weights_ms) for x in self.layers)
        return GroupCost(part * self.ms, self.bytes, layers)


@dataclass(frozen=True)
class Prediction:
    """What running a plan takes. Of a plan for a batch, times and bytes read are one picture's share.

    Attributes
    ----------
    ms : float
        One frame, weights of pinned layers already in place.
    arena_bytes : int
        The engine's memory, exact.
    peak_bytes : int
        The whole process: `arena_bytes` and the baseline given.
    read_bytes : int
        Weights read from storage for every frame.
    macs : int
        Multiply-adds executed, recompute included.
    groups : tuple of GroupCost
        As in the plan.
    reading_ms : float
        How long storage is busy during a frame.
    waiting_ms : float
        How long the team waits for it.
    timeline : Timeline
        Of the reads; `slots` says where each lies in the arena, and when.
    """

    ms: float
    arena_bytes: int
    peak_bytes: int
    read_bytes: int
    macs: int
    groups: tuple[GroupCost, ...]
    reading_ms: float
    waiting_ms: float
    timeline: Timeline = field(repr=False, compare=False)

    @property
    def slots(self) -> list[Slot]:
        """Where weights that are read lie in the arena, and when."""
        return self.timeline.slots


def predict(graph: Graph, plan: Plan, device: Device | None = None, baseline: int = 0,
            program: Program | None = None, known: Known | None = None) -> Prediction:
    """Price a plan.

    Parameters
    ----------
    graph : Graph
    plan : Plan
        Any that fits the graph.
    device : Device, optional
        Left out: this machine's measured profile, or the built-in one most like it.
    baseline : int
        Bytes of the process beside the arena.
    program : Program, optional
        The plan lowered, where it is there already.
    known : dict, optional
        What operations were found to take, for the next plan of this graph, on this device, with as many
        threads: most are alike from plan to plan.

    Raises
    ------
    PlanError
        The plan does not fit the graph.
    """
    program = program or lower(graph, plan)
    pricer = _Pricer(graph, plan, device or load_device(), program, {} if known is None else known)
    groups = tuple(pricer.group(number) for number in range(len(plan.groups)))
    if plan.batch > 1:
        groups = tuple(group.scaled(1 / plan.batch) for group in groups)
    return Prediction(
        ms=sum(group.ms for group in groups),
        arena_bytes=program.arena_bytes,
        peak_bytes=baseline + program.arena_bytes,
        read_bytes=-(-sum(_read_bytes(program, op) for stage in program.stages
                          for op in stage.ops) // plan.batch),
        macs=sum(op.macs for stage in program.stages for op in stage.ops),
        groups=groups,
        reading_ms=pricer.timeline.reading / plan.batch,
        waiting_ms=pricer.timeline.waiting / plan.batch,
        timeline=pricer.timeline,
    )


class _Pricer:
    """Prices the stages one after another, as they run: what waits for weights depends on those before."""

    def __init__(self, graph: Graph, plan: Plan, device: Device, program: Program, known: Known) -> None:
        self.graph, self.plan, self.device, self.program, self.known = graph, plan, device, program, known
        self.rates = device.at(plan.threads)
        self.timeline = Timeline(program)
        self.alive = alive_bytes(program.buffers, [(stage.first, stage.last) for stage in program.stages])

    def group(self, number: int) -> GroupCost:
        """The next group."""
        stage, batch = self.program.stages[number], self.plan.batch
        costs = [batch * self._op(op) for op in stage.ops]
        works = {n: self._work(op, ms / batch) for n, (op, ms) in enumerate(zip(stage.ops, costs))
                 if op.weights >= 0 and self.program.weights[op.weights].residency != "pinned"}
        streamed = {n for n in works if self.program.weights[stage.ops[n].weights].residency == "streamed"}
        order = sorted(works, key=streamed.__contains__)
        rest = sum(ms for n, ms in enumerate(costs) if n not in streamed)
        taken = dict(zip(order, self.timeline.stage(1 + stage.last - stage.first, [works[n] for n in order],
                                                    rest)))
        layers = []
        for n, (op, ms) in enumerate(zip(stage.ops, costs)):
            base = ms if n in streamed else 0.0
            extra = taken.get(n, base) - base
            layers.append(LayerCost(op.node, op.kind, ms + extra, extra, op.macs))
        return GroupCost(sum(layer.ms for layer in layers), self.alive[number], tuple(layers))

    def _op(self, op: Op) -> float:
        """Milliseconds of an operation with its weights in place."""
        tensors = [self.program.tensors[n] for n in (*op.inputs, op.output)]
        far = sum([_map_bytes(t) for t in tensors if _stored_bytes(t) > self.device.near_bytes])
        key = (op.kind, op.node, op.kernel, op.strip, op.pool, op.dest_channel, far, id(op.y), id(op.x))
        if key not in self.known:
            self.known[key] = self._alone(op, tensors, far), (op.y, op.x)
        return self.known[key][0]

    def _alone(self, op: Op, tensors: Sequence[Tensor], far: int) -> float:
        heights, widths = sizes(op.y), sizes(op.x)
        pixels = sum(size * n for size, n in heights) * sum(size * n for size, n in widths)
        tiles = sum(n for _, n in heights) * sum(n for _, n in widths)
        out = self.program.tensors[op.output]
        share = pixels / (out.height * out.width)  # more than 1 where tiles compute the same again
        if op.kind == "conv":
            ms = self._conv(op, heights, widths)
        elif op.kind in ("connected", "local"):
            ms = bytes_ms(self.rates, self.graph.node(op.node).weight_bytes)
        elif op.kind == "input":
            ms = input_ms(self.rates, pixels, tiles)
        else:
            ms = bytes_ms(self.rates, share * sum(_map_bytes(t) for t in tensors), tiles)
        return ms + far_ms(self.rates, share * far)

    def _conv(self, op: Op, heights: Sizes, widths: Sizes) -> float:
        node = self.graph.node(self.program.weights[op.weights].node)
        assert isinstance(node.options, ConvOptions)
        if op.pool:
            shape = node.out_shape
            heights = sizes([(2 * a, min(2 * b, shape.h)) for a, b in op.y])
            widths = sizes([(2 * a, min(2 * b, shape.w)) for a, b in op.x])
        return conv_ms(self.rates, node, op.kernel, heights, widths, op.strip, self.device, self.plan.threads)

    def _work(self, op: Op, compute: float) -> Work:
        """What the team does while the weights of `op` arrive: all of a streamed layer, packing of others."""
        w, threads = self.program.weights[op.weights], self.plan.threads
        node = self.graph.node(w.node)
        reading = read_ms(self.rates, self.device.read, node, w.raw_filters)
        reads = w.all_reads
        share = reading / max(1, reads)
        often = passes(op) if w.residency == "streamed" else 1
        beside = BESIDE * share * (reads - w.resident) * often
        if w.residency == "loaded":
            return Work(op.weights, pack_ms(self.rates, node) + beside, share, False)
        tall = max(b - a for a, b in op.y) * (2 if op.pool else 1)
        strip = op.strip if 0 < 4 * op.strip < tall else 0
        ms = streamed_work_ms(self.rates, node, compute, op.kernel, strip, w.block, threads, self.plan.batch,
                              often)
        at_once = not strip and self.plan.batch == 1  # each panel is done with as soon as it is computed
        return Work(op.weights, ms + beside, share, at_once and w.block >= PANEL * threads, often)


def _read_bytes(program: Program, op: Op) -> int:
    """Bytes of weights read from storage for one operation in every frame."""
    w = program.weights[op.weights] if op.weights >= 0 else None
    if w is None or w.residency == "pinned":
        return 0
    often = passes(op) if w.residency == "streamed" else 1
    return often * (w.filters - resident_filters(w)) * w.per_filter * FLOAT


def resident_filters(weights: Weights) -> int:
    """Filters of a streamed layer that stay over frames; its last read may be a short one."""
    return min(weights.filters, weights.resident * weights.raw_filters)


def sizes(spans: Sequence[Span]) -> Sizes:
    """Lengths of spans and how often each occurs; empty ones are left out."""
    counted = Counter(end - start for start, end in spans if end > start)
    return sorted(counted.items())


def alive_bytes(buffers: Sequence[Buffer], stages: Sequence[Span]) -> list[int]:
    """Per stage, given by its first and last step, arena bytes in use while it runs, in the step that needs
    most; what two buffers share (input and output of a group) once."""
    steps = 1 + max(last for _, last in stages) if stages else 0
    always = [b for b in buffers if b.first <= 0 and b.last >= steps - 1]  # each in bytes of its own
    total, end = [sum(aligned(b.bytes) for b in always)] * steps, [0] * steps
    others = [b for b in buffers if b.first > 0 or b.last < steps - 1]
    for buffer in sorted(others, key=lambda b: b.offset):
        low, high = buffer.offset, buffer.offset + aligned(buffer.bytes)
        for step in range(max(buffer.first, 0), min(buffer.last + 1, steps)):
            before = end[step]
            if high > before:
                total[step] += high - (low if low > before else before)
                end[step] = high
    return [max(total[first : last + 1]) for first, last in stages]


def _map_bytes(tensor: Tensor) -> int:
    return tensor.channels * tensor.height * tensor.width * FLOAT


def _stored_bytes(tensor: Tensor) -> int:
    return tensor.slots * tensor.row_stride * FLOAT


def waiting(prediction: Prediction) -> list[tuple[int, float]]:
    """(layer, milliseconds) spent on getting weights, the most first."""
    found = [(x.node, x.weights_ms) for group in prediction.groups for x in group.layers if x.weights_ms > 0]
    return sorted(found, key=lambda item: -item[1])
