"""The last pass of `lower` but one: tensors, weights and operations, in the buffers that are there."""

from __future__ import annotations

from darkfuse.plan.layout.draft import Draft
from darkfuse.plan.layout.reserve import work_of
from darkfuse.plan.layout.weights import FLOAT, file_offsets, layer_weights
from darkfuse.plan.layout.wiring import BLOCK, View
from darkfuse.plan.program import Keep, Op, Stage, Tensor


def emit(draft: Draft) -> None:
    """Fill in `tensors`, `weights` and `stages`."""
    leaves = draft.wiring.leaves
    known: dict[tuple[int, int, int], int] = {}  # (root storage, channel, channels) -> tensor
    for stage in draft.members:
        for number in stage:
            leaf = leaves[number]
            draft.leaf_tensor[number] = _tensor(draft, known, leaf.view, leaf.node, draft.keeps.get(number))
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


def _weights(draft: Draft) -> dict[int, int]:
    """Where the weights of every layer that has some lie; returns the number in `weights` by layer."""
    graph, index = draft.graph, draft.weights_index
    offsets = file_offsets(graph, index)
    transposed = index is not None and index.transposed
    found: dict[int, int] = {}
    for layer, held in draft.held.items():
        plan = draft.layer_plan[layer]
        raw = -1 if plan.residency in ("pinned", "none") else draft.readers[draft.position[layer][0]]
        found[layer] = len(draft.weights)
        draft.weights.append(layer_weights(graph.node(layer), plan, offsets[layer], transposed, raw, held,
                                           graph.dialect.epsilons))
    return found


def _stage(draft: Draft, known: dict[tuple[int, int, int], int], number: int,
           weights: dict[int, int]) -> Stage:
    """The operations of one stage."""
    ops: list[Op] = []
    for place, at in enumerate(draft.members[number]):
        leaf = draft.wiring.leaves[at]
        layer = draft.layer_plan.get(leaf.layer)
        kernel = layer.kernel if layer and leaf.kind == "conv" else "none"
        of_the_graph = leaf.kind not in ("input", "export", "copy")
        ops.append(Op(
            kind=leaf.kind,
            node=leaf.node,
            inputs=tuple(_tensor(draft, known, s, draft.wiring.leaves[s.leaves[-1]].node)
                         for s in leaf.sources),
            output=draft.leaf_tensor[at],
            y=draft.layout.rows[at].spans,
            x=draft.layout.columns[at].spans,
            kernel=kernel,
            pool=2 if leaf.kind == "conv" and leaf.layer != leaf.node else 0,
            strip=layer.strip if layer and kernel == "winograd" else 0,
            weights=weights.get(leaf.layer, -1) if of_the_graph else -1,
            block_offset=leaf.from_channel,
            dest_channel=leaf.to_channel,
            channels=leaf.shape.c if leaf.kind == "copy" else 0,
            macs=work_of(draft, number, place)[0],
            options=draft.graph.node(leaf.layer).options if of_the_graph else None,
        ))
    grid, (first, last) = draft.plan.groups[number].grid, draft.steps[number]
    return Stage(tuple(ops), grid, first, last, *draft.scratch[number])
