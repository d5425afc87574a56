"""The last two passes of `lower`: where each buffer lies, and where reads of weights may land."""

from __future__ import annotations

from collections.abc import Sequence

from darkfuse.plan.layout._ahead import landings_of
from darkfuse.plan.layout.arena import Block, Packing, Tie, aligned, pack_tied
from darkfuse.plan.layout.draft import Draft
from darkfuse.plan.layout.overlap import ties
from darkfuse.plan.program import Buffer, Weights, arrived
from darkfuse.plan.types import Plan


def place(draft: Draft, limit: int = 0) -> None:
    """Fill in the offsets of `buffers`, and `packed_bytes`; with a limit only to know whether so many bytes
    will do."""
    draft.rough = limit > 0
    blocks = [Block(b.bytes, max(b.first, 0), b.last) for b in draft.buffers]
    tied: list[Tie] = []
    if not {"overlap", "packing"} & draft.without:
        tied = [Tie(draft.map_buffer[t.source], draft.map_buffer[t.target], t.shift)
                for t in ties(draft.wiring, draft.layout, draft.members, _turns(draft.plan))]
    if "packing" in draft.without:
        packing = _in_a_row(blocks)
    else:
        tied, packing = pack_tied(blocks, tied, limit)
    over = {tie.target: tie.source for tie in tied}
    draft.buffers = [Buffer(b.name, b.bytes, at, b.first, b.last, over.get(number, -1))
                     for number, (b, at) in enumerate(zip(draft.buffers, packing.offsets))]
    draft.packed_bytes = packing.bytes


def _turns(plan: Plan) -> list[int]:
    """Groups of one tile that run for one picture of a batch after another, all of which wait for them."""
    return [number for number, group in enumerate(plan.groups) if number >= plan.alone and plan.batch > 1
            and group.grid == (1, 1) and all(layer.residency != "streamed" for layer in group.layers)]


def _in_a_row(blocks: Sequence[Block]) -> Packing:
    """Every block in bytes of its own, whatever its lifetime."""
    offsets: list[int] = []
    end = 0
    for block in blocks:
        offsets.append(end)
        end += aligned(block.bytes)
    return Packing(tuple(offsets), end, end)


def land_reads(draft: Draft, arena: int) -> list[Weights]:
    """`weights` with their `landings` in an arena of so many bytes: a layer's own slots, then whatever is
    idle."""
    until = {op.weights: arrived(stage, draft.weights[op.weights])
             for stage in draft.stages for op in stage.ops if op.weights >= 0}
    found = landings_of(draft.buffers, draft.weights, until, arena)
    if "reads-ahead" in draft.without:
        found = [landings[:w.slots] for w, landings in zip(draft.weights, found)]
    if draft.plan.alone > 1:  # what a group is done with is in use again when the next picture comes
        ends = draft.steps[draft.plan.alone - 1][1]
        found = [tuple(place if place.step == 0 else place._replace(step=max(place.step, ends + 1))
                       for place in landings) if until.get(number, 0) > ends else landings
                 for number, landings in enumerate(found)]
    return [w._replace(landings=landings) if landings else w for w, landings in zip(draft.weights, found)]
