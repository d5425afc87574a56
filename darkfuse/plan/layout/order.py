"""In which order to run the layers, for the sake of what must stay in memory meanwhile.

The cfg's order is always valid. Another may hold less: YOLOv2's layer 26, a 1x1 on layer 16's map, turns
2.8 MiB that would wait ten layers for it into 0.35 MiB when it runs right after layer 16.
"""

from __future__ import annotations

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


def memory_order(graph: Graph) -> list[int]:
    """The cfg's order with single layers moved wherever that lowers the memory held.

    What counts is the sum over all layers of (KiB alive while it runs) to the fourth power: near enough to
    the peak, without looking at the one highest layer only, which may well be tiled away. Maps count whole,
    weights as one block of filters read and packed.
    """
    problem = _Problem(graph)
    order = [node.index for node in graph.nodes]
    cost = problem.cost(order)
    left = EFFORT // max(1, sum(len(node.inputs) for node in graph.nodes))
    improved, at = True, {layer: position for position, layer in enumerate(order)}
    while improved:  # two rounds in practice
        improved = False
        for layer in list(order):
            if not problem.moves(layer):
                continue
            places = problem.places(order, at, layer)
            for position in places if len(places) > 1 else ():
                changed = problem.moved(order, layer, position)
                if changed == order:  # most layers of most networks can be nowhere else
                    continue
                if not left:
                    return order
                left -= 1
                price = problem.cost(changed)
                if price < cost:
                    order, cost, improved = changed, price, True
                    at = {layer: position for position, layer in enumerate(order)}
    return order


class _Problem:
    """Live bytes of any order of one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        wiring = Wiring(graph, {}, image=True)
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

    def places(self, order: list[int], at: dict[int, int], layer: int) -> range:
        """Positions, in the order without it and its aliases, after its inputs and before its readers; `at`
        is where each layer of the order stands."""
        chain = self._with_aliases(layer)
        after = max([at[n] for n in self.graph.node(chain[0]).inputs if n >= 0], default=-1) + 1
        before = min([at[n] for n in self.graph.consumers(layer)], default=len(order))
        return range(after, before - len(chain) + 1)

    def moved(self, order: list[int], layer: int, position: int) -> list[int]:
        """The order with a layer, and the aliases only it reads, moved to `position`."""
        chain = self._with_aliases(layer)
        rest = [n for n in order if n not in chain]
        return rest[:position] + chain + rest[position:]

    def cost(self, order: list[int]) -> int:
        """See `memory_order`."""
        last: dict[int, int] = {}
        change = [0] * (len(order) + 1)
        for step, layer in enumerate(order):
            for root in self.touched[layer]:
                if root not in last:
                    change[step] += self.size[root]
                last[root] = step
        for root, step in last.items():
            change[step + 1] -= self.size[root]
        live = total = 0
        for step, layer in enumerate(order):
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
