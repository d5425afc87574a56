"""What plans leave of the memory, spent on waiting less: room to read ahead, or filters that stay.

The search takes every layer for itself. Yet storage has nothing to do while early layers compute, and too
much when late ones do: bytes of the arena that hold weights by then are worth as much as pinned ones, and
serve again afterwards. Where storage is busy all the time, only what stays over frames saves anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from darkfuse.graph import Graph
from darkfuse.host.record import dataclass
from darkfuse.plan.layout.arena import ALIGN
from darkfuse.plan.layout.draft import Draft
from darkfuse.plan.layout.lower import finish, lay_out, settled, with_reads
from darkfuse.plan.layout.reads import loaded_way
from darkfuse.plan.layout.weights import raw_bytes
from darkfuse.plan.price.cost import read_ms
from darkfuse.plan.price.device import Device
from darkfuse.plan.price.predict import Known, Prediction, alive_bytes, predict
from darkfuse.plan.program import PAGE, Program, passes, slot_bytes
from darkfuse.plan.types import LayerPlan, Plan

WARY = 0.75  # of the measured speed of storage: what it reaches beside other work
BUSY = 0.9  # of a frame: storage is busy all the time
WORTH = 0.005  # of a frame: what all of the memory is worth


def spend(draft: Draft, others: Iterable[Draft], limit: int, device: Device) -> Plan:
    """The best of a plan and smaller ones, with what it leaves of `limit` bytes of arena given to reads ahead
    or to reads that stay.

    Parameters
    ----------
    draft : Draft
        A plan laid out, of at most `limit` arena bytes.
    others : iterable of Draft
        Smaller ones, looked at only where the plan waits for weights.
    limit : int
    device : Device

    Returns
    -------
    Plan
        With its bytes, and its time as `predict` has it.
    """
    wary, known = replace(device, read=WARY * device.read), Known()
    best = first = _try(_larger_loads(draft, limit), wary, known, limit)
    if first.found.waiting_ms > WORTH * first.found.ms:
        for other in others:  # the more they leave, the less they wait and the more they compute
            tried = _try(_larger_loads(other, limit), wary, known, limit)
            best = _best([best, tried], limit)
            if tried.found.ms - tried.found.waiting_ms > 1.01 * best.found.ms:
                break
    if best.program.arena_bytes - best.draft.packed_bytes > limit // 50:
        best = _best([best, _try(best.draft, wary, known)], limit)
    if best.found.reading_ms > BUSY * best.found.ms:
        best = _best([best, _try(lay_out(draft.graph, _kept(draft, limit, wary)), wary, known)], limit)
    return _timed(best.draft, best.program, device, known)


def timed(draft: Draft, device: Device) -> Plan:
    """A plan with its bytes and milliseconds as `predict` has them."""
    return _timed(settled(draft), finish(draft), device, Known())


def _timed(draft: Draft, program: Program, device: Device, known: Known) -> Plan:
    found = predict(draft.graph, draft.plan, device, program=program, known=known)
    groups = tuple(replace(group, predicted_ms=round(cost.ms, 3))
                   for group, cost in zip(draft.plan.groups, found.groups))
    return replace(draft.plan, groups=groups, arena_bytes=found.arena_bytes, predicted_ms=round(found.ms, 3),
                   ahead_bytes=program.arena_bytes - draft.packed_bytes)


class _Try(NamedTuple):
    draft: Draft
    program: Program
    found: Prediction


def _try(draft: Draft, device: Device, known: Known, limit: int = 0) -> _Try:
    """What a plan takes where reads ahead have all the room up to `limit`."""
    program = finish(draft, max(0, (limit - draft.packed_bytes) // PAGE * PAGE))
    return _Try(draft, program, predict(draft.graph, draft.plan, device, program=program, known=known))


def _best(tried: Sequence[_Try], limit: int) -> _Try:
    """The fastest; of about as fast ones, the smallest."""
    return min(tried, key=lambda t: t.found.ms * (1 + WORTH * t.program.arena_bytes / limit))


@dataclass
class _Stream:
    """A streamed layer: where it is in the plan, its reads, bytes of one's slot, and milliseconds."""

    group: int
    place: int
    layer: LayerPlan
    reads: int
    slot: int
    compute: float
    read: float  # one

    def longer(self) -> float:
        """Milliseconds reading takes beyond computing."""
        return (self.reads - self.layer.resident) * self.read - self.compute

    def more(self) -> int:
        """Bytes that one more read takes; with the first comes the way to a whole page."""
        return self.slot + (0 if self.layer.resident else PAGE + ALIGN)


