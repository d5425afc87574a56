"""A group's output written over the part of its input that is dead by then.

Tile row after tile row a group needs fewer of its input's first rows and has more of its output. Laid out
with the output a little in front of the input, the two share most of their bytes (vMCU does the same between
the layers of a microcontroller's network).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Dict, List, NamedTuple, Tuple

from darkfuse.plan.arena import Block, Packing, pack
from darkfuse.plan.region import read
from darkfuse.plan.windows import FLOAT, Layout
from darkfuse.plan.wiring import Wiring

TRIES = 40  # improvements per packing tried: several are, and each must only be better than the last


class Pair(NamedTuple):
    """Input and output of a group (root storages), and the bytes from the output's start to the input's."""

    source: int
    target: int
    shift: int


def pairs(wiring: Wiring, layout: Layout, members: Sequence[Sequence[int]]) -> List[Pair]:
    """Inputs that die in a tiled group, with the outputs born there, where sharing saves bytes."""
    found: List[Pair] = []
    for stage, leaves in enumerate(members):
        tiles = len(layout.rows[leaves[0]].spans) if leaves else 1
        if tiles < 2:
            continue
        needed: Dict[int, List[int]] = {}  # dying root storage -> per tile row, first row still read
        made: Dict[int, List[int]] = {}  # born root storage -> per tile row, rows written by its end
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
                    starts = needed.setdefault(root, [dying.height] * tiles)
                    start = dying.height
                    for tile in reversed(range(tiles)):
                        if spans[tile][0] < spans[tile][1]:
                            start = max(min(start, read(steps, spans[tile])[0]), 0)
                        starts[tile] = min(starts[tile], start)
        for target, rows in made.items():
            for source, starts in needed.items():
                after, before = layout.stored[target], layout.stored[source]
                shift = max(0, *(FLOAT * (after.row_stride * rows[tile] - before.row_stride * starts[tile])
                                 for tile in range(tiles)))
                if max(after.bytes, shift + before.bytes) < after.bytes + before.bytes:
                    found.append(Pair(source, target, shift))
    return found


def share(
    blocks: Sequence[Block], packing: Packing, wanted: Sequence[Pair]
) -> Tuple[List[Block], Packing, Dict[int, Tuple[int, int]]]:
    """Let pairs of blocks share bytes, if the arena gets smaller by that.

    Parameters
    ----------
    blocks : sequence of Block
    packing : Packing
        Of the blocks as they are.
    wanted : sequence of Pair
        With block numbers in place of storages.

    Returns
    -------
    list of Block
        A block that moved in with another has no bytes of its own any more.
    Packing
        Of those.
    dict of int to (int, int)
        Blocks that moved: to which block, and how many bytes behind its start they lie.
    """
    trial, best = list(blocks), packing
    homes: Dict[int, Tuple[int, int]] = {}
    taken: set[Tuple[str, int]] = set()
    gains = sorted(wanted, key=lambda pair: -min(blocks[pair.source].bytes, blocks[pair.target].bytes))
    for source, target, shift in gains:
        if ("source", source) in taken or ("target", target) in taken:
            continue
        (guest, guest_at), (host, host_at) = homes.get(source, (source, 0)), homes.get(target, (target, 0))
        behind = shift + host_at - guest_at  # of the guest's start, from the host's
        one, other = trial[guest], trial[host]
        changed = list(trial)
        changed[host] = Block(max(one.bytes + max(behind, 0), other.bytes + max(-behind, 0)),
                              min(one.first, other.first), max(one.last, other.last))
        changed[guest] = Block(0, one.first, one.last)
        result = pack(changed, TRIES)
        if result.bytes > best.bytes:
            continue
        trial, best = changed, result
        taken |= {("source", source), ("target", target)}
        moved = dict(homes)
        moved[guest] = (host, max(behind, 0))
        for block, (home, at) in homes.items():
            if home == guest:
                moved[block] = (host, at + max(behind, 0))
            elif home == host:
                moved[block] = (host, at + max(-behind, 0))
        moved[host] = (host, homes.get(host, (host, 0))[1] + max(-behind, 0))
        homes = moved
    if best.bytes >= packing.bytes:
        return list(blocks), packing, {}
    return trial, best, homes
