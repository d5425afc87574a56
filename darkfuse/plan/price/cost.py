"""How long one operation takes on one device: amounts of work, each at its measured rate.

Nothing here knows about plans or budgets. Every function returns milliseconds. Times are linear in the
inverse rates (`streamed_ms` and `loaded_ms` apart): `darkfuse calibrate` solves for the rates by asking these
very functions for the amounts.
"""
from __future__ import annotations

from darkfuse.graph import Node
from darkfuse.graph.layers.convolutional import ConvOptions
from darkfuse.plan.layout.weights import PANEL, up
from darkfuse.plan.price._grid import ConvCost
from darkfuse.plan.price.device import Device, Rates
from darkfuse.plan.program import panels_at_once, pictures_at_once

Sizes = list[tuple[int, int]]  # (size, how many)
LOCKSTEP = 0.35  # a team that meets after a panel each waits so long for the slowest; after two each, half
TURN = 0.3  # part of packing that turning filters into panels takes, which never go to memory and back
SLOTS = {1: 1.7, 2: 1.3}  # how much longer reading takes into so few slots
BESIDE = 0.05  # part of a read's time that the team takes longer meanwhile: both want cache and memory
NARROW = 8  # pixels in the registers of cores with vectors of four, whose kernels know of a small cache
SMALL = 512 << 10  # bytes of the second-level cache that all of these have
WINO_STEP = 64  # channels whose filters these transform at a time: WINO_STEP of kernels/wino.h
STRIDED = 1.25  # how much longer direct kernels take for a pixel whose neighbours read other inputs


