"""What is known of a program while the passes of `lower` work it out, one field after another."""

from __future__ import annotations

from typing import NamedTuple

from darkfuse.graph import Graph
from darkfuse.host.record import dataclass, field
from darkfuse.model.weights import WeightsIndex
from darkfuse.plan.layout.weights import Held
from darkfuse.plan.layout.windows import Layout, Stored
from darkfuse.plan.layout.wiring import Leaf, Wiring
from darkfuse.plan.program import Buffer, Keep, Span, Stage, Tensor, Weights
from darkfuse.plan.types import Group, LayerPlan, Plan

# Passes, or parts of one, that only save memory or time: a program without them computes the same maps.
OPTIONAL = ("pooling", "concatenation", "in-place", "overlap", "packing", "reads-ahead")


class Scratch(NamedTuple):
    """Of a stage: see `Stage`."""

    buffer: int = -1
    shared_bytes: int = 0
    thread_bytes: int = 0


@dataclass
class Common:
    """What plans of one graph have in common, worked out for the first that asks: a search lays out one plan
    after another, and most of each is in the one before.

    Attributes
    ----------
    wirings : dict
        Wirings, by all that they depend on.
    checked : dict
        Groups that make sense, by identity and what else that depends on.
    poolings : list of (int, int), optional
        Convolutions and the poolings that could be done in their store.
    """

    wirings: dict[tuple[object, ...], Wiring] = field(default_factory=dict)
    checked: dict[tuple[object, ...], Group] = field(default_factory=dict)
    poolings: list[tuple[int, int]] | None = None


@dataclass
class Draft:
    """One plan on its way to a `Program`. Each pass reads what those before it found, and adds its own.

    Attributes
    ----------
    wanted : tuple of int
        Layers whose maps leave the arena: the graph's outputs, then those asked for besides.
    without : frozenset of str
        Of `OPTIONAL`, what is switched off.
    common : Common
        Of this plan and others of the graph.
    """

    graph: Graph
    plan: Plan
    wanted: tuple[int, ...]
    weights_index: WeightsIndex | None = None
    without: frozenset[str] = frozenset()
    common: Common = field(default_factory=Common)

    # validate
    layer_plan: dict[int, LayerPlan] = field(default_factory=dict)  # layer -> how it runs
    position: dict[int, tuple[int, int]] = field(default_factory=dict)  # layer -> (group, number within it)
    image: bool = False  # the network input stays interleaved pixels

    # wire
    wiring: Wiring = None  # type: ignore[assignment]  # set by the pass
    members: list[list[int]] = field(default_factory=list)  # leaves of each stage, in execution order
    steps: list[Span] = field(default_factory=list)  # first and last step of each stage

    # regions
    layout: Layout = None  # type: ignore[assignment]

    # reserve
    buffers: list[Buffer] = field(default_factory=list)  # offsets are 0 until `place`
    map_buffer: dict[int, int] = field(default_factory=dict)  # root storage -> its buffer
    keeps: dict[int, Keep] = field(default_factory=dict)  # leaf -> what its window carries from tile to tile
    readers: dict[int, int] = field(default_factory=dict)  # stage -> buffer of its reader's slots
    held: dict[int, Held] = field(default_factory=dict)  # layer -> buffers of its weights
    scratch: list[Scratch] = field(default_factory=list)  # by stage

    # place
    packed_bytes: int = 0  # of all buffers, where they lie
    rough: bool = False  # they may lie in fewer

    # emit
    tensors: list[Tensor] = field(default_factory=list)
    weights: list[Weights] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    leaf_tensor: dict[int, int] = field(default_factory=dict)  # leaf -> the tensor it writes

    def add_buffer(self, name: str, size: int, first: int, last: int) -> int:
        """Note a buffer of `size` bytes, alive from step `first` to step `last`; returns its number."""
        self.buffers.append(Buffer(name, size, 0, first, last))
        return len(self.buffers) - 1

    def alive(self, root: int) -> Span:
        """First and last step of a root storage's map, both included; a still plan keeps all: (-1, last)."""
        stored = self.layout.stored[root]
        if self.plan.still:
            return -1, self.steps[-1][1]
        (first, first_end), (last, last_end) = self.steps[stored.first], self.steps[stored.last]
        if first < first_end:  # the stage's only operation writes the map after it has read everything
            first = first_end
        if last < last_end and all(self.wiring.written[n] != root for n in self.members[stored.last]):
            last_end = last  # the stage of two steps reads the map in its first step only, and writes others
        if stored.pictures > 1 and stored.first < self.plan.alone:
            first = 0  # it waits there while other pictures come
        return first, self.steps[-1][1] if stored.layout == "chw" else last_end


def map_name(leaf: Leaf, stored: Stored) -> str:
    """What the buffer of a leaf's map is called in pictures and messages."""
    if leaf.kind == "input":
        return "network input"
    return f"layer {leaf.node} {'output' if stored.layout == 'chw' else 'map'}"
