"""Plans in the paper's notation, extended.

MAFAT (arXiv 2107.06960) writes `5x5/8/2x2`: layers up to 7 fused over a 5x5 grid, a cut before layer 8, the
rest over 2x2. Here::

    plan    = part { "/" cut "/" part }        any number of parts; the last goes to the network's end
    cut     = index of the layer the next part begins with, in the order of execution
    part    = grid { flag } | single
    grid    = R "x" C                          rows and columns of tiles of the part's last map
    flag    = "n" | "r" | "f"                  cache mode: none (halo recompute), rows, full (the default)
            | "l"                              weights loaded every frame (without: kept packed, 'pinned')
            | "s"                              weights streamed, for every tile again
    single  = "s" | "l" | "p"                  every layer on its own, whole maps; weights streamed through a
                                               block of filters, loaded, or pinned

`/NoCut` at the end, as the paper writes for one part, is accepted. A pooling that can be done in the store of
the convolution before it stays with that convolution in a `single` part. Kernels, strips and the sizes of
reads follow the rules of thumb in `plan.search.simple`.

`38x1/8/10x1l/12/s` is YOLOv2 in two line-buffered groups, then layer by layer with streamed weights; in
`38x1l/12/10x1s/23/4x1s` late layers run in stripes, of which each reads its group's weights anew.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from darkfuse.errors import PlanError
from darkfuse.graph import Graph
from darkfuse.plan.layout.order import memory_order
from darkfuse.plan.layout.wiring import poolable
from darkfuse.plan.search.simple import plan_layer
from darkfuse.plan.types import Group, Plan

_GRID = re.compile(r"(\d{1,5})x(\d{1,5})([a-z]*)")
_CACHES = {"n": "none", "r": "rows", "f": "full"}
_SINGLE = {"s": "streamed", "l": "loaded", "p": "pinned"}


def parse_plan(text: str, graph: Graph, threads: int = 1, exact: bool = False) -> Plan:
    """Make a plan from its notation, of layers in the order that holds least (`plan.layout.order`).

    Parameters
    ----------
    text : str
        For example `5x5/8/2x2`; the grammar is at the top of this module.
    graph : Graph
    threads : int
    exact : bool
        Leave out Winograd.

    Raises
    ------
    PlanError
        Not the notation, a cut that is no layer or goes back, or a grid larger than its map.
    """
    words = text.strip().split("/")
    if words[-1].lower() == "nocut":
        words.pop()
    if len(words) % 2 == 0:
        raise PlanError(f"plan {text!r}: write grid/cut/grid, like 5x5/8/2x2 or 38x1/8/10x1/12/s")
    order = memory_order(graph)
    cuts = [_cut(text, word, graph) for word in words[1::2]]
    bounds = [0] + [order.index(cut) for cut in cuts] + [len(order)]
    for number, (start, end) in enumerate(zip(bounds, bounds[1:])):
        if end <= start:
            raise PlanError(f"plan {text!r}: the cut before layer {cuts[number]} does not come after the one "
                            f"in front of it")
    groups: list[Group] = []
    for word, start, end in zip(words[0::2], bounds, bounds[1:]):
        grid, cache, residency = _part(text, word)
        layers = order[start:end]
        if grid is None:
            for pair in _pairs(graph, layers):
                groups.append(_group(graph, pair, (1, 1), "full", residency, exact))
        else:
            last = graph.node(layers[-1]).out_shape
            if not (1 <= grid[0] <= last.h and 1 <= grid[1] <= last.w):
                raise PlanError(f"plan {text!r}: a {grid[0]}x{grid[1]} grid does not fit the "
                                f"{last.h}x{last.w} map of layer {layers[-1]}")
            groups.append(_group(graph, layers, grid, cache, residency, exact))
    return Plan(graph.name, graph.fingerprint(), tuple(groups), threads, exact)


def format_plan(plan: Plan, graph: Graph) -> str:
    """The notation of a plan: `parse_plan` gives back its groups, grids, caches and residencies.

    What the notation cannot say is left out: kernels, strips, sizes of reads, weights of several residencies
    within one group (streamed ones count, else the first layer's), and which group a layer that runs nothing
    counts to.
    """
    parts: list[str] = []
    single = ""  # letter of the run of single layers at the end of `parts`
    for group in plan.groups:
        residencies = [layer.residency for layer in group.layers if layer.residency != "none"]
        residency = "streamed" if "streamed" in residencies else residencies[0] if residencies else ""
        working = [n for n in group.nodes if not graph.node(n).options.passes
                   and graph.node(n).kind != "route"] or group.nodes[:1]
        alone = group.grid == (1, 1) and len(_pairs(graph, working)) == 1
        letter = residency[:1]
        if alone and single and letter in ("", single):
            continue
        word = f"{group.grid[0]}x{group.grid[1]}" + ("" if group.cache == "full" else group.cache[0])
        word += letter if letter in ("l", "s") else ""
        single = (letter or "p") if alone else ""
        parts.append((f"{group.nodes[0]}/" if parts else "") + (single or word))
    return "/".join(parts)


def _cut(text: str, word: str, graph: Graph) -> int:
    if not word.isascii() or not word.isdigit() or not 0 < int(word) < len(graph.nodes):
        raise PlanError(f"plan {text!r}: {word!r} is no layer to cut before; "
                        f"those are 1..{len(graph.nodes) - 1}")
    return int(word)


def _part(text: str, word: str) -> tuple[tuple[int, int] | None, str, str]:
    """(grid or None for single layers, cache, residency) of one part."""
    if word in _SINGLE:
        return None, "full", _SINGLE[word]
    match = _GRID.fullmatch(word)
    flags = match.group(3) if match else ""
    caches = [flag for flag in flags if flag in _CACHES]
    weights = [flag for flag in flags if flag in "ls"]
    if match is None or len(caches) > 1 or len(weights) > 1 or len(caches + weights) < len(flags):
        raise PlanError(f"plan {text!r}: {word!r} is neither a grid like 5x5, 38x1l, 10x1s or 5x5n nor s, "
                        f"l or p")
    cache = _CACHES[caches[0]] if caches else "full"
    return (int(match.group(1)), int(match.group(2))), cache, _SINGLE[weights[0]] if weights else "pinned"


def _pairs(graph: Graph, layers: Sequence[int]) -> list[list[int]]:
    """Cut layers into single ones, a convolution and the pooling in its store counting as one."""
    pairs: list[list[int]] = []
    for layer in layers:
        if pairs and poolable(graph, graph.node(pairs[-1][-1])) == layer:
            pairs[-1].append(layer)
        else:
            pairs.append([layer])
    return pairs


def _group(graph: Graph, layers: Sequence[int], grid: tuple[int, int], cache: str, residency: str,
           exact: bool) -> Group:
    return Group(tuple(plan_layer(graph, graph.node(i), residency, exact) for i in layers), grid, cache)
