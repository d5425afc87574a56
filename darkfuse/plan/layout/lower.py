"""From a plan to a program: every buffer, tensor and tile region the engine needs, to the byte."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Dict, List, Optional, Tuple

from darkfuse.errors import PlanError
from darkfuse.graph import Graph, Options
from darkfuse.model.weights import WeightsIndex
from darkfuse.plan.layout.ahead import places_of
from darkfuse.plan.layout.arena import Block, Packing, Tie, aligned, pack_tied
from darkfuse.plan.layout.inplace import overwritten
from darkfuse.plan.layout.overlap import ties
from darkfuse.plan.layout.region import Axis, Span, Step, clip
from darkfuse.plan.layout.weights import (
    check_kernel,
    file_offsets,
    place_weights,
    raw_bytes,
    wino_scratch_floats,
    wino_u_floats,
)
from darkfuse.plan.layout.windows import FLOAT, Layout, Stored, arrange
from darkfuse.plan.layout.wiring import BLOCK, INPUT, Leaf, View, Wiring, check_layer, poolable
from darkfuse.plan.program import Buffer, Keep, Op, Program, Stage, Tensor, Weights, arrived
from darkfuse.plan.types import Group, LayerPlan, Plan

MAX_THREADS = 1024


def lower(
    graph: Graph,
    plan: Plan,
    extra_outputs: Sequence[int] = (),
    weights_index: Optional[WeightsIndex] = None,
    reads: bool = True,
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
        Find places for the reads of weights. Without, the program can be measured but not run.

    Raises
    ------
    PlanError
        The plan does not belong to the graph, or asks for what no kernel or group can do.
    """
    return _Lowering(graph, plan, extra_outputs, weights_index).program(reads)


