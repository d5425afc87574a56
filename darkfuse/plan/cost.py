"""How long one operation takes on one device: amounts of work, each at its measured rate.

Nothing here knows about plans or budgets. Every function returns milliseconds. Times are linear in the
inverse rates (`streamed_ms` and `loaded_ms` apart): `darkfuse calibrate` solves for the rates by asking these
very functions for the amounts.
"""
from __future__ import annotations

from typing import List, Tuple

from darkfuse.graph import Node
from darkfuse.graph.layers.convolutional import ConvOptions
from darkfuse.plan.device import Device, Rates

Sizes = List[Tuple[int, int]]  # (size, how many)
PANEL = 32  # filters one thread computes with at a time
LOCKSTEP = 1.35  # a team that shares one streamed panel waits for its slowest thread, panel after panel
PIXELS = 14  # pixels of one row the direct kernels hold in registers, at most


def conv_ms(rates: Rates, node: Node, kernel: str, rows: Sizes, columns: Sizes, strip: int,
            device: Device) -> float:
    """A convolution over a grid of regions.

    Parameters
    ----------
    rows, columns : list of (size, how many)
        Heights and widths of the regions of the convolution's own output (before a fused pooling): the grid
        has every height with every width. The sizes of most grids take two or three values.
    strip : int
        Winograd tile rows worked on at a time, 0 for all.
    device : Device
        For the sizes of caches: what outgrows them is fetched anew for each region.
    """
    options = node.options
    assert isinstance(options, ConvOptions)
    # Kernels compute whole panels of 32 outputs (the first layer's of 16) from whole blocks of 16 inputs
    outputs, inputs = (node.out_shape.c + 31) // 32 * 32, node.in_shapes[0].c // options.groups
    if kernel in ("direct", "winograd"):
        inputs = (inputs + 15) // 16 * 16
    elif kernel == "first":
        outputs = (node.out_shape.c + 15) // 16 * 16
    weights = outputs * inputs * options.size**2
    tall = wide = 0
    for _, n in rows:
        tall += n
    for _, n in columns:
        wide += n
    ms = tall * wide * rates.op_us * 1e-3
    if kernel == "winograd":
        across = down = walks = tallest = widest = 0
        for size, n in columns:
            widest = max(widest, (size + 3) // 4)
            across += n * ((size + 3) // 4)
        for size, n in rows:
            tile_rows = (size + 3) // 4
            down += n * tile_rows
            walks += n * (-(-tile_rows // strip) if strip else 1)
            tallest = max(tallest, min(strip, tile_rows) if strip else tile_rows)
        walks *= wide
        tiles = across * down
        ms += 1e-6 * tiles * (inputs / rates.wino_in + outputs / rates.wino_out)
        ms += 72e-6 * tiles * inputs * outputs / rates.gemm
        ms += 1e-6 * walks * inputs * outputs / rates.wino_filter
        if 144 * tallest * widest * inputs > device.near_bytes:  # the transformed input of a strip
            ms += far_ms(rates, 144.0 * tiles * inputs * (1 + outputs // 32))
    else:
        height, width = 0, 0.0
        for size, n in rows:
            height += size * n
        # A row is cut into pieces of near-equal length; each pays two weight loads beside its pixels.
        for size, n in columns:
            width += n * (size + 2.0 * (-(-size // PIXELS)))
        width /= 1 + 2.0 / PIXELS
        if kernel == "direct":
            rate = rates.direct1 if options.size == 1 else rates.direct3
        else:
            rate = rates.first if kernel == "first" else rates.general
        ms += 2e-6 * height * width * weights / rate
        walks = tall * wide
    # The direct kernels fetch ahead: they wait for weights only where these come from memory.
    if (8 * weights > device.cache_bytes) if kernel == "winograd" else (weights > device.near_bytes):
        ms += 4e-6 * walks * weights / rates.weights
    return ms


def pack_ms(rates: Rates, node: Node) -> float:
    """Folding and packing the weights of one layer."""
    return node.weight_bytes / rates.pack * 1e-6


def read_ms(read_gb_s: float, node: Node) -> float:
    """Reading the weights of one layer from storage."""
    return node.weight_bytes / read_gb_s * 1e-6


def loaded_ms(pack: float, read: float) -> float:
    """Reading and packing a layer before its group starts: a thread reads ahead while the team packs."""
    return max(pack, read) + 0.1 * min(pack, read)


def streamed_ms(rates: Rates, read: float, node: Node, compute: float, kernel: str, strip: int, block: int,
                raw: int, slots: int, threads: int) -> float:
    """A layer whose weights pass through a block: computing and packing against reading.

    Parameters
    ----------
    read : float
        GB/s of the storage.
    compute : float
        Milliseconds of the layer with its weights in place.
    strip : int
        Winograd tile rows at a time, 0 where the region is one strip.
    block, raw, slots : int
        Filters of a block, of one read, and reads that can be ahead.
    """
    filters, reading = node.out_shape.c, read_ms(read, node)
    work = compute if kernel == "winograd" else compute + pack_ms(rates, node)
    if kernel == "winograd" and strip:  # strips transform the input anew for every block
        tiles = ((node.out_shape.w + 3) // 4) * ((node.out_shape.h + 3) // 4)
        work += 1e-6 * tiles * node.in_shapes[0].c / rates.wino_in * (-(-filters // block) - 1)
    # Slots smaller than a block make the reader and the team wait for each other; Winograd computes from those
    # that hold a block. What hides behind the other is not quite free: it takes the cores' cache and memory.
    ahead = slots * raw - (block if kernel == "winograd" else 0)
    overlap = min(1.0, ahead / block)
    total = max(work, reading) + (1.1 - overlap) * min(work, reading)
    # The first slots of a layer are read while nothing computes.
    total += 0.25 * reading * min(1.0, slots * raw / filters)
    return total * LOCKSTEP if block < PANEL * threads else total


def bytes_ms(rates: Rates, moved: float, tiles: int = 1) -> float:
    """An operation that only moves bytes (read and written together): pooling, upsampling, copies."""
    return moved / rates.memory * 1e-6 + tiles * rates.op_us * 1e-3


def far_ms(rates: Rates, moved: float) -> float:
    """What an operation takes longer for bytes of maps no cache holds (larger than `Device.near_bytes`)."""
    return moved / rates.far * 1e-6


def input_ms(rates: Rates, pixels: int, tiles: int = 1) -> float:
    """Scaling the photo to that many pixels of the network's input."""
    return pixels / rates.input * 1e-6 + tiles * rates.op_us * 1e-3
