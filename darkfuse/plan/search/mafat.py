"""The paper's own search, for comparison: MAFAT (arXiv 2107.06960), two groups of square tiles.

Its space: one group of layers or two, the cut behind a pooling layer, each group over a 1x1 to 5x5 grid,
every weight resident. Its search is greedy: as few tiles as fit the memory, for tiles cost time. Here it runs
in our engine, with our line buffers and caches, and what fits is decided by our exact arena, so that the
comparison is between searches and not between engines. `predicted_bytes` is the paper's own estimate.

The paper stops at layer 15 of YOLOv2. Of other networks the layers behind the first plain chain of
convolutions and poolings run one by one.
"""

from __future__ import annotations

from collections.abc import Iterator

from darkfuse.errors import BudgetError, PlanError
from darkfuse.graph import Graph
from darkfuse.graph.layers.convolutional import ConvOptions
from darkfuse.host.units import format_bytes
from darkfuse.plan.layout.lower import lower
from darkfuse.plan.layout.region import clip
from darkfuse.plan.price.device import Device
from darkfuse.plan.search.simple import plan_layer
from darkfuse.plan.types import Group, Plan

LARGEST = 5  # tiles down and across
FIXED_BYTES = 31 << 20  # what the paper adds for weights, code and everything else
FLOAT = 4


def mafat_plan(graph: Graph, mem: int, threads: int, exact: bool = False,
               device: Device | None = None) -> Plan:
    """The configuration of the paper's space with the fewest tiles that fits.

    Parameters
    ----------
    graph : Graph
    mem : int
        Bytes of the arena.
    threads : int
    exact : bool
        Leave out Winograd.
    device : Device, optional
        Not asked: the paper's search knows no times.

    Raises
    ------
    BudgetError
        Not even the smallest configuration fits.
    """
    smallest: Plan | None = None
    for plan in _placed(graph, threads, exact):
        if plan.arena_bytes <= mem:
            return plan
        if smallest is None or plan.arena_bytes < smallest.arena_bytes:
            smallest = plan
    least = smallest.arena_bytes if smallest else 0
    raise BudgetError(f"{graph.name}: {format_bytes(mem)} of arena is too little for the paper's search; the "
                      f"least it can do with is {format_bytes(least)}")


def mafat_smallest(graph: Graph, threads: int, exact: bool = False) -> Plan:
    """The configuration of the paper's space that takes least memory."""
    return min(_placed(graph, threads, exact), key=lambda plan: plan.arena_bytes)


def configurations(graph: Graph) -> list[tuple[int, int, int]]:
    """(tiles of the first group, cut, tiles of the second) by number of tiles; cut 0 is no cut."""
    end = tiled_layers(graph)
    found = [(n, 0, 0) for n in range(1, LARGEST + 1) if _fits(graph, n, end - 1)]
    for cut in (node.index + 1 for node in graph.nodes[: end - 1] if node.kind == "maxpool"):
        found += [(n, cut, m) for n in range(1, LARGEST + 1) for m in range(1, LARGEST + 1)
                  if _fits(graph, n, cut - 1) and _fits(graph, m, end - 1)]
    return sorted(found, key=lambda c: (c[0] ** 2 + c[2] ** 2, c))


def tiled_layers(graph: Graph) -> int:
    """How many layers from the first on are a plain chain of convolutions and poolings."""
    for node in graph.nodes:
        plain = node.kind in ("convolutional", "maxpool") and node.inputs == (node.index - 1,)
        if not plain or (node.index and graph.consumers(node.index - 1) != (node.index,)):
            return max(1, node.index)
    return len(graph.nodes)


def _fits(graph: Graph, tiles: int, last: int) -> bool:
    shape = graph.node(last).out_shape
    return tiles <= min(shape.h, shape.w)


def _placed(graph: Graph, threads: int, exact: bool) -> Iterator[Plan]:
    """Plans of all configurations, with their arenas."""
    end = tiled_layers(graph)
    layers = [plan_layer(graph, node, "pinned", exact) for node in graph.nodes]
    rest = tuple(Group((layer,)) for layer in layers[end:])
    for first, cut, second in configurations(graph):
        groups = [Group(tuple(layers[:cut or end]), (first, first))]
        if cut:
            groups.append(Group(tuple(layers[cut:end]), (second, second)))
        plan = Plan(graph.name, graph.fingerprint(), (*groups, *rest), threads, exact)
        try:
            arena = lower(graph, plan).arena_bytes
        except PlanError:
            continue
        yield Plan(plan.network, plan.fingerprint, plan.groups, threads, exact, arena)


def predicted_bytes(graph: Graph, config: tuple[int, int, int]) -> int:
    """The paper's estimate of the process's peak: the largest input, output and im2col of any tile of any
    layer, and a constant.

    Parameters
    ----------
    config : (int, int, int)
        As from `configurations`.
    """
    first, cut, second = config
    end = tiled_layers(graph)
    parts = [(first, 0, cut or end)] + ([(second, cut, end)] if cut else [])
    return FIXED_BYTES + max(_largest_tile(graph, *part) for part in parts)


def _largest_tile(graph: Graph, tiles: int, start: int, end: int) -> int:
    """Bytes of the fattest layer of the fattest tile of layers [start, end), without reuse."""
    most = 0
    last = graph.node(end - 1).out_shape
    for row in range(tiles):
        for col in range(tiles):
            y = last.h * row // tiles, last.h * (row + 1) // tiles
            x = last.w * col // tiles, last.w * (col + 1) // tiles
            for node in reversed(graph.nodes[start:end]):
                window, source = node.window, node.in_shapes[0]
                assert window is not None
                above = clip((window.start(y[0]), window.start(y[1] - 1) + window.extent), source.h)
                aside = clip((window.start(x[0]), window.start(x[1] - 1) + window.extent), source.w)
                out = (y[1] - y[0]) * (x[1] - x[0])
                values = (above[1] - above[0]) * (aside[1] - aside[0]) * source.c + out * node.out_shape.c
                if isinstance(node.options, ConvOptions) and node.options.size > 1:
                    values += out * node.options.size**2 * source.c
                most, y, x = max(most, values * FLOAT), above, aside
    return most