class _Lowering:
    def __init__(self, graph: Graph, plan: Plan, extra_outputs: Sequence[int],
                 weights_index: Optional[WeightsIndex]) -> None:
        self.graph, self.plan = graph, plan
        if plan.fingerprint and plan.fingerprint != graph.fingerprint():
            raise PlanError(f"{graph.name}: the plan was made for another network ({plan.network}), or this "
                            f"one was edited since; plan it again")
        if not 1 <= plan.threads <= MAX_THREADS:
            raise PlanError(f"{graph.name}: a plan for {plan.threads} threads; 1 to {MAX_THREADS} make sense")
        if plan.ahead_bytes < 0:
            raise PlanError(f"{graph.name}: a plan with {plan.ahead_bytes} bytes for reads ahead")
        self.group_of: Dict[int, int] = {}
        self.layer_plan: Dict[int, LayerPlan] = {}
        for number, group in enumerate(plan.groups):
            for layer in group.layers:
                check_layer(graph, layer.node)
                if layer.node in self.group_of:
                    raise PlanError(f"{graph.name}: layer {layer.node} is in the plan twice")
                self.group_of[layer.node] = number
                self.layer_plan[layer.node] = layer
        for index in extra_outputs:
            check_layer(graph, index)
        self.wanted = tuple(dict.fromkeys((*graph.outputs, *extra_outputs)))
        self.image = self._image_input()
        place = {layer.node: (number, at) for number, group in enumerate(plan.groups)
                 for at, layer in enumerate(group.layers)}
        self.wiring = Wiring(graph, self._fused(), self.image,
                             overwritten(graph, plan.groups, place, self.wanted))
        self.members = self._members()
        self.outputs = self._exports()
        self.steps = self._steps()
        self.weights_index = weights_index
        self.buffers: List[Buffer] = []  # offsets filled in at the end
        self.tensors: List[Tensor] = []
        self.weights: List[Weights] = []
        self._known: Dict[Tuple[int, int, int], int] = {}  # (root storage, channel, channels) -> tensor

    # -- what runs where ------------------------------------------------------------------------------

    def _image_input(self) -> bool:
        readers = [self.layer_plan[i] for i in self.graph.consumers(INPUT) if i in self.layer_plan]
        first = [layer for layer in readers if layer.kernel == "first"]
        if first and (len(first) != len(readers) or self.graph.input.c != 3):
            raise PlanError(f"{self.graph.name}: layer {first[0].node}: kernel 'first' needs three "
                            f"channels of input that no other kernel reads")
        return bool(first)

    def _fused(self) -> Dict[int, int]:
        fused = {}
        for node in self.graph.nodes:
            pool = poolable(self.graph, node)
            if pool >= 0 and node.index not in self.wanted \
                    and self.group_of.get(node.index) == self.group_of.get(pool):
                fused[node.index] = pool
        return fused

    def _members(self) -> List[List[int]]:
        """Leaves of each group in execution order; checks the order."""
        by_layer: Dict[int, List[int]] = {}
        for number, leaf in enumerate(self.wiring.leaves):
            by_layer.setdefault(leaf.layer, []).append(number)
            if leaf.layer != INPUT and leaf.layer not in self.group_of:
                raise PlanError(f"{self.graph.name}: layer {leaf.layer} is missing from the plan")
        done: set[int] = set()
        members: List[List[int]] = []
        entry = by_layer[INPUT][0]
        for group in self.plan.groups:
            if not group.layers or min(group.grid) < 1 or group.cache not in ("full", "rows", "none"):
                raise PlanError(f"{self.graph.name}: a group without layers, without tiles, or of cache mode "
                                f"{group.cache!r}")
            stage: List[int] = []
            for layer in group.layers:
                node = self.graph.node(layer.node)
                check_kernel(self.graph, node, layer, self.image)
                for number in by_layer.get(layer.node, ()):
                    for needed in (n for s in self.wiring.leaves[number].sources for n in s.leaves):
                        if needed == entry and entry not in done:
                            stage.append(entry)
                            done.add(entry)
                        if needed not in done:
                            raise PlanError(f"{self.graph.name}: layer {layer.node} comes before layer "
                                            f"{self.wiring.leaves[needed].node}, which it reads")
                    stage.append(number)
                    done.add(number)
            members.append(stage)
            self._check_streams(group.grid, [layer for layer in group.layers if layer.residency != "none"])
        return members

    def _check_streams(self, grid: Tuple[int, int], layers: Sequence[LayerPlan]) -> None:
        streamed = [layer for layer in layers if layer.residency == "streamed"]
        if streamed and (grid != (1, 1) or len(layers) > 1):
            raise PlanError(f"{self.graph.name}: layer {streamed[0].node}: streamed weights need a group of "
                            f"one convolution with a 1x1 grid")

    def _exports(self) -> Tuple[Tuple[int, int], ...]:
        """Add a leaf for every map asked for, to the group that finishes it. Returns (layer, leaf) pairs."""
        stage_of = {leaf: stage for stage, leaves in enumerate(self.members) for leaf in leaves}
        made: Dict[View, int] = {}
        pairs = []
        for layer in self.wanted:
            view = self.wiring.views[layer]
            if view not in made:
                self.wiring.export(layer)
                made[view] = len(self.wiring.leaves) - 1
                entry = [0] if 0 in view.leaves and 0 not in stage_of else []  # nothing else reads the input
                stage = max([stage_of[n] for n in view.leaves if n in stage_of], default=0)
                self.members[stage] += entry + [made[view]]
            pairs.append((layer, made[view]))
        return tuple(pairs)

    def _steps(self) -> List[Span]:
        """First and last step of each stage."""
        steps: List[Span] = []
        at = 0
        for group, leaves in zip(self.plan.groups, self.members):
            two = len(leaves) == 1 and self._in_one_strip(group, self.wiring.leaves[leaves[0]])
            steps.append((at, at + two))
            at += 1 + two
        return steps

    def _in_one_strip(self, group: Group, leaf: Leaf) -> bool:
        layer = self.layer_plan.get(leaf.layer)
        if layer is None or leaf.kind != "conv" or layer.kernel != "winograd" or group.grid != (1, 1):
            return False
        return not 0 < 4 * layer.strip < self.graph.node(leaf.layer).out_shape.h

    # -- the program ----------------------------------------------------------------------------------

    def program(self, reads: bool) -> Program:
        layout = arrange(self.wiring, self.plan.groups, self.members)
        place: Dict[int, int] = {}  # root storage -> buffer
        maker = {self.wiring.root(leaf.view).storage: leaf for leaf in reversed(self.wiring.leaves)}
        for root, stored in layout.stored.items():
            leaf = maker[root]
            place[root] = self._buffer(_name(leaf, stored), stored.bytes, *self._alive(root, stored))
        leaf_tensor: Dict[int, int] = {}
        for stage in self.members:
            for number in stage:
                leaf_tensor[number] = self._leaf_tensor(number, layout, place)
        weights = self._place_weights()
        stages = tuple(self._stage(number, layout, place, leaf_tensor, weights)
                       for number in range(len(self.members)))
        blocks = [Block(b.bytes, max(b.first, 0), b.last) for b in self.buffers]
        tied = [Tie(place[t.source], place[t.target], t.shift)
                for t in ties(self.wiring, layout, self.members)]
        tied, packing = pack_tied(blocks, tied)
        arena = packing.bytes + aligned(self.plan.ahead_bytes)
        buffers = self._placed(packing, tied)
        source = self.graph.input
        return Program(
            buffers=buffers,
            tensors=tuple(self.tensors),
            weights=self._with_reads(buffers, stages, arena) if reads else tuple(self.weights),
            stages=stages,
            outputs=tuple((layer, leaf_tensor[leaf]) for layer, leaf in self.outputs),
            arena_bytes=arena,
            threads=self.plan.threads,
            input_channels=source.c,
            input_height=source.h,
            input_width=source.w,
        )

    def _alive(self, root: int, stored: Stored) -> Span:
        """First and last step of a storage, both included."""
        (first, first_end), (last, last_end) = self.steps[stored.first], self.steps[stored.last]
        if first < first_end:  # made by the stage's only operation, after it has read everything
            first = first_end
        if last < last_end and not any(self.wiring.root(self.wiring.leaves[n].view).storage == root
                                       for n in self.members[stored.last]):
            last_end = last  # only read there
        return first, self.steps[-1][1] if stored.layout == "chw" else last_end

    def _buffer(self, name: str, size: int, first: int, last: int) -> int:
        self.buffers.append(Buffer(name, size, 0, first, last))
        return len(self.buffers) - 1

    def _placed(self, packing: Packing, tied: Sequence[Tie]) -> Tuple[Buffer, ...]:
        over = {tie.target: tie.source for tie in tied}
        return tuple(replace(buffer, offset=at, over=over.get(number, -1))
                     for number, (buffer, at) in enumerate(zip(self.buffers, packing.offsets)))

    def _with_reads(self, buffers: Sequence[Buffer], stages: Sequence[Stage],
                    arena: int) -> Tuple[Weights, ...]:
        """The weights, with places for their reads."""
        until = {op.weights: arrived(stage, self.weights[op.weights])
                 for stage in stages for op in stage.ops if op.weights >= 0}
        places = places_of(buffers, self.weights, until, arena)
        return tuple(replace(w, places=own) for w, own in zip(self.weights, places))

    def _place_weights(self) -> Dict[int, int]:
        offsets = file_offsets(self.graph, self.weights_index)
        transposed = self.weights_index is not None and self.weights_index.transposed
        found: Dict[int, int] = {}
        readers: Dict[int, int] = {}  # stage -> buffer: its layers are read one after another
        for stage, group in enumerate(self.plan.groups):
            size = max(raw_bytes(self.graph.node(layer.node), layer) for layer in group.layers)
            if size:
                readers[stage] = self._buffer(f"stage {stage} reader", size, *self.steps[stage])
        for layer, stage in self.group_of.items():
            node = self.graph.node(layer)
            if node.weights is None:
                continue
            pinned = self.layer_plan[layer].residency == "pinned"
            raw = -1 if pinned else readers[stage]

            def add(name: str, size: int, always: bool, steps: Span = self.steps[stage]) -> int:
                return self._buffer(name, size, *((-1, self.steps[-1][1]) if always else steps))

            found[layer] = len(self.weights)
            self.weights.append(place_weights(node, self.layer_plan[layer], offsets[layer], transposed, raw,
                                              add))
        return found

    def _tensor(self, view: View, node: int, layout: Layout, place: Dict[int, int],
                keep: Optional[Keep] = None) -> int:
        root = self.wiring.root(view)
        stored = layout.stored[root.storage]
        key = (root.storage, root.channel, root.channels)
        if keep is None and key in self._known:
            return self._known[key]
        self.tensors.append(Tensor(
            node=node,
            buffer=place[root.storage],
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
        ))
        self._known.setdefault(key, len(self.tensors) - 1)
        return len(self.tensors) - 1

    def _leaf_tensor(self, number: int, layout: Layout, place: Dict[int, int]) -> int:
        leaf = self.wiring.leaves[number]
        stored = layout.stored[self.wiring.root(leaf.view).storage]
        keep = None
        if stored.moving:
            keep = self._keep(number, leaf, stored, layout)
        return self._tensor(leaf.view, leaf.node, layout, place, keep)

    def _keep(self, number: int, leaf: Leaf, stored: Stored, layout: Layout) -> Optional[Keep]:
        """What this leaf's window carries between tiles; None when that is nothing."""
        group = self.plan.groups[stored.first]
        if group.cache == "none":
            return None
        rows, columns = layout.rows[number], layout.columns[number]
        tiles = range(len(rows.spans))
        carried = max([rows.spans[i][1] - rows.first[i + 1] for i in tiles[:-1]], default=0)
        aside = group.cache == "full" and any(
            first < span[0] for first, span in zip(columns.first, columns.spans))
        if carried <= 0 and not aside:
            return None
        buffer, slots = -1, 0
        if carried > 0:
            slots = carried if group.cache == "full" else _apart(rows, carried)
            pixel = 3 if stored.layout == "image" else -(-leaf.view.channels // BLOCK) * BLOCK
            buffer = self._buffer(f"{_name(leaf, stored)} row cache", slots * stored.width * pixel * FLOAT,
                                  *self._alive(self.wiring.root(leaf.view).storage, stored))
        return Keep(buffer=buffer, slots=slots, cols=stored.width, x0=0, top=rows.first, left=columns.first,
                    columns=aside)

    def _stage(self, number: int, layout: Layout, place: Dict[int, int], leaf_tensor: Dict[int, int],
               weights: Dict[int, int]) -> Stage:
        ops: List[Op] = []
        shared = per_thread = 0
        for at in self.members[number]:
            leaf = self.wiring.leaves[at]
            layer = self.layer_plan.get(leaf.layer)
            y, x = layout.rows[at].spans, layout.columns[at].spans
            kernel = layer.kernel if layer and leaf.kind == "conv" else "none"
            macs, u_bytes, t_bytes = self._work(leaf, kernel, layer.strip if layer else 0, y, x)
            shared, per_thread = max(shared, u_bytes), max(per_thread, t_bytes)
            ops.append(Op(
                kind=leaf.kind,
                node=leaf.node,
                inputs=tuple(self._tensor(s, self._made_by(s), layout, place) for s in leaf.sources),
                output=leaf_tensor[at],
                y=y,
                x=x,
                kernel=kernel,
                pool=2 if leaf.kind == "conv" and leaf.layer != leaf.node else 0,
                strip=layer.strip if layer and kernel == "winograd" else 0,
                weights=weights.get(leaf.layer, -1) if leaf.kind in ("conv", "connected") else -1,
                block_offset=leaf.from_channel,
                dest_channel=leaf.to_channel,
                channels=leaf.shape.c if leaf.kind == "copy" else 0,
                macs=macs,
                options=self._options(leaf),
            ))
        shared, per_thread = aligned(shared), aligned(per_thread)
        scratch = -1
        if shared or per_thread:
            scratch = self._buffer(f"stage {number} scratch", shared + self.plan.threads * per_thread,
                                   *self.steps[number])
        grid, (first, last) = self.plan.groups[number].grid, self.steps[number]
        return Stage(tuple(ops), grid, first, last, scratch, shared, per_thread)

    def _options(self, leaf: Leaf) -> Optional[Options]:
        return None if leaf.kind in ("input", "export", "copy") else self.graph.node(leaf.layer).options

    def _made_by(self, view: View) -> int:
        return self.wiring.leaves[view.leaves[-1]].node

    def _work(self, leaf: Leaf, kernel: str, strip: int, y: Sequence[Span],
              x: Sequence[Span]) -> Tuple[int, int, int]:
        """Multiply-adds over all tiles, and Winograd's scratch: bytes shared, bytes per thread."""
        if leaf.layer == INPUT or leaf.kind not in ("conv", "connected"):
            return 0, 0, 0
        node = self.graph.node(leaf.layer)
        assert node.weights is not None
        if leaf.kind == "connected":
            return node.macs, 0, 0
        rows, columns = list(y), list(x)
        if leaf.layer != leaf.node:  # regions are of the pooled map
            rows = [_before(leaf.rows[0][0], span) for span in y]
            columns = [_before(leaf.columns[0][0], span) for span in x]
        heights, widths = [b - a for a, b in rows], [b - a for a, b in columns]
        per_pixel = node.weights.kernels
        macs = sum(heights) * sum(widths) * per_pixel
        if kernel != "winograd":
            return macs, 0, 0
        down = -(-max(heights) // 4)
        tiles = (min(strip, down) if strip else down) * -(-max(widths) // 4)
        return macs, wino_u_floats(node, tiles) * FLOAT, wino_scratch_floats(node, tiles) * FLOAT


def _before(step: Step, span: Span) -> Span:
    """Span of the convolution's own output that a span of the pooled map is made of."""
    return clip(step.read(span), step.length) if span[0] < span[1] else (0, 0)


def _apart(rows: Axis, slots: int) -> int:
    """Slots of a row cache, for tiles that overlap sideways ('rows').

    A tile reads the rows saved by the tile row above while its left neighbour, which shares columns with it,
    has already saved its own: different rows of the two may not fall into one slot.
    """
    above = [range(rows.first[i], rows.spans[i - 1][1]) for i in range(1, len(rows.spans))]
    while any(old % slots == new % slots and old != new
              for one, next_one in zip(above, above[1:]) for old in one for new in next_one):
        slots += 1
    return slots


def _name(leaf: Leaf, stored: Stored) -> str:
    if leaf.kind == "input":
        return "network input"
    return f"layer {leaf.node} {'output' if stored.layout == 'chw' else 'map'}"
