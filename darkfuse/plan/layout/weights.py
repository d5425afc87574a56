"""Where the weights of each layer lie in the file and in the arena."""

from __future__ import annotations

from typing import NamedTuple

from darkfuse.errors import PlanError
from darkfuse.graph import Graph, Node
from darkfuse.graph.layers.connected import ConnectedOptions
from darkfuse.graph.layers.convolutional import ConvOptions
from darkfuse.model.weights import WeightsIndex
from darkfuse.plan.program import (
    Weights,
    panels_at_once,
    pictures_at_once,
    reader_bytes,
    reads_of,
    winograd_slots,
)
from darkfuse.plan.types import LayerPlan

FLOAT = 4
PANEL = 32  # output channels in one packed panel: what one thread computes with at a time
WINO_IC = 64  # input channels of one transformed filter panel
MAX_SLOTS = 64
HEADER = 20  # bytes of a .weights header when there is no file to ask


class Held(NamedTuple):
    """Buffers that hold one layer's weights, -1 where there is none: see `Weights`."""

    scale: int
    bias: int
    resident: int
    packed: int


def up(count: int, to: int) -> int:
    """Round `count` up to a multiple of `to`."""
    return -(-count // to) * to


def packed_floats(node: Node, kernel: str, filters: int) -> int:
    """Floats of `filters` packed output channels; the formulas of `df_packed_floats` in the kernels."""
    options = node.options
    if not isinstance(options, ConvOptions):  # connected, local: rows as they lie in the file
        assert node.weights is not None
        return up(filters, PANEL) * (node.weights.kernels // node.weights.biases)
    channels = node.in_shapes[0].c // options.groups
    if kernel in ("direct", "winograd"):
        channels = up(channels, 16)
    return up(filters, PANEL) * channels * options.size**2


def wino_u_floats(node: Node, tiles: int) -> int:
    """Floats of the transformed input of `tiles` 4x4 tiles."""
    channels = up(node.in_shapes[0].c, 16)
    return 36 * (tiles * channels + 16 * up(channels, WINO_IC) // WINO_IC)


def wino_scratch_floats(node: Node, tiles: int) -> int:
    """Floats one thread needs for one panel over `tiles` tiles."""
    return 36 * PANEL * (tiles + min(WINO_IC, up(node.in_shapes[0].c, 16)) + 3)


def wino_pictures_floats(node: Node, tiles: int, panels: int, pictures: int) -> int:
    """Floats one thread needs for some panels over `tiles` tiles of each of some pictures."""
    channels = min(WINO_IC, up(node.in_shapes[0].c, 16))
    return 36 * (pictures * (tiles * channels + 16) + PANEL * channels + 16
                 + panels * pictures * (PANEL * tiles + 16))


def wino_batch_bytes(node: Node, tiles: int, batch: int, threads: int, block: int) -> int:
    """Bytes one thread needs for a layer that is streamed, `block` filters at a time, for a batch."""
    panels = panels_at_once(batch, threads, min(block, up(node.filters, PANEL)))
    pictures = pictures_at_once(batch, threads, tiles, panels)
    return FLOAT * wino_pictures_floats(node, tiles, panels, pictures)


def check_kernel(graph: Graph, node: Node, layer: LayerPlan, image: bool) -> None:
    """Raise PlanError when the plan's kernel or residency cannot run this layer."""
    where = f"{graph.name}: layer {node.index}"
    if not node.has_kernels:
        if layer.kernel != "none" or layer.residency != "none":
            raise PlanError(f"{where} ({node.kind}) has no filters; kernel and residency must be 'none'")
        return
    assert node.weights is not None
    if layer.residency not in ("pinned", "loaded", "streamed"):
        raise PlanError(f"{where}: residency {layer.residency!r} is not pinned, loaded or streamed")
    if layer.block < PANEL or layer.block % PANEL or layer.raw < 1 or layer.strip < 0 \
            or not 1 <= layer.slots <= MAX_SLOTS:
        raise PlanError(f"{where}: block must be a multiple of {PANEL}, raw at least 1, slots 1 to "
                        f"{MAX_SLOTS}, strip not negative")
    if layer.residency == "streamed" and layer.block % min(layer.raw, node.weights.biases) \
            and node.weights.biases > layer.block:
        raise PlanError(f"{where}: a block of {layer.block} filters is not made of reads of {layer.raw}")
    if layer.residency == "streamed" and layer.kernel == "winograd" \
            and not winograd_slots(layer.slots, layer.raw, layer.block, node.weights.biases):
        raise PlanError(f"{where}: {layer.slots} slots of {layer.raw} filters do not hold a block of "
                        f"{layer.block} in parts of {PANEL}")
    reads = reads_of(node.weights.biases, layer.block, layer.raw)
    if layer.resident < 0 or layer.resident and (layer.residency != "streamed" or layer.resident > reads):
        raise PlanError(f"{where}: {layer.resident} reads to keep, of {reads} when streamed")
    options = node.options
    if not isinstance(options, ConvOptions):
        if layer.kernel != "none":
            raise PlanError(f"{where} ({node.kind}) is run by no kernel of a convolution")
        return
    able = able_kernels(options, image and node.inputs[0] == -1)
    if layer.kernel not in able:
        raise PlanError(f"{where}: kernel {layer.kernel!r} cannot run it; {', '.join(able) or 'none'} can")


def able_kernels(options: ConvOptions, from_image: bool) -> tuple[str, ...]:
    """Kernels that can run a convolution.

    Parameters
    ----------
    options : ConvOptions
    from_image : bool
        Whether its input is the network's, kept as interleaved pixels: then only 'first' reads it.
    """
    plain = options.groups == 1 and not options.stride_x
    if from_image:
        return ("first",) if plain and options.dilation == 1 else ()
    winograd = plain and (options.size, options.stride, options.dilation, options.pad) == (3, 1, 1, 1)
    return (*(("direct",) if plain else ()), "general", *(("winograd",) if winograd else ()))


def file_offsets(graph: Graph, index: WeightsIndex | None) -> list[int | None]:
    """Byte offset of each layer's first float; without a file, as one with the usual header has them."""
    if index is not None:
        return list(index.offsets)
    offsets: list[int | None] = []
    at = HEADER
    for node in graph.nodes:
        offsets.append(at if node.weights else None)
        at += node.weight_bytes
    return offsets


def raw_bytes(node: Node, layer: LayerPlan) -> int:
    """Bytes of the reader's slots for one layer; 0 for one that is pinned or has no weights."""
    if node.weights is None or layer.residency in ("pinned", "none"):
        return 0
    per_filter = node.weights.kernels // node.weights.biases
    return reader_bytes(layer.slots, min(layer.raw, node.weights.biases), per_filter)


def params_bytes(node: Node) -> int:
    """Bytes of one layer's scale, or of its bias."""
    return up(node.filters, PANEL) * FLOAT


def resident_bytes(node: Node, layer: LayerPlan) -> int:
    """Bytes of reads that stay over frames."""
    assert node.weights is not None
    filters = node.filters
    return reader_bytes(layer.resident, min(layer.raw, filters), node.weights.kernels // filters)


def packed_bytes(node: Node, layer: LayerPlan) -> int:
    """Bytes of a layer's filters as they are packed, all of them or a block; 0 where none are."""
    assert node.weights is not None
    streamed = layer.residency == "streamed"
    if not node.weights.kernels or streamed and layer.kernel == "winograd":
        return 0
    filters = up(node.filters, PANEL)
    return packed_floats(node, layer.kernel, min(layer.block, filters) if streamed else filters) * FLOAT


def layer_weights(node: Node, layer: LayerPlan, offset: int | None, transposed: bool, raw: int, held: Held,
                  epsilons: tuple[float, float]) -> Weights:
    """Where one layer's weights lie in the file, and the buffers they go to.

    Parameters
    ----------
    offset : int or None
        Bytes from the file's start to the layer's first float; None when the file has none (zeros).
    raw : int
        Buffer of the reader's slots, -1 for a pinned layer.
    held : Held
        Buffers of its own.
    epsilons : (float, float)
        `Dialect.epsilons` of the graph.
    """
    record = node.weights
    assert record is not None
    transposed = transposed and isinstance(node.options, ConnectedOptions)
    if transposed and layer.residency != "pinned":
        raise PlanError(f"layer {node.index} (connected) is stored transposed in this file: its weights "
                        f"must be pinned")
    if not record.kernels:  # biases, or batch normalisation, and no filters: there from the first frame on
        layer = LayerPlan(node.index, residency="pinned", raw=1, slots=1)
    filters = node.filters

    def place_of(part: str, count: int) -> int:
        return -1 if offset is None or not count else offset + record.offset(part) * FLOAT

    return Weights(
        node=node.index,
        residency=layer.residency,
        filters=filters,
        per_filter=record.kernels // filters,
        file_offset=-1 if offset is None else offset + record.offset("kernels") * FLOAT,
        params_offset=place_of("biases", record.biases),
        batch_normalize=record.scales > 0,
        scale=held.scale,
        bias=held.bias,
        packed=held.packed,
        raw=raw,
        block=min(layer.block, up(filters, PANEL)) if layer.residency == "streamed" else up(filters, PANEL),
        raw_filters=min(layer.raw, filters),
        slots=layer.slots,
        norm_offset=place_of("scales", record.scales),
        resident=0 if offset is None else layer.resident,
        resident_raw=held.resident,
        epsilons=epsilons,
        transposed=transposed,
    )