def conv_cost(rates: Rates, node: Node, kernel: str, device: Device, threads: int) -> ConvCost:
    """What a convolution costs by one kernel, for grids of any regions.

    Parameters
    ----------
    device : Device
        For the sizes of caches: what outgrows them is fetched anew for each region.
    threads : int
        Of the team: Winograd shares out whole panels.
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
    # Weights that come from memory are fetched ahead: the more tiles, the more hides behind the products.
    wait = 4e-6 * weights / rates.weights if 4 * weights > device.near_bytes else 0.0
    meeting = 1e-3 * rates.op_us
    if kernel == "winograd":
        panels, narrow = outputs // PANEL, device.pixels <= NARROW
        passes = -(-inputs // WINO_STEP)
        return ConvCost(
            True, tile=1e-6 * (inputs / rates.wino_in + outputs / rates.wino_out),
            step=72e-6 * inputs * outputs / rates.gemm, walk=1e-6 * inputs * outputs / rates.wino_filter,
            far=far_ms(rates, 144.0 * inputs), again=far_ms(rates, 144.0 * inputs * panels),
            sums=far_ms(rates, 144.0 * PANEL * panels * (1 + passes)), wait=wait, meeting=meeting,
            held=144 * inputs, near=max(device.near_bytes, SMALL) if narrow else device.near_bytes,
            filters=36.0 * PANEL * min(WINO_STEP, inputs) * threads if narrow else 0.0,
            one_pass=passes == 1, parts=max(1, -(-threads // panels)), pixels=device.pixels)
    if kernel == "direct":
        rate = rates.direct1 if options.size == 1 else rates.direct3
    else:
        rate = rates.first if kernel == "first" else rates.general
    pixel = 2e-6 * weights / rate * (STRIDED if options.stride > 1 else 1.0)
    return ConvCost(False, pixel=pixel, wait=wait, meeting=meeting, pixels=device.pixels)


def conv_ms(rates: Rates, node: Node, kernel: str, rows: Sizes, columns: Sizes, strip: int, device: Device,
            threads: int) -> float:
    """A convolution over a grid of regions; `conv_cost` has the other parameters.

    Parameters
    ----------
    rows, columns : list of (size, how many)
        Heights and widths of the regions of the convolution's own output (before a fused pooling): the grid
        has every height with every width. The sizes of most grids take two or three values.
    strip : int
        Winograd tile rows worked on at a time, 0 for all.
    """
    return conv_cost(rates, node, kernel, device, threads).ms(rows, columns, strip)


def pack_ms(rates: Rates, node: Node) -> float:
    """Folding and packing the weights of one layer."""
    return node.weight_bytes / rates.pack * 1e-6


def read_ms(rates: Rates, read: float, node: Node, raw: int) -> float:
    """Reading the weights of one layer from storage of so many GB/s, `raw` filters at a time."""
    return node.weight_bytes / read * 1e-6 + -(-node.filters // raw) * rates.read_us * 1e-3


def loaded_ms(pack: float, read: float) -> float:
    """Reading and packing a layer before its group starts: a thread reads ahead while the team packs."""
    return max(pack, read) + 0.1 * min(pack, read)


def streamed_work_ms(rates: Rates, node: Node, compute: float, kernel: str, strip: int, block: int,
                     threads: int, batch: int = 1, passes: int = 1) -> float:
    """What the team does in a layer whose weights pass through a block, when it never waits for them.

    Parameters
    ----------
    compute : float
        Milliseconds of the layer for one picture, with its weights in place.
    strip : int
        Winograd tile rows at a time, 0 where the region is one strip.
    block : int
        Filters of a block.
    batch : int
        Pictures that each block is computed with.
    passes : int
        Tiles that the layer is computed in: the weights come for each.
    """
    down, across = (node.out_shape.h + 3) // 4, (node.out_shape.w + 3) // 4
    work, again = batch * compute, max(passes, -(-down // strip) if strip else 1)
    if kernel != "winograd":
        work += passes * pack_ms(rates, node)
        return work * _meeting(block, threads, block < PANEL * threads)
    # Winograd turns the filters into panels as it transforms them, for every strip
    turned = 1e-6 * batch * across * down * node.in_shapes[0].c / rates.wino_in
    if batch > 1:  # some pictures have a filter's transform together, some panels an input's
        panels = panels_at_once(batch, threads, min(block, up(node.filters, PANEL)))
        groups = -(-batch // pictures_at_once(batch, threads, across * min(strip or down, down), panels))
        filter_ms = 1e-6 * node.out_shape.c * node.in_shapes[0].c / rates.wino_filter
        work += again * (TURN * pack_ms(rates, node) * groups - filter_ms * (batch - groups))
        return work + turned * (-(-node.filters // (PANEL * panels)) - 1)
    work += TURN * pack_ms(rates, node) * again
    if strip:  # strips transform the input anew for every block
        work += turned * (-(-node.filters // block) - 1)
    return work * _meeting(block, threads, threads > 1 if strip else block < PANEL * threads)


def _meeting(block: int, threads: int, meets: bool) -> float:
    return 1.0 + LOCKSTEP * min(1.0, threads / (block // PANEL)) if meets else 1.0


def streamed_ms(rates: Rates, read: float, node: Node, compute: float, kernel: str, strip: int, block: int,
                raw: int, slots: int, threads: int, batch: int = 1) -> float:
    """A layer whose weights are read while it runs, none before; `streamed_work_ms` against reading.

    Parameters
    ----------
    read : float
        GB/s of the storage.
    raw, slots : int
        Filters of one read, and reads that can be ahead. With fewer than three slots the storage waits for
        the team now and then.
    """
    reading = read_ms(rates, read, node, raw) * SLOTS.get(slots, 1.0)
    work = streamed_work_ms(rates, node, compute, kernel, strip, block, threads, batch)
    # Slots smaller than a block make the reader and the team wait for each other; Winograd computes from as
    # many as a block fills. What hides behind the other is not quite free.
    ahead = slots * raw - (block if kernel == "winograd" else 0)
    overlap = max(0.0, min(1.0, ahead / block))
    # The first block of a layer is read while nothing computes.
    first = reading * min(1.0, block / node.filters)
    return max(work, reading) + (1.0 + BESIDE - overlap) * min(work, reading) + first


def bytes_ms(rates: Rates, moved: float, tiles: int = 1) -> float:
    """An operation that only moves bytes (read and written together): pooling, upsampling, copies."""
    return moved / rates.memory * 1e-6 + tiles * rates.op_us * 1e-3


def far_ms(rates: Rates, moved: float) -> float:
    """What an operation takes longer for bytes of maps no cache holds (larger than `Device.near_bytes`)."""
    return moved / rates.far * 1e-6


def input_ms(rates: Rates, pixels: int, tiles: int = 1) -> float:
    """Scaling the photo to that many pixels of the network's input."""
    return pixels / rates.input * 1e-6 + tiles * rates.op_us * 1e-3
