"""A plan for cameras that stand still: every map stays, and each layer runs by itself on what has changed.

Nothing is computed twice, for each layer reads maps that are whole. It takes the memory of all maps.
"""
from __future__ import annotations

from dataclasses import replace

from darkfuse.graph import Graph
from darkfuse.plan.layout.lower import lay_out
from darkfuse.plan.layout.still import reach_of
from darkfuse.plan.layout.wiring import poolable
from darkfuse.plan.search.simple import choose_strip
from darkfuse.plan.types import Group, LayerPlan, Plan


def still_plan(graph: Graph, like: Plan, mem: int | None) -> Plan | None:
    """A plan with `like`'s kernels that can run on parts of maps.

    Parameters
    ----------
    mem : int or None
        Arena bytes; None: no limit.

    Returns
    -------
    Plan or None
        None where it does not fit, or some layer cannot run on a part.
    """
    layers = [layer for group in like.groups for layer in group.layers]
    here = {layer.node: layer for layer in layers}
    groups, pooled = [], set[int]()
    for layer in layers:
        if layer.node in pooled:
            continue
        together = [_whole(graph, layer)]
        pool = poolable(graph, graph.node(layer.node))
        if pool in here and layer.node not in graph.outputs:
            pooled.add(pool)
            together.append(here[pool])
        groups.append(Group(tuple(together)))
    plan = Plan(like.network, like.fingerprint, tuple(groups), like.threads, like.exact, still=True)
    draft = lay_out(graph, plan)
    if reach_of(draft) is None or (mem is not None and draft.packed_bytes > mem):
        return None
    return replace(plan, arena_bytes=draft.packed_bytes, budget_bytes=like.budget_bytes,
                   predicted_ms=like.predicted_ms)


def _whole(graph: Graph, layer: LayerPlan) -> LayerPlan:
    """A layer by itself, whose weights stay: in strips, where `layer` had tiles that were as small."""
    strip = layer.strip
    if layer.kernel == "winograd" and not strip:
        strip = choose_strip(graph.node(layer.node))
    residency = "none" if layer.residency == "none" else "pinned"
    return replace(layer, residency=residency, resident=0, strip=strip)
