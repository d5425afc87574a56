"""From a plan to a program: every buffer, tensor and tile region the engine needs, to the byte.

::

    validate ─▶ wire ─▶ regions ─▶ emit ─▶ place ─▶ land_reads
    the plan    opera-  what each  buffers  offsets  where reads of
    fits the    tions,  tile       and ops  in the   weights land
    graph       steps   computes            arena

Each pass is a function that fills in some fields of a `Draft`. What only saves memory or time can be switched
off by its name in `OPTIONAL`, one by one, to find out which of it makes a picture wrong.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

from darkfuse.errors import PlanError
from darkfuse.graph import Graph
from darkfuse.model.weights import WeightsIndex
from darkfuse.plan.layout.draft import OPTIONAL, Draft
from darkfuse.plan.layout.emit import emit
from darkfuse.plan.layout.place import land_reads, place
from darkfuse.plan.layout.validate import validate
from darkfuse.plan.layout.windows import arrange
from darkfuse.plan.layout.wire import wire
from darkfuse.plan.program import Program
from darkfuse.plan.types import Plan

# Names of `OPTIONAL`, between commas, that every program of this process is made without.
WITHOUT = "DARKFUSE_WITHOUT"


def lower(
    graph: Graph,
    plan: Plan,
    extra_outputs: Sequence[int] = (),
    weights_index: WeightsIndex | None = None,
    reads: bool = True,
    without: Collection[str] = (),
) -> Program:
    """Lay out one plan.

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
    reads : bool
        Find landings for the reads of weights. Without, the program can be measured but not run.
    without : collection of str
        Of `OPTIONAL`, what to leave out, beside what the environment variable DARKFUSE_WITHOUT names. The
        program computes the same bits, in more memory than the plan predicts.

    Raises
    ------
    PlanError
        The plan does not belong to the graph, or asks for what no kernel or group can do; a name in
        `without` is none of `OPTIONAL`.
    """
    off = frozenset(without) | frozenset(filter(None, os.environ.get(WITHOUT, "").split(",")))
    for name in sorted(off - set(OPTIONAL)):
        raise PlanError(f"there is no pass {name!r} to leave out; there are {', '.join(OPTIONAL)}")
    draft = Draft(graph, plan, tuple(dict.fromkeys((*graph.outputs, *extra_outputs))), weights_index, off)
    validate(draft)
    wire(draft)
    draft.layout = arrange(draft.wiring, plan.groups, draft.members)
    emit(draft)
    place(draft)
    if reads:
        land_reads(draft)
    return Program(
        buffers=tuple(draft.buffers),
        tensors=tuple(draft.tensors),
        weights=tuple(draft.weights),
        stages=tuple(draft.stages),
        outputs=tuple((layer, draft.leaf_tensor[leaf]) for layer, leaf in draft.exports),
        arena_bytes=draft.arena_bytes,
        threads=plan.threads,
        input_channels=graph.input.c,
        input_height=graph.input.h,
        input_width=graph.input.w,
    )
