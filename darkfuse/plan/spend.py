"""What a plan leaves of its memory, spent on waiting less: filters that stay, slots to read ahead.

The search pins whole layers. Where the next one no longer fits, megabytes may be left, and every byte of a
streamed layer that stays in memory need not be read again. While a layer computes, whatever of the arena is
idle can hold reads of its own, so that storage has something to do in the pauses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import List, Tuple

from darkfuse.graph import Graph
from darkfuse.plan.cost import read_ms
from darkfuse.plan.device import Device
from darkfuse.plan.lower import lower
from darkfuse.plan.predict import Prediction, alive_bytes, predict
from darkfuse.plan.program import PAGE, Program, slot_bytes
from darkfuse.plan.reads import loaded_way
from darkfuse.plan.types import LayerPlan, Plan
from darkfuse.plan.weights import MAX_SLOTS, raw_bytes, reads_of

AHEAD = 8  # slots more than the search gives a layer, at most


@dataclass
class _Stream:
    """A streamed layer: where it is in the plan, how many milliseconds it computes, and one read of it."""

    group: int
    place: int
    layer: LayerPlan
    reads: int
    slot: int  # bytes
    compute: float
    read: float  # milliseconds

    def longer(self) -> float:
        """Milliseconds reading takes beyond computing."""
        return (self.reads - self.layer.kept) * self.read - self.compute


def spend(graph: Graph, plan: Plan, limit: int, device: Device) -> Plan:
    """The plan, with what is left up to `limit` bytes of arena given to layers that wait for storage.

    Parameters
    ----------
    graph : Graph
    plan : Plan
        Of at most `limit` arena bytes.
    limit : int
    device : Device
    """
    program = lower(graph, plan)
    before = predict(graph, plan, device, program=program)
    streams = [s for s in _streams(graph, plan, device, program, before) if s.longer() > 0]
    loaded = any(layer.residency == "loaded" for group in plan.groups for layer in group.layers)
    if not streams and not loaded:
        return plan
    _keep(streams, limit - program.arena_bytes)
    for share in (AHEAD, AHEAD // 2, 0):
        best = _deeper(graph, plan, streams, limit, share)
        program = lower(graph, best)
        if program.arena_bytes <= limit:
            break
    else:
        return plan
    after = predict(graph, best, device, program=program)
    groups = tuple(replace(group, predicted_ms=round(group.predicted_ms + new.ms - old.ms, 3))
                   for group, old, new in zip(best.groups, before.groups, after.groups))
    return replace(best, groups=groups, arena_bytes=program.arena_bytes,
                   predicted_ms=round(plan.predicted_ms + after.ms - before.ms, 3))


def _streams(graph: Graph, plan: Plan, device: Device, program: Program,
             prediction: Prediction) -> List[_Stream]:
    rates, costs = device.at(plan.threads), prediction.groups
    weights = {w.node: w for w in program.weights}
    found = []
    for number, group in enumerate(plan.groups):
        for place, layer in enumerate(group.layers):
            if layer.residency == "streamed":
                w, node = weights[layer.node], graph.node(layer.node)
                compute = sum(cost.ms - cost.weights_ms for cost in costs[number].layers)
                reads = reads_of(node, layer)
                read = read_ms(rates, device.read, node, w.raw_filters, layer.slots) / reads
                found.append(_Stream(number, place, layer, reads, slot_bytes(w.raw_filters, w.per_filter),
                                     compute, read))
    return found


def _keep(streams: List[_Stream], room: int) -> None:
    """One read after another to the layer that waits longest, until none waits or nothing fits."""
    while True:
        fits = [s for s in streams if s.longer() > 0 and s.slot + (0 if s.layer.kept else PAGE + 64) <= room]
        if not fits:
            return
        worst = max(fits, key=_Stream.longer)
        room -= worst.slot + (0 if worst.layer.kept else PAGE + 64)
        worst.layer = replace(worst.layer, kept=worst.layer.kept + 1)


def _deeper(graph: Graph, plan: Plan, streams: List[_Stream], limit: int, share: int) -> Plan:
    """The plan with the streams' layers in place; up to `share` slots more for each, and larger reads of
    layers that are loaded, where their stages have room."""
    plan = _with(plan, streams, [s.layer for s in streams])
    if not share:
        return plan
    program = lower(graph, plan)
    rooms = [limit - alive_bytes(program, number) for number in range(len(plan.groups))]
    layers = []
    for s in streams:
        more = max(0, min(share, rooms[s.group] // s.slot, s.reads - s.layer.kept - s.layer.slots,
                          MAX_SLOTS - s.layer.slots))
        layers.append(replace(s.layer, slots=s.layer.slots + more))
    plan = _with(plan, streams, layers)
    groups = tuple(replace(group, layers=_larger_reads(graph, group.layers, room))
                   for group, room in zip(plan.groups, rooms))
    return replace(plan, groups=groups)


def _larger_reads(graph: Graph, layers: Tuple[LayerPlan, ...], room: int) -> Tuple[LayerPlan, ...]:
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


def _with(plan: Plan, streams: List[_Stream], layers: List[LayerPlan]) -> Plan:
    groups = list(plan.groups)
    for s, layer in zip(streams, layers):
        own = list(groups[s.group].layers)
        own[s.place] = layer
        groups[s.group] = replace(groups[s.group], layers=tuple(own))
    return replace(plan, groups=tuple(groups))
