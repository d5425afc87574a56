"""A group's output written over the part of its input that is dead by then.

Tile row after tile row a group needs fewer of its input's first rows and has more of its output. Laid out
with the output a little in front of the input, the two share most of their bytes (vMCU does the same between
the layers of a microcontroller's network).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from darkfuse.plan.layout.arena import Tie, shared
from darkfuse.plan.layout.region import read
from darkfuse.plan.layout.weights import FLOAT
from darkfuse.plan.layout.windows import Layout
from darkfuse.plan.layout.wiring import Wiring


def best(ties: Sequence[Tie], size: Mapping[int, int]) -> list[Tie]:
    """Those that save most, each block the source and the target of one at most.

    Parameters
    ----------
    ties : sequence of Tie
    size : mapping of int to int
        Bytes of each block.
    """
    saved = {tie: shared(size[tie.source], size[tie.target], tie.shift) for tie in ties}
    kept: list[Tie] = []
    for tie in sorted(ties, key=lambda t: (-saved[t], t)):
        if saved[tie] > 0 and not any(k.source == tie.source or k.target == tie.target for k in kept):
            kept.append(tie)
    return kept


def ties(wiring: Wiring, layout: Layout, members: Sequence[Sequence[int]]) -> list[Tie]:
    """Inputs that die in a tiled group, tied to the outputs born there; blocks are root storages."""
    found: list[Tie] = []
    for stage, leaves in enumerate(members):
        tiles = len(layout.rows[leaves[0]].spans) if leaves else 1
        if tiles < 2:
            continue
        needed: dict[int, list[int]] = {}  # dying root storage -> per tile row, first row still read
        made: dict[int, list[int]] = {}  # born root storage -> per tile row, rows written by its end
        read_by: dict[int, int] = {}  # dying root storage -> the last to read it, of the operations on a tile
        for number in leaves:
            leaf, spans = wiring.leaves[number], layout.rows[number].spans
            root = wiring.root(leaf.view).storage
            born = layout.stored[root]
            if born.layout == "blocks" and born.first == stage and born.last > stage:
                rows = made.setdefault(root, [0] * tiles)
                end = 0
                for tile, span in enumerate(spans):
                    end = max(end, span[1]) if span[0] < span[1] else end
                    rows[tile] = max(rows[tile], end)
            for view, steps in zip(leaf.sources, leaf.rows):
                root = wiring.root(view).storage
                dying = layout.stored[root]
                if dying.layout == "blocks" and dying.first < stage and dying.last == stage:
                    read_by[root] = number
                    starts = needed.setdefault(root, [dying.height] * (tiles + 1))
                    start = dying.height
                    for tile in reversed(range(tiles)):
                        if spans[tile][0] < spans[tile][1]:
                            start = max(min(start, read(steps, spans[tile])[0]), 0)
                        starts[tile] = min(starts[tile], start)
        columns = len(layout.columns[leaves[0]].spans)
        for target, rows in made.items():
            writer = next(n for n in leaves if wiring.root(wiring.leaves[n].view).storage == target)
            for source, starts in needed.items():
                # Each picture's output goes over its own input: they have to lie equally far apart
                if layout.stored[source].apart != layout.stored[target].apart:
                    continue
                # In one column of tiles, what was read already on this tile may be overwritten on it.
                later = columns == 1 and leaves.index(writer) > leaves.index(read_by[source])
                after, before = layout.stored[target].row_stride, layout.stored[source].row_stride
                found.append(Tie(source, target, max(0, *(
                    FLOAT * (after * rows[tile] - before * starts[tile + later]) for tile in range(tiles)))))
    return best(found, {root: stored.bytes for root, stored in layout.stored.items()})
