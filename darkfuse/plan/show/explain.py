"""A plan as a person reads it: a table of its groups, where the time goes, what more memory would buy."""

from __future__ import annotations

from collections.abc import Sequence

from darkfuse.graph import Graph, Node
from darkfuse.host.units import format_bytes
from darkfuse.plan.layout.order import memory_order
from darkfuse.plan.layout.reads import filter_bytes
from darkfuse.plan.price.predict import Prediction
from darkfuse.plan.types import Group, LayerPlan, Plan

KINDS = {"convolutional": "conv"}


def explain(graph: Graph, plan: Plan, prediction: Prediction,
            more: Sequence[tuple[int, float]] = ()) -> list[str]:
    """Lines of text about a plan.

    Parameters
    ----------
    graph : Graph
    plan : Plan
    prediction : Prediction
        Of this plan.
    more : sequence of (bytes, milliseconds)
        Larger budgets and what the best plan takes with each.
    """
    lines = [_headline(plan, prediction), ""]
    lines += _table(graph, plan, prediction)
    lines += ["", *_time(plan, prediction)]
    order = [layer for group in plan.groups for layer in group.nodes]
    moved = [n for n in order if order.index(n) != n]
    if moved and order == memory_order(graph):
        early = [n for at, n in enumerate(order) if n > at and any(m < n for m in order[at + 1:])]
        lines.append(f"Ahead of their place in the cfg, to hold less meanwhile: {_numbers(early)}.")
    lines += _more(plan, prediction, more)
    return lines


def _headline(plan: Plan, prediction: Prediction) -> str:
    budget = f" for {format_bytes(plan.budget_bytes)}" if plan.budget_bytes else ""
    memory = f"{format_bytes(prediction.arena_bytes)} for maps and weights"
    if prediction.peak_bytes > prediction.arena_bytes:
        memory = f"{format_bytes(prediction.peak_bytes)} at most, of it {memory}"
    return (f"{plan.network}{budget}: {memory}; "
            f"{prediction.ms:.1f} ms a frame with {plan.threads} thread{'s' if plan.threads > 1 else ''}"
            f"{', exact kernels only' if plan.exact else ''}")


def _table(graph: Graph, plan: Plan, prediction: Prediction) -> list[str]:
    rows = [("group", "layers", "", "tiles", "kept", "kernels", "weights", "memory", "ms", "")]
    most = max(cost.ms for cost in prediction.groups) or 1.0
    for number, (group, cost) in enumerate(zip(plan.groups, prediction.groups)):
        if not cost.layers:
            continue  # nothing but aliases
        rows.append((
            str(number), _span(group), _what(graph, group), _tiles(group), kept(group), _kernels(group),
            _weights(graph, group), format_bytes(cost.bytes), f"{cost.ms:.1f}",
            "#" * round(20 * cost.ms / most),
        ))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    right = {0, 7, 8}
    return ["  ".join(word.rjust(width) if column in right else word.ljust(width)
                      for column, (word, width) in enumerate(zip(row, widths))).rstrip() for row in rows]


def _span(group: Group) -> str:
    nodes = group.nodes
    if len(nodes) > 1 and list(nodes) == list(range(nodes[0], nodes[0] + len(nodes))):
        return f"{nodes[0]}-{nodes[-1]}"
    return _numbers(nodes)


def layers_of(group: Group) -> str:
    """The group's layers, as a sentence names them."""
    return f"layer{'s' if len(group.layers) > 1 else ''} {_span(group)}"


def _numbers(nodes: Sequence[int]) -> str:
    return ",".join(str(node) for node in nodes)


def _what(graph: Graph, group: Group) -> str:
    """What the group does: kinds and how many, and the map it leaves."""
    counts: dict[str, int] = {}
    for layer in group.nodes:
        kind = KINDS.get(graph.node(layer).kind, graph.node(layer).kind)
        counts[kind] = counts.get(kind, 0) + 1
    kinds = " ".join(kind if count == 1 else f"{count} {kind}" for kind, count in counts.items())
    return f"{kinds} -> {graph.node(group.nodes[-1]).out_shape}"


def _tiles(group: Group) -> str:
    return "whole" if group.grid == (1, 1) else f"{group.grid[0]}x{group.grid[1]}"


def kept(group: Group) -> str:
    """What of one tile's maps stays for the next, in a word or two."""
    if group.grid == (1, 1):
        return "-"
    if group.cache == "none":
        return "nothing"
    return "rows" if group.cache == "rows" or group.grid[1] == 1 else "rows+columns"


def _kernels(group: Group) -> str:
    return ",".join(dict.fromkeys(x.kernel for x in group.layers if x.kernel != "none")) or "-"


def _weights(graph: Graph, group: Group) -> str:
    """Where weights come from, how often in a frame those that are streamed, and how much of these stays in
    memory all the same."""
    words = ",".join(dict.fromkeys(x.residency for x in group.layers if x.residency != "none")) or "-"
    tiles = group.grid[0] * group.grid[1]
    words = words.replace("streamed", f"streamed {tiles} times") if tiles > 1 else words
    stay = sum(_stay_bytes(graph.node(x.node), x) for x in group.layers if x.resident)
    return f"{words}, {format_bytes(stay)} stay" if stay else words


def _stay_bytes(node: Node, layer: LayerPlan) -> int:
    """Bytes of a streamed layer that stay over frames; the last read may be a short one."""
    assert node.weights is not None
    return min(layer.resident * layer.raw, node.weights.biases) * filter_bytes(node)


def _time(plan: Plan, prediction: Prediction) -> list[str]:
    """Where the time goes."""
    total = prediction.ms or 1.0
    waits = sum(layer.weights_ms for group in prediction.groups for layer in group.layers)
    spans = [_span(group) for group in plan.groups]
    slow = sorted(((cost.ms, span) for span, cost in zip(spans, prediction.groups)), reverse=True)
    parts = ", ".join(f"{span} {100 * ms / total:.0f}%" for ms, span in slow[:4] if ms)
    lines = [f"Time: layers {parts} of the frame; {prediction.macs / 1e9:.2f} G multiply-adds."]
    if prediction.read_bytes:
        room = f", with room to read {format_bytes(plan.ahead_bytes)} more ahead" if plan.ahead_bytes else ""
        lines.append(f"Weights read for every frame: {format_bytes(prediction.read_bytes)}{room}; this adds "
                     f"{waits:.1f} ms ({100 * waits / total:.0f}%).")
    else:
        lines.append("Every weight stays in memory; nothing is read for a frame.")
    fat = max(range(len(prediction.groups)), key=lambda n: prediction.groups[n].bytes)
    lines.append(f"Memory: fullest while {layers_of(plan.groups[fat])} "
                 f"run{'s' if len(plan.groups[fat].layers) == 1 else ''} "
                 f"({format_bytes(prediction.groups[fat].bytes)}).")
    return lines


def _more(plan: Plan, prediction: Prediction, more: Sequence[tuple[int, float]]) -> list[str]:
    faster = [(size, ms) for size, ms in more if ms < 0.995 * prediction.ms]
    if not faster:
        return ["More memory would not make it faster."] if more else []
    words = ", ".join(f"{format_bytes(size)} {ms:.0f} ms" for size, ms in faster)
    return [f"More memory would buy: {words}."]

