"""The fourth pass of `lower`: buffers, tensors, weights and operations, everything but where buffers lie.

Maps come first, then weights, then the operations of each stage with their scratch.
"""

from __future__ import annotations

from collections.abc import Sequence

from darkfuse.plan.layout.arena import aligned
from darkfuse.plan.layout.draft import Draft, map_name
from darkfuse.plan.layout.region import Axis, Step, clip, read
from darkfuse.plan.layout.weights import (
    FLOAT,
    file_offsets,
    place_weights,
    raw_bytes,
    wino_scratch_floats,
    wino_u_floats,
)
from darkfuse.plan.layout.wiring import BLOCK, FILTERED, Leaf, View
from darkfuse.plan.program import Keep, Op, Span, Stage, Tensor


def emit(draft: Draft) -> None:
    """Fill in `buffers` (without offsets), `tensors`, `weights` and `stages`."""
    leaves, wiring = draft.wiring.leaves, draft.wiring
    # Of each storage, the first leaf that writes into it
    maker = {wiring.root(leaf.view).storage: leaf for leaf in reversed(leaves)}
    for root, stored in draft.layout.stored.items():
        name = map_name(maker[root], stored)
        draft.map_buffer[root] = draft.add_buffer(name, stored.bytes, *draft.alive(root))
    known: dict[tuple[int, int, int], int] = {}  # (root storage, channel, channels) -> tensor
    for stage in draft.members:
        for number in stage:
            leaf = leaves[number]
            draft.leaf_tensor[number] = _tensor(draft, known, leaf.view, leaf.node, _keep(draft, number))
    weights = _weights(draft)
    for number in range(len(draft.members)):
        draft.stages.append(_stage(draft, known, number, weights))


def _tensor(draft: Draft, known: dict[tuple[int, int, int], int], view: View, node: int,
            keep: Keep | None = None) -> int:
    """The number of the tensor that shows a view; one that carries nothing between tiles is made once."""
    root = draft.wiring.root(view)
    stored = draft.layout.stored[root.storage]
    key = (root.storage, root.channel, root.channels)
    if keep is None and key in known:
        return known[key]
    draft.tensors.append(Tensor(
        node=node,
        buffer=draft.map_buffer[root.storage],
        offset=root.channel // BLOCK * stored.cols * BLOCK * FLOAT,
        layout=stored.layout,
        channels=view.channels,
        height=stored.height,
        width=stored.width,
        row_stride=stored.row_stride,
        cols=stored.cols,
        slots=stored.slots,
        x0=stored.x0,
        keep=keep,
        apart=stored.apart,
    ))
    known.setdefault(key, len(draft.tensors) - 1)
    return len(draft.tensors) - 1


def _keep(draft: Draft, number: int) -> Keep | None:
    """What a leaf's window carries from tile to tile; None when that is nothing."""
    leaf, layout = draft.wiring.leaves[number], draft.layout
    root = draft.wiring.root(leaf.view).storage
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


def _weights(draft: Draft) -> dict[int, int]:
    """Place the weights of every layer that has some; returns the number in `weights` by layer.

    The layers of one stage are read one after another, so that they share the slots of one reader.
    """
    graph, index = draft.graph, draft.weights_index
    offsets = file_offsets(graph, index)
    transposed = index is not None and index.transposed
    readers: dict[int, int] = {}  # stage -> buffer
    for stage, group in enumerate(draft.plan.groups):
        size = max(raw_bytes(graph.node(layer.node), layer) for layer in group.layers)
        if size:
            readers[stage] = draft.add_buffer(f"stage {stage} reader", size, *draft.steps[stage])
    found: dict[int, int] = {}
    blocks: dict[int, int] = {}  # stage -> buffer of its blocks of packed filters
    for layer, (stage, _) in draft.position.items():
        node = graph.node(layer)
        if node.weights is None:
            continue
        residency = draft.layer_plan[layer].residency

        def add(name: str, size: int, always: bool, stage: int = stage, residency: str = residency) -> int:
            if residency == "streamed" and not always:
                return _block(draft, blocks, stage, name, size)
            span = draft.steps[stage]
            if residency == "loaded" and stage < draft.plan.alone:  # for the first picture, and there for all
                span = 0, draft.steps[draft.plan.alone - 1][1]
            return draft.add_buffer(name, size, *((-1, draft.steps[-1][1]) if always else span))

        found[layer] = len(draft.weights)
        reader = -1 if residency in ("pinned", "none") else readers[stage]
        draft.weights.append(place_weights(node, draft.layer_plan[layer], offsets[layer], transposed, reader,
                                           graph.dialect.epsilons, add))
    return found


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


def _stage(draft: Draft, known: dict[tuple[int, int, int], int], number: int,
           weights: dict[int, int]) -> Stage:
    """The operations of one stage, and the scratch of the one that needs most."""
    ops: list[Op] = []
    shared = per_thread = 0
    for at in draft.members[number]:
        leaf = draft.wiring.leaves[at]
        layer = draft.layer_plan.get(leaf.layer)
        y, x = draft.layout.rows[at].spans, draft.layout.columns[at].spans
        kernel = layer.kernel if layer and leaf.kind == "conv" else "none"
        of_the_graph = leaf.kind not in ("input", "export", "copy")
        macs, u_bytes, t_bytes = _work(draft, leaf, kernel, layer.strip if layer else 0, y, x)
        if kernel == "winograd":
            shared, per_thread = max(shared, u_bytes), max(per_thread, t_bytes)
        ops.append(Op(
            kind=leaf.kind,
            node=leaf.node,
            inputs=tuple(_tensor(draft, known, s, draft.wiring.leaves[s.leaves[-1]].node)
                         for s in leaf.sources),
            output=draft.leaf_tensor[at],
            y=y,
            x=x,
            kernel=kernel,
            pool=2 if leaf.kind == "conv" and leaf.layer != leaf.node else 0,
            strip=layer.strip if layer and kernel == "winograd" else 0,
            weights=weights.get(leaf.layer, -1) if of_the_graph else -1,
            block_offset=leaf.from_channel,
            dest_channel=leaf.to_channel,
            channels=leaf.shape.c if leaf.kind == "copy" else 0,
            macs=macs,
            options=draft.graph.node(leaf.layer).options if of_the_graph else None,
        ))
    shared, per_thread = aligned(shared), aligned(per_thread)
    scratch = -1
    if shared or per_thread:
        size = shared + draft.plan.threads * per_thread  # one part for all, then one for each thread
        scratch = draft.add_buffer(f"stage {number} scratch", size, *draft.steps[number])
    grid, (first, last) = draft.plan.groups[number].grid, draft.steps[number]
    return Stage(tuple(ops), grid, first, last, scratch, shared, per_thread)


def _work(draft: Draft, leaf: Leaf, kernel: str, strip: int, y: Sequence[Span],
          x: Sequence[Span]) -> tuple[int, int, int]:
    """Multiply-adds over all tiles, and Winograd's scratch: bytes shared, bytes per thread."""
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
    return macs, wino_u_floats(node, tiles) * FLOAT, wino_scratch_floats(node, tiles) * FLOAT


def _before_pooling(step: Step, span: Span) -> Span:
    """Span of the convolution's own output that a span of the pooled map is made of."""
    return clip(read((step,), span), step.length) if span[0] < span[1] else (0, 0)
