"""Which shortcuts are given an operand's own storage (no tie: the two lie at the same place).

A shortcut adds pixel by pixel, so its output can take the place of an operand nobody reads afterwards: three
maps of a residual block become two.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from darkfuse.graph import Graph, Node
from darkfuse.plan.types import Group


def overwritten(
    graph: Graph, groups: tuple[Group, ...], place: Mapping[int, tuple[int, int]], wanted: Collection[int]
) -> dict[int, int]:
    """Shortcuts that take over an operand's memory.

    Parameters
    ----------
    graph : Graph
    groups : tuple of Group
        The plan's.
    place : mapping of int to (int, int)
        Per layer, its group and its position in there.
    wanted : collection of int
        Layers whose maps are asked for.

    Returns
    -------
    dict of int to int
        Layer index of the shortcut to the number of the operand.
    """
    found: dict[int, int] = {}
    for node in graph.nodes:
        if node.kind != "shortcut" or node.index not in place or len(set(node.inputs)) < len(node.inputs):
            continue
        for number in range(len(node.inputs)):
            if _free(graph, groups, place, wanted, node, node.inputs[number]):
                found[node.index] = number
                break
    return found


def _free(graph: Graph, groups: tuple[Group, ...], place: Mapping[int, tuple[int, int]],
          wanted: Collection[int], node: Node, operand: int) -> bool:
    """Whether layer `operand` makes a map of its own that `node` is the last to read."""
    if operand < 0 or operand not in place or operand in wanted:
        return False
    source = graph.node(operand)
    if source.options.passes or source.kind == "route" or source.out_shape != node.out_shape:
        return False
    here, there = place[node.index], place[operand]
    group = groups[here[0]]
    if group.grid[1] > 1:
        return False  # a window that moves carries columns of the operand and of the sum, which differ
    if group.cache == "none" and group.grid != (1, 1) and there[0] != here[0]:
        return False  # rows added once would be added again by the next tile, which overlaps this one
    found = readers(graph, operand)
    if found is None:
        return False
    for reader in found:
        if reader in wanted:
            return False
        if reader == node.index or graph.node(reader).options.passes:
            continue
        # A reader in the same tiled group may need rows of the operand again on the next tile
        at = place.get(reader)
        if at is None or at[0] > here[0] or (at[0] == here[0] and (group.grid != (1, 1) or at[1] > here[1])):
            return False
    return True


def readers(graph: Graph, layer: int) -> list[int] | None:
    """Layers that read a map, through aliases too (themselves included); None when a route does."""
    found: list[int] = []
    for reader in graph.consumers(layer):
        node = graph.node(reader)
        if node.kind == "route":
            return None
        found.append(reader)
        if node.options.passes:
            further = readers(graph, reader)
            if further is None:
                return None
            found += further
    return found