def _kept(draft: Draft, limit: int, device: Device) -> Plan:
    """The plan with reads that stay, one after another of the layer that waits longest, until none waits or
    nothing fits."""
    streams, room = _streams(draft, device), limit - draft.packed_bytes
    while True:
        fits = [s for s in streams if s.longer() > 0 and s.more() <= room]
        if not fits:
            break
        worst = max(fits, key=_Stream.longer)
        room -= worst.more()
        worst.layer = replace(worst.layer, resident=worst.layer.resident + 1)
    groups = list(draft.plan.groups)
    for s in streams:
        own = list(groups[s.group].layers)
        own[s.place] = s.layer
        groups[s.group] = replace(groups[s.group], layers=tuple(own))
    return replace(draft.plan, groups=tuple(groups))


def _streams(draft: Draft, device: Device) -> list[_Stream]:
    graph, plan, program = draft.graph, draft.plan, finish(draft)
    costs = predict(graph, plan, device, program=program).groups
    weights = {w.node: w for w in program.weights}
    ops = {program.weights[op.weights].node: op
           for stage in program.stages for op in stage.ops if op.weights >= 0}
    found = []
    for number, group in enumerate(plan.groups):
        alone = sum(layer.residency == "streamed" for layer in group.layers) == 1
        for place, layer in enumerate(group.layers):
            if layer.residency == "streamed":
                w, node, op = weights[layer.node], graph.node(layer.node), ops[layer.node]
                compute = plan.batch * sum(cost.ms - cost.weights_ms for cost in costs[number].layers
                                           if alone or cost.node == op.node)
                read = read_ms(device.at(plan.threads), device.read, node, w.raw_filters) / w.all_reads
                read *= passes(op)
                found.append(_Stream(number, place, layer, w.all_reads,
                                     slot_bytes(w.raw_filters, w.per_filter), compute, read))
    return found


def _larger_loads(draft: Draft, limit: int) -> Draft:
    """The plan with larger reads of layers that are loaded, where their stages have room."""
    rooms = [limit - alive for alive in alive_bytes(settled(draft).buffers, draft.steps)]
    groups = tuple(replace(group, layers=_larger_reads(draft.graph, group.layers, room))
                   for group, room in zip(draft.plan.groups, rooms))
    if groups == draft.plan.groups:
        return draft
    larger = with_reads(draft, groups)
    return larger if larger.packed_bytes <= limit else draft


def _larger_reads(graph: Graph, layers: tuple[LayerPlan, ...], room: int) -> tuple[LayerPlan, ...]:
    """Layers of one group, those that are loaded with as large reads as fit `room` bytes more of slots. They
    are read one after another, through the same bytes."""
    loaded = [layer for layer in layers if layer.residency == "loaded"]
    if not loaded:
        return layers
    room += max(raw_bytes(graph.node(layer.node), layer) for layer in loaded)
    larger = {}
    for layer in loaded:
        node = graph.node(layer.node)
        raw, slots = loaded_way(node)
        while raw > layer.raw and raw_bytes(node, replace(layer, raw=raw, slots=slots)) > room:
            raw //= 2
        wanted = replace(layer, raw=raw, slots=slots)
        larger[layer.node] = wanted if raw_bytes(node, wanted) <= room else layer
    return tuple(larger.get(layer.node, layer) for layer in layers)
