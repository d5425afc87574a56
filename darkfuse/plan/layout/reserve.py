"""The fourth pass of `lower`: a buffer for all that needs bytes of the arena, and how long each is alive.

Maps come first, then what windows carry from tile to tile, then weights, then scratch of the stages. What
packing needs to know of a plan is known then: most plans that a search tries get no further.
"""

from __future__ import annotations

from collections.abc import Sequence

from darkfuse.plan.layout.arena import aligned
from darkfuse.plan.layout.draft import Draft, Scratch, map_name
from darkfuse.plan.layout.region import Axis, Step, clip, read
from darkfuse.plan.layout.weights import (
    FLOAT,
    Held,
    packed_bytes,
    params_bytes,
    raw_bytes,
    resident_bytes,
    wino_batch_bytes,
    wino_scratch_floats,
    wino_u_floats,
)
from darkfuse.plan.layout.wiring import BLOCK, FILTERED, Leaf
from darkfuse.plan.program import Keep, Span
from darkfuse.plan.types import LayerPlan

# Number of an operation in its stage, kernel, strip; filters of a block where they are streamed for a batch
WorkKey = tuple[int, str, int, int]


def reserve(draft: Draft) -> None:
    """Fill in `buffers` (without offsets), `map_buffer`, `keeps`, `readers`, `held` and `scratch`."""
    leaves, written = draft.wiring.leaves, draft.wiring.written
    # Of each storage, the first leaf that writes into it
    maker = {written[number]: leaves[number] for number in reversed(range(len(leaves)))}
    for root, stored in draft.layout.stored.items():
        name = map_name(maker[root], stored)
        draft.map_buffer[root] = draft.add_buffer(name, stored.bytes, *draft.alive(root))
    for stage, members in enumerate(draft.members):
        for number in members if draft.plan.groups[stage].grid[1] > 1 else ():
            keep = _keep(draft, number)
            if keep is not None:
                draft.keeps[number] = keep
    for stage, group in enumerate(draft.plan.groups):
        size = reader_size(draft, group.layers)
        if size:
            draft.readers[stage] = draft.add_buffer(f"stage {stage} reader", size, *draft.steps[stage])
    blocks: dict[int, int] = {}  # stage -> buffer of its blocks of packed filters
    for layer, (stage, _) in draft.position.items():
        if draft.graph.node(layer).weights is not None:
            draft.held[layer] = _held(draft, layer, stage, blocks)
    draft.scratch = [_scratch(draft, number) for number in range(len(draft.members))]


def reader_size(draft: Draft, layers: Sequence[LayerPlan]) -> int:
    """Bytes of the reader's slots of one stage: its layers are read one after another, through the same."""
    return max([raw_bytes(draft.graph.node(layer.node), layer) for layer in layers])


