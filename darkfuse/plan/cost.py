"""How long one operation takes on one device: arithmetic at measured rates, plus what tiling adds to it.

Nothing here knows about plans or budgets. Every function returns milliseconds.
"""
from __future__ import annotations

from darkfuse.graph import Node
from darkfuse.graph.layers.convolutional import ConvOptions
from darkfuse.plan.device import Rates

PIXELS = 14  # pixels of one row the direct kernels hold in registers, at most


def conv_ms(rates: Rates, node: Node, kernel: str, rows: list[tuple[int, int]], columns: list[tuple[int, int]],
            strip: int, cache_bytes: int) -> float:
    """A convolution over a grid of regions.

    Parameters
    ----------
    rows, columns : list of (size, how many)
        Heights and widths of the regions of the convolution's own output (before a fused pooling): the grid
        has every height with every width. The sizes of most grids take two or three values.
    strip : int
        Winograd tile rows worked on at a time, 0 for all.
    cache_bytes : int
        Cache of one core: packed weights that outgrow it are read anew for each region.
    """
    options = node.options
    assert isinstance(options, ConvOptions) and node.weights is not None
    tiles = sum(n for _, n in rows) * sum(n for _, n in columns)
    ms = tiles * rates.op_us * 1e-3
    if kernel == "winograd":
        return ms + _winograd_ms(rates, node, rows, columns, strip)
    height = sum(size * n for size, n in rows)
    rate = {"first": rates.first, "general": rates.general}.get(kernel)
    if rate is None:
        rate = rates.direct1 if options.size == 1 else rates.direct3
    # A row is cut into pieces of near-equal length; each pays two weight loads beside its pixels.
    width = sum(n * (size + 2.0 * -(-size // PIXELS)) for size, n in columns) / (1 + 2.0 / PIXELS)
    ms += 2e-6 * height * width * node.weights.kernels / rate
    if node.weight_bytes > cache_bytes / 2 and tiles > 1:
        ms += tiles * node.weight_bytes / rates.weights * 1e-6
    return ms


def _winograd_ms(rates: Rates, node: Node, rows: list[tuple[int, int]], columns: list[tuple[int, int]],
                 strip: int) -> float:
    inputs, outputs = node.in_shapes[0].c, node.out_shape.c
    across = sum(n * -(-size // 4) for size, n in columns)
    wide = sum(n for _, n in columns)
    down = strips = 0
    for size, n in rows:
        tile_rows = -(-size // 4)
        down += n * tile_rows
        strips += n * (-(-tile_rows // strip) if strip else (1 if tile_rows else 0))
    tiles = across * down
    ns = tiles * (inputs / rates.wino_in + outputs / rates.wino_out + 72.0 * inputs * outputs / rates.gemm)
    ns += strips * wide * inputs * outputs / rates.wino_filter
    return ns * 1e-6


def pack_ms(rates: Rates, node: Node) -> float:
    """Folding and packing the weights of one layer."""
    return node.weight_bytes / rates.pack * 1e-6


def read_ms(read_gb_s: float, node: Node) -> float:
    """Reading the weights of one layer from storage."""
    return node.weight_bytes / read_gb_s * 1e-6


def bytes_ms(rates: Rates, moved: int, tiles: int = 1) -> float:
    """An operation that only moves bytes (read and written together): pooling, upsampling, copies."""
    return moved / rates.memory * 1e-6 + tiles * rates.op_us * 1e-3
