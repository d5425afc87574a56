"""Frozen pieces of the graph: `Shape`, `Window`, `WeightLayout`, `Options`, `Node`, `Graph`."""

from __future__ import annotations

from dataclasses import fields
from typing import ClassVar

from darkfuse.host.record import dataclass, field
from darkfuse.model.cfg import Cfg, Section
from darkfuse.model.dialect import DARKNET, Dialect
from darkfuse.model.weights import FLOAT_BYTES

# A map may not hold more values than a C int counts: Darknet's own limit, and 8 GB of float32.
MAX_VALUES = 2**31 - 1


@dataclass(frozen=True)
class Shape:
    """Size of one map: channels, rows, columns."""

    c: int
    h: int
    w: int

    @property
    def values(self) -> int:
        """Number of float32 values in the map."""
        return self.c * self.h * self.w

    @property
    def bytes(self) -> int:
        """Bytes of the map as plain float32, without padding."""
        return self.values * FLOAT_BYTES

    def __str__(self) -> str:
        return f"{self.w}x{self.h}x{self.c}"  # Darknet's order, as its layer table prints it


@dataclass(frozen=True)
class Window:
    """Sliding-window geometry, the same along rows and columns.

    Output row y reads input rows `y*stride - pad_before + t*dilation` for t in 0..kernel-1; rows outside the
    map are padding (zeros for a convolution, skipped by a max pooling).
    """

    kernel: int
    stride: int
    pad_before: int
    dilation: int = 1

    @property
    def extent(self) -> int:
        """Input rows from the first tap to the last, both included."""
        return (self.kernel - 1) * self.dilation + 1

    def start(self, y: int) -> int:
        """First input row (may be negative: padding) that output row `y` reads."""
        return y * self.stride - self.pad_before


@dataclass(frozen=True)
class WeightLayout:
    """Floats one layer owns in a `.weights` file; `order` is the order they are stored in.

    Kernels of a convolution are stored `[filters][channels/groups][size][size]`, those of a connected layer
    `[outputs][inputs]` (the other way round in files whose header says transposed).
    """

    biases: int
    scales: int
    means: int
    variances: int
    kernels: int
    order: tuple[str, ...] = ("biases", "scales", "means", "variances", "kernels")

    @property
    def total(self) -> int:
        """All floats of the layer."""
        return self.biases + self.scales + self.means + self.variances + self.kernels

    def offset(self, part: str) -> int:
        """Floats stored before `part` ('biases', 'scales', ...) within this layer."""
        before = self.order[: self.order.index(part)]
        return sum(int(getattr(self, name)) for name in before)


# Metadata of options' fields that no plan depends on
UNPLANNED = {"planned": False}