def _keep(draft: Draft, number: int) -> Keep | None:
    """What a leaf's window carries from tile to tile; None when that is nothing."""
    leaf, layout, root = draft.wiring.leaves[number], draft.layout, draft.wiring.written[number]
    stored = layout.stored[root]
    group = draft.plan.groups[stored.first]
    if not stored.moving or group.cache == "none":
        return None
    rows, columns = layout.rows[number], layout.columns[number]
    # Most rows that a tile has computed and the tile below it still reads.
    carried = max((span[1] - first for span, first in zip(rows.spans, rows.first[1:])), default=0)
    carries_columns = group.cache == "full" and any(
        first < span[0] for first, span in zip(columns.first, columns.spans))
    if carried <= 0 and not carries_columns:
        return None
    buffer, slots = -1, 0
    if carried > 0:
        slots = carried if group.cache == "full" else _slots_apart(rows, carried)
        pixel = 3 if stored.layout == "image" else -(-leaf.view.channels // BLOCK) * BLOCK
        size = slots * stored.width * pixel * FLOAT  # (slots, blocks, width, 16); an image (slots, width, 3)
        buffer = draft.add_buffer(f"{map_name(leaf, stored)} row cache", size, *draft.alive(root))
    return Keep(buffer=buffer, slots=slots, cols=stored.width, x0=0, top=rows.first, left=columns.first,
                columns=carries_columns)


def _slots_apart(rows: Axis, slots: int) -> int:
    """Slots of a row cache, for tiles that overlap sideways (cache mode 'rows').

    A tile reads the rows saved by the tile row above while its left neighbour, which shares columns with it,
    has already saved its own: different rows of the two may not fall into one slot.
    """
    above = [range(rows.first[i], rows.spans[i - 1][1]) for i in range(1, len(rows.spans))]
    while any(old % slots == new % slots and old != new
              for one, next_one in zip(above, above[1:]) for old in one for new in next_one):
        slots += 1
    return slots


def _held(draft: Draft, layer: int, stage: int, blocks: dict[int, int]) -> Held:
    """Buffers for one layer's weights: parameters, reads that stay, and packed filters. What is streamed for
    Winograd is packed nowhere."""
    node, plan, last = draft.graph.node(layer), draft.layer_plan[layer], draft.steps[-1][1]
    name, params = f"layer {layer}", params_bytes(node)
    scale = draft.add_buffer(f"{name} scale", params, -1, last)
    bias = draft.add_buffer(f"{name} bias", params, -1, last)
    resident = packed = -1
    if plan.resident:
        resident = draft.add_buffer(f"{name} resident", resident_bytes(node, plan), -1, last)
    size = packed_bytes(node, plan)
    if size and plan.residency == "streamed":
        packed = _block(draft, blocks, stage, f"{name} packed", size)
    elif size:
        span = (-1, last) if plan.residency == "pinned" else draft.steps[stage]
        if plan.residency == "loaded" and stage < draft.plan.alone:  # for the first picture, kept for all
            span = 0, draft.steps[draft.plan.alone - 1][1]
        packed = draft.add_buffer(f"{name} packed", size, *span)
    return Held(scale, bias, resident, packed)


def _block(draft: Draft, blocks: dict[int, int], stage: int, name: str, size: int) -> int:
    """The buffer of a streamed layer's block of packed filters. The streamed layers of one stage take turns,
    tile after tile, so that all have the same."""
    if stage not in blocks:
        blocks[stage] = draft.add_buffer(name, size, *draft.steps[stage])
    number = blocks[stage]
    known = draft.buffers[number]
    if known.name != name:
        draft.buffers[number] = known._replace(name=f"stage {stage} packed", bytes=max(known.bytes, size))
    return number


def _scratch(draft: Draft, stage: int) -> Scratch:
    """Bytes for what Winograd works with, of the layer in the stage that needs most."""
    shared = per_thread = 0
    for at, number in enumerate(draft.members[stage]):
        layer = draft.layer_plan.get(draft.wiring.leaves[number].layer)
        if layer is not None and layer.kernel == "winograd":
            _, u_bytes, t_bytes = work_of(draft, stage, at)
            shared, per_thread = max(shared, u_bytes), max(per_thread, t_bytes)
    shared, per_thread = aligned(shared), aligned(per_thread)
    if not shared and not per_thread:
        return Scratch()
    size = shared + draft.plan.threads * per_thread  # one part for all, then one for each thread
    return Scratch(draft.add_buffer(f"stage {stage} scratch", size, *draft.steps[stage]), shared, per_thread)


def work_of(draft: Draft, stage: int, at: int) -> tuple[int, int, int]:
    """Of a stage's operation number `at`: multiply-adds over all tiles, and Winograd's scratch, bytes shared
    and bytes per thread."""
    regions, leaf = draft.layout.regions[stage], draft.wiring.leaves[draft.members[stage][at]]
    layer = draft.layer_plan.get(leaf.layer)
    kernel, strip = (layer.kernel, layer.strip) if layer and leaf.kind == "conv" else ("none", 0)
    together = draft.plan.batch > 1 and layer is not None and layer.residency == "streamed"
    key = at, kernel, strip, layer.block if together and layer else 0
    if key not in regions.work:
        regions.work[key] = _work(draft, leaf, key, regions.rows[at].spans, regions.columns[at].spans)
    return regions.work[key]


def _work(draft: Draft, leaf: Leaf, key: WorkKey, y: Sequence[Span],
          x: Sequence[Span]) -> tuple[int, int, int]:
    _, kernel, strip, block = key
    if leaf.kind not in FILTERED:
        return 0, 0, 0
    node = draft.graph.node(leaf.layer)
    assert node.weights is not None
    if leaf.kind != "conv":
        return node.macs, 0, 0
    rows, columns = list(y), list(x)
    if leaf.layer != leaf.node:  # a fused pair: its regions are those of the pooled map
        rows = [_before_pooling(leaf.rows[0][0], span) for span in y]
        columns = [_before_pooling(leaf.columns[0][0], span) for span in x]
    heights, widths = [b - a for a, b in rows], [b - a for a, b in columns]
    macs = sum(heights) * sum(widths) * node.weights.kernels
    if kernel != "winograd":
        return macs, 0, 0
    down = -(-max(heights) // 4)  # rows of 4x4 tiles
    tiles = (min(strip, down) if strip else down) * -(-max(widths) // 4)
    if block:  # for a batch
        return macs, 0, wino_batch_bytes(node, tiles, draft.plan.batch, draft.plan.threads, block)
    return macs, wino_u_floats(node, tiles) * FLOAT, wino_scratch_floats(node, tiles) * FLOAT


def _before_pooling(step: Step, span: Span) -> Span:
    """Span of the convolution's own output that a span of the pooled map is made of."""
    return clip(read((step,), span), step.length) if span[0] < span[1] else (0, 0)
