"""From a plan to a program: every buffer, tensor and tile region the engine needs, to the byte.

::

    validate ─▶ wire ─▶ windows ─▶ reserve ─▶ place ─▶ emit ─▶ land_reads
    the plan    opera-  what each  buffers    offsets  what    where reads of
    fits the    tions,  tile                  in the   runs    weights land
    graph       steps   computes              arena

Each pass is a function that fills in some fields of a `Draft`. What only saves memory or time can be switched
off by its name in `OPTIONAL`, one by one, to find out which of it makes a picture wrong.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import replace

from darkfuse.errors import PlanError
from darkfuse.graph import Graph
from darkfuse.model.weights import WeightsIndex
from darkfuse.plan.layout.arena import aligned
from darkfuse.plan.layout.draft import OPTIONAL, Common, Draft
from darkfuse.plan.layout.emit import emit
from darkfuse.plan.layout.place import land_reads, place
from darkfuse.plan.layout.reserve import reader_size, reserve
from darkfuse.plan.layout.validate import validate
from darkfuse.plan.layout.windows import arrange
from darkfuse.plan.layout.wire import wire
from darkfuse.plan.program import Program
from darkfuse.plan.types import Group, Plan

# Names of `OPTIONAL`, between commas, that every program of this process is made without.
WITHOUT = "DARKFUSE_WITHOUT"


def lower(
    graph: Graph,
    plan: Plan,
    extra_outputs: Sequence[int] = (),
    weights_index: WeightsIndex | None = None,
    without: Collection[str] = (),
) -> Program:
    """Lay out one plan and let its reads land.

    Parameters
    ----------
    graph : Graph
    plan : Plan
        Every layer that computes must be in exactly one group, after what it reads. Stage i of the program
        is group i of the plan.
    extra_outputs : sequence of int
        Layers whose maps are wanted beside the network's own outputs (a detection layer stands for its
        input).
    weights_index : WeightsIndex, optional
        Where the weights lie in their file. Left out, offsets are those of a file with a 20-byte header.
    without : collection of str
        Of `OPTIONAL`, what to leave out, beside what the environment variable DARKFUSE_WITHOUT names. The
        program computes the same bits, in more memory than the plan predicts.

    Raises
    ------
    PlanError
        The plan does not belong to the graph, or asks for what no kernel or group can do; a name in
        `without` is none of `OPTIONAL`.
    """
    return finish(lay_out(graph, plan, extra_outputs, weights_index, without), plan.ahead_bytes)


def lay_out(
    graph: Graph,
    plan: Plan,
    extra_outputs: Sequence[int] = (),
    weights_index: WeightsIndex | None = None,
    without: Collection[str] = (),
    common: Common | None = None,
    limit: int = 0,
) -> Draft:
    """What a plan takes, by the passes of `lower` up to `place`, with the same parameters.

    common : Common, optional
        Of the plans of this graph that are laid out one after another.
    limit : int
        All that is asked is whether the plan fits so many bytes; `settled` gives the draft of one that does.
    """
    off = frozenset(without) | frozenset(filter(None, os.environ.get(WITHOUT, "").split(",")))
    for name in sorted(off - set(OPTIONAL)):
        raise PlanError(f"there is no pass {name!r} to leave out; there are {', '.join(OPTIONAL)}")
    if plan.still:
        off |= {"in-place", "overlap"}  # what a part of a map is made from stays
    draft = Draft(graph, plan, tuple(dict.fromkeys((*graph.outputs, *extra_outputs))), weights_index, off,
                  common or Common())
    validate(draft)
    wire(draft)
    draft.layout = arrange(draft.wiring, plan.groups, draft.members, plan.batch, plan.alone)
    reserve(draft)
    place(draft, limit)
    return draft


def settled(draft: Draft) -> Draft:
    """The draft, with its buffers where they lie when it runs: as few bytes as can be found."""
    if draft.rough:
        place(draft)
    return draft


def finish(draft: Draft, ahead_bytes: int = 0) -> Program:
    """The program, with so many bytes more than its buffers take for reads to land in. A draft may be
    finished several times."""
    if not settled(draft).stages:
        emit(draft)
    arena, graph = draft.packed_bytes + aligned(ahead_bytes), draft.graph
    return Program(
        buffers=tuple(draft.buffers),
        tensors=tuple(draft.tensors),
        weights=tuple(land_reads(draft, arena)),
        stages=tuple(draft.stages),
        outputs=tuple((layer, draft.leaf_tensor[leaf]) for layer, leaf in draft.wiring.exports),
        arena_bytes=arena,
        threads=draft.plan.threads,
        batch=draft.plan.batch,
        alone=draft.plan.alone,
        input_channels=graph.input.c,
        input_height=graph.input.h,
        input_width=graph.input.w,
    )


def with_reads(draft: Draft, groups: tuple[Group, ...]) -> Draft:
    """The draft of a plan whose `groups` differ from the draft's in nothing but how loaded layers are read:
    their `raw` and `slots`."""
    layers = {layer.node: layer for group in groups for layer in group.layers}
    changed = replace(draft, plan=replace(draft.plan, groups=groups), buffers=list(draft.buffers), tensors=[],
                      weights=[], stages=[], leaf_tensor={}, layer_plan=layers)
    for stage, number in draft.readers.items():
        size = reader_size(draft, groups[stage].layers)
        changed.buffers[number] = draft.buffers[number]._replace(bytes=size)
    place(changed)
    return changed
