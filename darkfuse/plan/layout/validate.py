"""The first pass of `lower`: does this plan belong to this graph, and does each layer of it make sense?"""

from __future__ import annotations

from darkfuse.errors import PlanError
from darkfuse.plan.layout.draft import Draft
from darkfuse.plan.layout.weights import check_kernel
from darkfuse.plan.layout.wiring import INPUT, check_layer
from darkfuse.plan.types import CACHES, Group

MAX_THREADS = 1024
MAX_BATCH = 256


def validate(draft: Draft) -> None:
    """Fill in `layer_plan`, `position` and `image`.

    Raises
    ------
    PlanError
        The plan was made for another network, names a layer twice or one that is not there, or asks for what
        no kernel or group can do.
    """
    graph, plan = draft.graph, draft.plan
    if plan.fingerprint and plan.fingerprint != graph.fingerprint():
        raise PlanError(f"{graph.name}: the plan was made for another network ({plan.network}), or this "
                        f"one was edited since; plan it again")
    if not 1 <= plan.threads <= MAX_THREADS:
        raise PlanError(f"{graph.name}: a plan for {plan.threads} threads; 1 to {MAX_THREADS} make sense")
    if not 1 <= plan.batch <= MAX_BATCH:
        raise PlanError(f"{graph.name}: a plan for {plan.batch} pictures at a time; 1 to {MAX_BATCH} make "
                        f"sense")
    if not 1 <= plan.alone <= max(1, len(plan.groups) if plan.batch > 1 else 1):
        raise PlanError(f"{graph.name}: {plan.alone} of {len(plan.groups)} groups run as each picture comes")
    for first in (first for group in plan.groups[: plan.alone] for first in group.layers):
        if plan.batch > 1 and first.residency == "streamed":
            raise PlanError(f"{graph.name}: layer {first.node}: pictures of a batch come one by one to its "
                            f"group, whose weights cannot be streamed for all of them")
    if plan.ahead_bytes < 0:
        raise PlanError(f"{graph.name}: a plan with {plan.ahead_bytes} bytes for reads ahead")
    for layer in draft.wanted:
        check_layer(graph, layer)
    for number, group in enumerate(plan.groups):
        for at, layer_plan in enumerate(group.layers):
            check_layer(graph, layer_plan.node)
            if layer_plan.node in draft.position:
                raise PlanError(f"{graph.name}: layer {layer_plan.node} is in the plan twice")
            draft.position[layer_plan.node] = number, at
            draft.layer_plan[layer_plan.node] = layer_plan
    draft.image = _image_input(draft)
    checked = draft.common.checked
    for group in plan.groups:
        key = id(group), draft.image, plan.batch
        if checked.get(key) is not group:
            _check_group(draft, group)
            checked[key] = group


def _image_input(draft: Draft) -> bool:
    """Whether a kernel 'first' reads the network input; then no other kernel may."""
    graph = draft.graph
    readers = [draft.layer_plan[i] for i in graph.consumers(INPUT) if i in draft.layer_plan]
    first = [layer for layer in readers if layer.kernel == "first"]
    if first and (len(first) != len(readers) or graph.input.c != 3):
        raise PlanError(f"{graph.name}: layer {first[0].node}: kernel 'first' needs three "
                        f"channels of input that no other kernel reads")
    return bool(first)


def _check_group(draft: Draft, group: Group) -> None:
    graph = draft.graph
    if not group.layers or min(group.grid) < 1 or group.cache not in CACHES:
        raise PlanError(f"{graph.name}: a group without layers, without tiles, or of cache mode "
                        f"{group.cache!r}")
    for layer in group.layers:
        check_kernel(graph, graph.node(layer.node), layer, draft.image)
    streamed = [layer for layer in group.layers if layer.residency == "streamed"]
    if streamed and draft.plan.batch > 1 and group.grid[1] > 1:
        raise PlanError(f"{graph.name}: layer {streamed[0].node}: weights that are streamed for several "
                        f"pictures need tiles of the whole width, not a {group.grid[0]}x{group.grid[1]} grid")
