"""The second pass of `lower`: which operations run, in which stage, and in which step of the frame.

A group of the plan becomes a stage. A stage takes one step of the frame, or two: a Winograd layer that runs
as one strip has read its whole input (step one) before it writes the first pixel of its output (step two), so
that input and output may share bytes.
"""

from __future__ import annotations

from darkfuse.errors import PlanError
from darkfuse.plan.layout.draft import Draft
from darkfuse.plan.layout.inplace import overwritten
from darkfuse.plan.layout.wiring import INPUT, Leaf, Wiring, poolable
from darkfuse.plan.program import Span
from darkfuse.plan.types import Group


def wire(draft: Draft) -> None:
    """Fill in `wiring`, `members` and `steps`.

    Raises
    ------
    PlanError
        A layer is missing from the plan, or comes before one that it reads.
    """
    taken_over: dict[int, int] = {}
    if "in-place" not in draft.without:
        taken_over = overwritten(draft.graph, draft.plan.groups, draft.position, draft.wanted)
    fused, order = _fused_poolings(draft), tuple(draft.position)
    concatenate = "concatenation" not in draft.without
    key = (tuple(fused), draft.image, tuple(taken_over.items()), concatenate, order, draft.wanted)
    wirings = draft.common.wirings
    if key not in wirings:  # plans of one network differ in their groups more often than in these
        wirings[key] = Wiring(draft.graph, fused, draft.image, taken_over, concatenate, order, draft.wanted)
    draft.wiring = wirings[key]
    draft.members = _members(draft)
    if draft.plan.batch > 1 and not (draft.members and draft.members[0] and draft.members[0][0] == 0):
        raise PlanError(f"{draft.graph.name}: the first group of a plan for {draft.plan.batch} pictures must "
                        f"read the network's input")
    _export(draft)
    draft.steps = _steps(draft)


def _fused_poolings(draft: Draft) -> dict[int, int]:
    """Convolutions that pool as they store, and the pooling of each: both are in one group, and nobody asked
    for the map between them."""
    if "pooling" in draft.without:
        return {}
    if draft.common.poolings is None:
        pairs = [(node.index, poolable(draft.graph, node)) for node in draft.graph.nodes]
        draft.common.poolings = [(node, pool) for node, pool in pairs if pool >= 0]
    fused = {}
    for node, pool in draft.common.poolings:
        here, there = draft.position.get(node), draft.position.get(pool)
        if here and there and here[0] == there[0] and node not in draft.wanted:
            fused[node] = pool
    return fused


def _members(draft: Draft) -> list[list[int]]:
    """Leaves of each group in execution order. The network input joins the first group that reads it."""
    leaves = draft.wiring.leaves
    by_layer: dict[int, list[int]] = {}
    for number, leaf in enumerate(leaves):
        if leaf.kind != "export":
            by_layer.setdefault(leaf.layer, []).append(number)
        if leaf.layer != INPUT and leaf.layer not in draft.position:
            raise PlanError(f"{draft.graph.name}: layer {leaf.layer} is missing from the plan")
    entry = by_layer[INPUT][0]
    done: set[int] = set()
    members: list[list[int]] = []
    for group in draft.plan.groups:
        stage: list[int] = []
        for layer in group.layers:
            for number in by_layer.get(layer.node, ()):
                for needed in (n for source in leaves[number].sources for n in source.leaves):
                    if needed == entry and entry not in done:
                        stage.append(entry)
                        done.add(entry)
                    if needed not in done:
                        raise PlanError(f"{draft.graph.name}: layer {layer.node} comes before layer "
                                        f"{leaves[needed].node}, which it reads")
                stage.append(number)
                done.add(number)
        members.append(stage)
    return members


def _export(draft: Draft) -> None:
    """Let every map asked for be copied out by the group that finishes it."""
    stage_of = {leaf: stage for stage, leaves in enumerate(draft.members) for leaf in leaves}
    for copy in dict.fromkeys(copy for _, copy in draft.wiring.exports):
        written_by = draft.wiring.leaves[copy].sources[0].leaves
        entry = [0] if 0 in written_by and 0 not in stage_of else []  # nothing else reads the input
        stage = max([stage_of[n] for n in written_by if n in stage_of], default=0)
        draft.members[stage] += [*entry, copy]


def _steps(draft: Draft) -> list[Span]:
    """First and last step of each stage."""
    steps: list[Span] = []
    at = 0
    for group, leaves in zip(draft.plan.groups, draft.members):
        two = len(leaves) == 1 and _in_one_strip(draft, group, draft.wiring.leaves[leaves[0]])
        steps.append((at, at + two))
        at += 1 + two
    return steps


def _in_one_strip(draft: Draft, group: Group, leaf: Leaf) -> bool:
    """Whether a leaf is a Winograd layer that transforms all of its input before it writes."""
    layer = draft.layer_plan.get(leaf.layer)
    if draft.plan.batch > 1:  # other pictures still need their inputs when the first output is written
        return False
    if layer is None or leaf.kind != "conv" or layer.kernel != "winograd" or group.grid != (1, 1):
        return False
    return not 0 < 4 * layer.strip < draft.graph.node(leaf.layer).out_shape.h
