"""What plans leave of the memory, spent on waiting less: room to read ahead, or filters that stay.

The search takes every layer for itself. Yet storage has nothing to do while early layers compute, and too
much when late ones do: bytes of the arena that hold weights by then are worth as much as pinned ones, and
serve again afterwards. Where storage is busy all the time, only what stays over frames saves anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from darkfuse.graph import Graph
from darkfuse.plan.layout.arena import ALIGN
from darkfuse.plan.layout.lower import lower
from darkfuse.plan.layout.reads import loaded_way
from darkfuse.plan.layout.weights import raw_bytes
from darkfuse.plan.price.cost import read_ms
from darkfuse.plan.price.device import Device
from darkfuse.plan.price.predict import Prediction, alive_bytes, predict
from darkfuse.plan.program import PAGE, Program, slot_bytes
from darkfuse.plan.types import LayerPlan, Plan

WARY = 0.75  # of the measured speed of storage: what it reaches beside other work
BUSY = 0.9  # of a frame: storage is busy all the time
WORTH = 0.005  # of a frame: what all of the memory is worth


def spend(graph: Graph, plan: Plan, others: Iterable[Plan], limit: int, device: Device) -> Plan:
    """The best of a plan and smaller ones, with what it leaves of `limit` bytes of arena given to reads ahead
    or to reads that stay.

    Parameters
    ----------
    graph : Graph
    plan : Plan
        Of at most `limit` arena bytes, which it states.
    others : iterable of Plan
        Smaller ones, looked at only where the plan waits for weights.
    limit : int
    device : Device

    Returns
    -------
    Plan
        With its time as `predict` has it.
    """
    wary = replace(device, read=WARY * device.read)
    best = first = _try(graph, _with_room(_larger_loads(graph, plan, limit), limit), wary)
    if first.found.waiting_ms > WORTH * first.found.ms:
        larger = [_larger_loads(graph, other, limit) for other in others]
        best = _best([first, *(_try(graph, _with_room(other, limit), wary) for other in larger)], limit)
    if best.plan.ahead_bytes > limit // 50:
        best = _best([best, _try(graph, replace(best.plan, ahead_bytes=0), wary)], limit)
    if best.found.reading_ms > BUSY * best.found.ms:
        best = _best([best, _try(graph, _kept(graph, plan, limit, wary), wary)], limit)
    return timed(graph, best.plan, device, best.program)


def timed(graph: Graph, plan: Plan, device: Device, program: Program | None = None) -> Plan:
    """The plan with its bytes and milliseconds as `predict` has them."""
    found = predict(graph, plan, device, program=program)
    groups = tuple(replace(group, predicted_ms=round(cost.ms, 3))
                   for group, cost in zip(plan.groups, found.groups))
    return replace(plan, groups=groups, arena_bytes=found.arena_bytes, predicted_ms=round(found.ms, 3))


class _Try(NamedTuple):
    plan: Plan
    program: Program
    found: Prediction


def _try(graph: Graph, plan: Plan, device: Device) -> _Try:
    program = lower(graph, plan)
    return _Try(plan, program, predict(graph, plan, device, program=program))


def _with_room(plan: Plan, limit: int) -> Plan:
    return replace(plan, ahead_bytes=(limit - plan.arena_bytes) // PAGE * PAGE)


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


def _kept(graph: Graph, plan: Plan, limit: int, device: Device) -> Plan:
    """The plan with reads that stay, one after another of the layer that waits longest, until none waits or
    nothing fits."""
    program = lower(graph, plan)
    streams, room = _streams(graph, plan, device, program), limit - program.arena_bytes
    while True:
        fits = [s for s in streams if s.longer() > 0 and s.more() <= room]
        if not fits:
            break
        worst = max(fits, key=_Stream.longer)
        room -= worst.more()
        worst.layer = replace(worst.layer, resident=worst.layer.resident + 1)
    groups = list(plan.groups)
    for s in streams:
        own = list(groups[s.group].layers)
        own[s.place] = s.layer
        groups[s.group] = replace(groups[s.group], layers=tuple(own))
    return replace(plan, groups=tuple(groups))


def _streams(graph: Graph, plan: Plan, device: Device, program: Program) -> list[_Stream]:
    costs = predict(graph, plan, device, program=program).groups
    weights = {w.node: w for w in program.weights}
    found = []
    for number, group in enumerate(plan.groups):
        for place, layer in enumerate(group.layers):
            if layer.residency == "streamed":
                w, node = weights[layer.node], graph.node(layer.node)
                compute = sum(cost.ms - cost.weights_ms for cost in costs[number].layers)
                read = read_ms(device.at(plan.threads), device.read, node, w.raw_filters) / w.all_reads
                found.append(_Stream(number, place, layer, w.all_reads,
                                     slot_bytes(w.raw_filters, w.per_filter), compute, read))
    return found


def _larger_loads(graph: Graph, plan: Plan, limit: int) -> Plan:
    """The plan with larger reads of layers that are loaded, where their stages have room."""
    if not any(layer.residency == "loaded" for group in plan.groups for layer in group.layers):
        return plan
    program = lower(graph, plan, reads=False)
    rooms = [limit - alive for alive in alive_bytes(program)]
    larger = replace(plan, groups=tuple(replace(group, layers=_larger_reads(graph, group.layers, room))
                                        for group, room in zip(plan.groups, rooms)))
    larger = replace(larger, arena_bytes=lower(graph, larger, reads=False).arena_bytes)
    return larger if larger.arena_bytes <= limit else plan


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
