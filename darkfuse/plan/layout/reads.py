"""How weights that are not pinned pass through the reader's slots: filters a read, slots, filters a block."""

from __future__ import annotations

from darkfuse.graph import Node
from darkfuse.plan.layout.weights import MAX_SLOTS, PANEL, up

READ_BYTES = 192 << 10  # a read costs as much as some 100 kB, however short it is
SMALL_READ = 64 << 10  # bytes of a read where bytes count most
LARGE_READ = 5 << 18  # what larger ones save is no longer worth their slots


def filter_bytes(node: Node) -> int:
    """One filter as it lies in the file."""
    assert node.weights is not None
    return 4 * node.weights.kernels // node.weights.biases


def streamed_ways(node: Node, kernel: str, threads: int, batch: int = 1) -> tuple[tuple[int, int, int], ...]:
    """Ways to stream a layer, fastest first: (block, raw, slots) of a `LayerPlan`.

    First a panel of 32 filters for each thread with reads ahead of them, large reads at the very first; then
    one for the team together, at last as few bytes as possible. Winograd computes from the slots, so that a
    panel stays in its slots until it is done; the other kernels pack it first.
    """
    if kernel == "winograd" and batch > 1:  # the more filters at a time, the fewer transforms of inputs
        return (128, PANEL, 6), (64, PANEL, 4), (64, 16, 5), (PANEL, 16, 4), (PANEL, 16, 2)
    if kernel == "winograd":
        panels, large = min(threads, MAX_SLOTS - 3), PANEL
        while 16 * large <= node.filters and 2 * large * filter_bytes(node) <= LARGE_READ:
            large *= 2
        team = PANEL * panels
        block = up(team, large)
        larger = ((block, large, block // large + 2),) if large > PANEL else ()
        lean = (PANEL, 16, 4), (PANEL, 16, 2)
        if threads == 1:
            return (*larger, *lean)
        return (*larger, (team, PANEL, panels + 3), (team, PANEL, panels + 2), *lean)
    raw = _filters(node, threads)
    return (max(PANEL, raw) * threads, raw, min(threads + 2, MAX_SLOTS)), (PANEL, 16, 3), (PANEL, 8, 2)


def striped_way(node: Node, kernel: str, threads: int, lean: bool) -> tuple[int, int, int]:
    """A way to stream a layer whose weights come again for every tile: the fastest, or the one of fewest
    bytes."""
    if not lean or kernel == "winograd":
        return streamed_ways(node, kernel, threads)[-1 if lean else 0]
    raw = 8
    while raw > 1 and raw * filter_bytes(node) > SMALL_READ:
        raw //= 2
    return PANEL, raw, 2


def loaded_way(node: Node) -> tuple[int, int]:
    """(raw, slots) to load a layer fast with, where there is room; a `LayerPlan` begins with the leanest."""
    return _filters(node, 4), 4


def _filters(node: Node, reads: int) -> int:
    """Filters that make a read worth its beginning; few enough to leave so many reads."""
    raw = 16
    while raw < 128 and raw * filter_bytes(node) < READ_BYTES and 2 * raw * reads <= node.filters:
        raw *= 2
    return raw
