"""In which order to run the layers, for the sake of what must stay in memory meanwhile.

The cfg's order is always valid. Another may hold less: YOLOv2's layer 26, a 1x1 on layer 16's map, turns
2.8 MiB that would wait ten layers for it into 0.35 MiB when it runs right after layer 16.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from darkfuse.graph import Graph
from darkfuse.plan.layout.weights import FLOAT
from darkfuse.plan.layout.wiring import Wiring

EFFORT = 400_000  # inputs of layers looked at in all orders tried: graphs may be made to annoy
FILTER_BLOCK = 32  # filters read and packed at a time where weights are streamed


def execution_orders(graph: Graph) -> list[list[int]]:
    """Orders worth planning for: the cfg's, and one that holds less where there is such a one.

    Returns
    -------
    list of list of int
        Every layer index once in each.
    """
    natural = [node.index for node in graph.nodes]
    lean = memory_order(graph)
    return [natural] if lean == natural else [natural, lean]


def stripe_order(graph: Graph, lean: Sequence[int]) -> list[int]:
    """The order that holds least, for maps that are written over their inputs: `lean`, but for what needs its
    whole input, and opens a concatenation for others that are still to come, which runs as late as can be.
    YOLOv2's layer 27 gives a fifth of the map that layer 24 gives the rest of; where that map was begun
    before, it cannot lie over layer 24's input."""
    problem, order = _Problem(graph), list(lean)
    for layer in lean:
        if problem.moves(layer) and problem.opens(order, layer):
            order = problem.latest(order, layer)
    return order


def memory_order(graph: Graph) -> list[int]:
    """The cfg's order with single layers moved wherever that lowers the memory held.

    What counts is the sum over all layers of (KiB alive while it runs) to the fourth power: near enough to
    the peak, without looking at the one highest layer only, which may well be tiled away. Maps count whole,
    weights as one block of filters read and packed.
    """
    problem = _Problem(graph)
    order = [node.index for node in graph.nodes]
    left = EFFORT // max(1, sum(len(node.inputs) for node in graph.nodes))
    improved = True
    problem.start(order)
    while improved:  # two rounds in practice
        improved = False
        for layer in list(order):
            if not problem.moves(layer):
                continue
            places = problem.places(order, layer)
            for position in places if len(places) > 1 else ():
                begin, now, moved = problem.moved(order, layer, position)
                if moved == now:  # most layers of most networks can be nowhere else
                    continue
                if not left:
                    return order
                left -= 1
                if problem.cost(begin, moved) < problem.cost(begin, now):
                    order[begin : begin + len(moved)], improved = moved, True
                    problem.start(order)
    return order


class _Problem:
    """Live bytes of any order of one graph, reckoned where it differs from the one it starts with."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        wiring = Wiring(graph, {}, image=True)
        self.leaves = wiring.leaves
        size: dict[int, int] = {}
        self.writes: dict[int, list[int]] = {node.index: [] for node in graph.nodes}  # layer -> storages
        self.reads: dict[int, list[int]] = {node.index: [] for node in graph.nodes}
        for leaf in wiring.leaves:
            root = wiring.root(leaf.view).storage
            stored = wiring.storages[root]
            size[root] = -(-stored.channels * stored.height * stored.width * FLOAT // 1024)
            if leaf.layer >= 0:
                self.writes[leaf.layer].append(root)
                self.reads[leaf.layer] += [wiring.root(source).storage for source in leaf.sources]
        self.size = size
        self.touched = {layer: tuple({*self.writes[layer], *self.reads[layer]}) for layer in self.writes}
        self.weights = {}
        for node in graph.nodes:
            filters = node.filters or 1
            kernels = node.weights.kernels if node.weights else 0
            self.weights[node.index] = 2 * min(FILTER_BLOCK, filters) * (kernels // filters) * FLOAT // 1024

    def moves(self, layer: int) -> bool:
        """Whether a layer computes anything; an alias goes where its readers are."""
        return bool(self.writes[layer])

    def opens(self, order: list[int], layer: int) -> bool:
        """Whether a layer reads all of its input at once and writes first into a map that others write into,
        too."""
        whole = any(leaf.layer == layer and not leaf.tiles for leaf in self.leaves)
        later = order[order.index(layer) + 1:]
        return whole and any(root in self.writes[n] for root in self.writes[layer] for n in later)

    def latest(self, order: list[int], layer: int) -> list[int]:
        """The order with a layer right before its first reader."""
        rest = [n for n in order if n != layer]
        at = min([rest.index(n) for n in self.graph.consumers(layer)], default=len(rest))
        return [*rest[:at], layer, *rest[at:]]

    def start(self, order: list[int]) -> None:
        """Note when each storage is first and last touched, and what is alive before each step."""
        self.at = {layer: step for step, layer in enumerate(order)}
        self.first, self.last = dict[int, int](), dict[int, int]()
        for step, layer in enumerate(order):
            for root in self.touched[layer]:
                self.first.setdefault(root, step)
                self.last[root] = step
        change = [0] * (len(order) + 1)
        for root, step in self.first.items():
            change[step] += self.size[root]
            change[self.last[root] + 1] -= self.size[root]
        self.alive = [0, *itertools.accumulate(change)]

    def places(self, order: list[int], layer: int) -> range:
        """Positions, in the order without it and its aliases, after its inputs and before its readers."""
        chain = self._with_aliases(layer)
        after = max([self.at[n] for n in self.graph.node(chain[0]).inputs if n >= 0], default=-1) + 1
        before = min([self.at[n] for n in self.graph.consumers(layer)], default=len(order))
        return range(after, before - len(chain) + 1)

    def moved(self, order: list[int], layer: int, position: int) -> tuple[int, list[int], list[int]]:
        """The steps that differ once a layer, and the aliases only it reads, are moved to `position`: the
        first of them, and which layers run in them now and then."""
        chain = self._with_aliases(layer)
        begin = min(self.at[chain[0]], position)
        now = order[begin : max(self.at[layer] + 1, position + len(chain))]
        rest = [n for n in now if n not in chain]
        return begin, now, rest[: position - begin] + chain + rest[position - begin :]

    def cost(self, begin: int, layers: list[int]) -> int:
        """See `memory_order`; of the steps from `begin` on, in which these layers run."""
        end, last = begin + len(layers), dict[int, int]()
        change = [0] * (len(layers) + 1)
        for step, layer in enumerate(layers):
            for root in self.touched[layer]:
                if root not in last and self.first[root] >= begin:
                    change[step] += self.size[root]
                last[root] = step
        for root, step in last.items():
            if self.last[root] < end:
                change[step + 1] -= self.size[root]
        live, total = self.alive[begin], 0
        for step, layer in enumerate(layers):
            live += change[step]
            if self.writes[layer]:  # an alias runs nothing
                total += (live + self.weights[layer]) ** 4
        return total

    def _with_aliases(self, layer: int) -> list[int]:
        """The layer, after the aliases in front of it that nothing else reads."""
        chain = [layer]
        while True:
            above = self.graph.node(chain[0]).inputs
            if len(above) != 1 or above[0] < 0 or self.moves(above[0]):
                return chain
            if self.graph.consumers(above[0]) != (chain[0],) or above[0] in self.graph.outputs:
                return chain
            chain.insert(0, above[0])