@dataclass(frozen=True)
class Options:
    """What a section says, checked and typed. One subclass per layer type; this base keeps its
    input's shape and has neither weights nor a window.

    `kind` is the canonical section name, `short` the word Darknet's layer table uses.
    """

    kind: ClassVar[str] = ""
    short: ClassVar[str] = ""

    @classmethod
    def parse(cls, section: Section, index: int) -> Options:
        """Read the options of layer `index` from its section; raises `CfgError`."""
        return cls()

    @property
    def passes(self) -> bool:
        """Whether nothing is computed while a picture runs: the layer's map is its input's."""
        return False

    def fitted(self, inputs: tuple[Shape, ...], dialect: Dialect) -> Options:
        """These options with what follows from the shapes of the inputs and from the dialect filled in."""
        return self

    def producers(self, index: int) -> tuple[int, ...]:
        """Indices of the layers this one reads; -1 is the network input."""
        return (index - 1,)

    def output(self, inputs: tuple[Shape, ...], section: Section) -> Shape:
        """Shape of the output; raises `CfgError` through `section` when the inputs cannot be used."""
        return inputs[0]

    def weights(self, inputs: tuple[Shape, ...]) -> WeightLayout | None:
        """Floats in the weights file, or None for a layer without any."""
        return None

    def macs(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        """Multiply-adds of one pass (convolutional and connected layers only, as Darknet counts)."""
        return 0

    def window(self) -> Window | None:
        """Window geometry; None when a row of the output needs all of the input, so that the layer runs
        untiled (or, for the few that `plan.layout.wiring` lists, other rows than a window's)."""
        return None

    def columns_window(self) -> Window | None:
        """Window geometry along columns, where it is another one than along rows."""
        return self.window()

    def unusual(self) -> list[tuple[str, object]]:
        """Options most networks leave alone (fields left out of `repr`) that this layer has set; without
        those that no plan depends on (`metadata=UNPLANNED`)."""
        return [(item.name, getattr(self, item.name)) for item in fields(self)
                if not item.repr and item.metadata.get("planned", True)
                and getattr(self, item.name) != item.default]


@dataclass(frozen=True)
class Node:
    """One layer in its place.

    Attributes
    ----------
    index : int
        Darknet's layer index.
    kind : str
        Canonical section name: 'convolutional', 'maxpool', ...
    options : Options
        The typed options of this layer type (`graph/layers/<kind>.py`).
    inputs : tuple of int
        Indices of the layers it reads, in order; -1 is the network input.
    in_shapes : tuple of Shape
        Shapes of those, same order.
    out_shape : Shape
    line : int
        Line of the section header in the cfg.
    weights : WeightLayout or None
        Floats in the weights file.
    """

    index: int
    kind: str
    options: Options
    inputs: tuple[int, ...]
    in_shapes: tuple[Shape, ...]
    out_shape: Shape
    line: int
    weights: WeightLayout | None

    @property
    def macs(self) -> int:
        """Multiply-adds of one pass; Darknet's BFLOPs are `2 * macs / 1e9`."""
        return self.options.macs(self.in_shapes, self.out_shape)

    @property
    def weight_bytes(self) -> int:
        """Bytes of this layer in the weights file."""
        return self.weights.total * FLOAT_BYTES if self.weights else 0

    @property
    def window(self) -> Window | None:
        """Window geometry of the layer along rows, None where it has none."""
        return self.options.window()

    @property
    def columns_window(self) -> Window | None:
        """The same along columns."""
        return self.options.columns_window()

    @property
    def filters(self) -> int:
        """Rows of the layer's weights: output channels, or for [local] output values; 0 without weights."""
        return max(self.weights.biases, self.weights.scales) if self.weights else 0

    @property
    def has_kernels(self) -> bool:
        """Whether the layer has weights that are read filter by filter, and not a few parameters only."""
        return self.weights is not None and self.weights.kernels > 0


@dataclass(frozen=True)
class Graph:
    """A whole network with all shapes known.

    Attributes
    ----------
    name : str
        File name of the cfg without its ending.
    path : str
        The cfg as the caller named it.
    input : Shape
        What the network takes: planar RGB, 0..1.
    nodes : tuple of Node
        `nodes[i].index == i`.
    cfg : Cfg
        The parsed file; `cfg.layers[i]` is the section of node i.
    outputs : tuple of int
        Region and yolo layers, or without any the last layer that is not a cost.
    dialect : Dialect
        Whose answers the network is to give.
    """

    name: str
    path: str
    input: Shape
    nodes: tuple[Node, ...]
    cfg: Cfg
    outputs: tuple[int, ...]
    dialect: Dialect = DARKNET
    _consumers: dict[int, tuple[int, ...]] = field(init=False, repr=False, compare=False)
    _known: dict[str, str] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        readers: dict[int, list[int]] = {}
        for node in self.nodes:
            for producer in dict.fromkeys(node.inputs):
                readers.setdefault(producer, []).append(node.index)
        object.__setattr__(self, "_consumers", {i: tuple(r) for i, r in readers.items()})

    def node(self, index: int) -> Node:
        """Node of Darknet layer `index`."""
        if not 0 <= index < len(self.nodes):
            raise IndexError(f"{self.name} has layers 0..{len(self.nodes) - 1}, not {index}")
        return self.nodes[index]

    def consumers(self, index: int) -> tuple[int, ...]:
        """Indices of the layers that read layer `index` (-1: the network input), ascending."""
        return self._consumers.get(index, ())

    def shape(self, index: int) -> Shape:
        """Output shape of layer `index`; -1 is the network input."""
        return self.input if index == -1 else self.node(index).out_shape

    def fingerprint(self) -> str:
        """64-bit FNV-1a, in hex, of everything that decides what a plan for this graph looks like.

        Shapes, options and wiring count; names, comments, line numbers, keys no layer reads and the dialect
        do not.
        (Not from hashlib: importing it costs megabytes for OpenSSL.)
        """
        known = self._known.get("fingerprint")
        if known is not None:
            return known
        facts = repr((self.input, [(n.kind, n.options, n.inputs, n.out_shape) for n in self.nodes]))
        # Apart, so that plans written before there were such options still belong to their networks
        facts += "".join(f" {n.index} {found!r}" for n in self.nodes for found in n.options.unusual())
        value = 0xCBF29CE484222325
        for byte in facts.encode():
            value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
        self._known["fingerprint"] = f"{value:016x}"
        return self._known["fingerprint"]

    @property
    def macs(self) -> int:
        """Multiply-adds of one pass through the network."""
        return sum(node.macs for node in self.nodes)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights, without the file's header."""
        return sum(node.weight_bytes for node in self.nodes)
