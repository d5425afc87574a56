"""A group's output written over the part of its input that is dead by then.

Tile row after tile row a group needs fewer of its input's first rows and has more of its output. Laid out
with the output beginning some bytes before the input (the shift), the two share most of their bytes (vMCU
does the same between the layers of a microcontroller's network). The shift is such that after no tile row
the output has reached a row of the input that is still to be read. Only maps in channel blocks: their rows
are multiples of the arena's alignment, as a shift must be.

Let t be the output's first byte, and `after` and `before` the floats of a row of the output and of the input.
Output row y then begins at t + 4 * after * y, and input row y at t + shift + 4 * before * y. After tile row
i the output's rows [0, rows[i]) are written, and the input's from starts[i + 1] on are still to be read:
4 * after * rows[i] <= shift + 4 * before * starts[i + 1]. Where the output may be written before this tile
row has read all it needs, starts[i] takes the place of starts[i + 1].
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from darkfuse.plan.layout._region import read
from darkfuse.plan.layout.arena import Tie, shared
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


def in_turn(pictures: int, before: int, after: int) -> int:
    """The shift where pictures of a batch are computed one after another, each from `before` bytes to `after`
    bytes: what is written for one reaches neither its own input nor that of those to come."""
    return max(after, pictures * after - (pictures - 1) * before)


def ties(wiring: Wiring, layout: Layout, members: Sequence[Sequence[int]],
         turns: Container[int] = ()) -> list[Tie]:
    """Inputs that die in a tiled group, tied to the outputs born there; blocks are root storages. In groups
    of one tile that are computed for one picture after another (`turns`) those of all pictures are.

    An input of which a piece is still written in the group (a concatenation) may be tied, too: rows written
    on a tile are rows that this tile or a later one reads.
    """
    found: list[Tie] = []
    stored = layout.stored
    for stage, leaves in enumerate(members):
        if not leaves or (len(layout.rows[leaves[0]].spans) < 2 and stage not in turns):
            continue
        born = {root: stored[root].row_stride for root in map(wiring.written.__getitem__, leaves)
                if stored[root].layout == "blocks" and stored[root].first == stage < stored[root].last}
        dying = {root: stored[root].row_stride for number in leaves for root in wiring.read[number]
                 if stored[root].layout == "blocks" and stored[root].first < stage == stored[root].last}
        if stage in turns:
            found += [Tie(source, target, in_turn(stored[target].pictures, stored[source].apart,
                                                  stored[target].apart))
                      for source in dying for target in born
                      if stored[source].pictures == stored[target].pictures > 1]
        elif born and dying:
            known, key = layout.regions[stage].ties, (*born.items(), -1, *dying.items())
            if key not in known:
                known[key] = _of_group(wiring, layout, leaves, born, dying)
            # Each picture's output goes over its own input: they have to lie equally far apart
            found += [tie for tie in known[key] if stored[tie.source].apart == stored[tie.target].apart]
    return best(found, {root: one.bytes for root, one in stored.items()})


def _of_group(wiring: Wiring, layout: Layout, leaves: Sequence[int], born: Mapping[int, int],
              dying: Mapping[int, int]) -> list[Tie]:
    """All ties of one group; `born` and `dying` are storages, and the floats of a row of each."""
    found: list[Tie] = []
    tile_rows, columns = (len(axes[leaves[0]].spans) for axes in (layout.rows, layout.columns))
    made = {root: [0] * tile_rows for root in born}  # per tile row, rows written by its end
    # the first row that each tile row and those after it read; at last the map's height
    needed = {root: [layout.stored[root].height] * (tile_rows + 1) for root in dying}
    read_by: dict[int, int] = {}  # dying root storage -> the last to read it, of the operations on a tile
    for number in leaves:
        leaf, spans = wiring.leaves[number], layout.rows[number].spans
        if wiring.written[number] in born:
            rows, end = made[wiring.written[number]], 0
            for tile, span in enumerate(spans):
                end = max(end, span[1]) if span[0] < span[1] else end
                rows[tile] = max(rows[tile], end)
        for root, steps in zip(wiring.read[number], leaf.rows):
            if root in dying:
                read_by[root] = number
                starts, start = needed[root], layout.stored[root].height
                asked = read(steps, [span for span in spans if span[0] < span[1]])
                for tile in reversed(range(tile_rows)):
                    if spans[tile][0] < spans[tile][1]:
                        start = max(min(start, asked.pop()[0]), 0)
                    starts[tile] = min(starts[tile], start)
    for target, rows in made.items():
        writer = next(n for n in leaves if wiring.written[n] == target)
        for source, starts in needed.items():
            # 1: the output's first writer runs after the input's last reader, so that the output may
            # cover rows this tile row has read. 0 with several columns, as tiles to the right still read
            # them, and where reader and writer are one operation, whose threads are not in step.
            behind = 1 if columns == 1 and leaves.index(writer) > leaves.index(read_by[source]) else 0
            shifts = [FLOAT * (born[target] * rows[tile] - dying[source] * starts[tile + behind])
                      for tile in range(tile_rows)]
            found.append(Tie(source, target, max(0, *shifts)))
    return found
