"""Tiled groups: what one costs, and the network as the loops that price them take it (`_tiled.pyx`)."""
from __future__ import annotations

from collections.abc import Sequence

from darkfuse.plan.layout.weights import FLOAT, wino_scratch_floats, wino_u_floats
from darkfuse.plan.price.cost import bytes_ms, conv_cost, far_ms, input_ms
from darkfuse.plan.search._tiled import Tiler
from darkfuse.plan.search.pieces import Piece
from darkfuse.plan.search.prices import Prices

NO_LIMIT = 1 << 62
LONGEST = 16  # pieces in one fused group


def tiler(prices: Prices) -> Tiler:
    """What prices all tiled groups of a network."""
    net, device, rates = prices.net, prices.device, prices.rates
    leaves = [(leaf.shape.h, leaf.shape.w, sources) for leaf, sources in zip(net.wiring.leaves, net.sources)]
    roots = [tuple(getattr(net.roots.get(storage), name, 0) for name in (
        "whole", "row", "pixel", "width", "height", "first", "last", "exported", "blocks"))
        for storage in range(len(net.wiring.storages))]
    return Tiler([_piece(prices, number, piece) for number, piece in enumerate(net.pieces)], leaves, roots,
                 net.entry, net.input_root, device.near_bytes, prices.threads, far_ms(rates, 1.0),
                 input_ms(rates, 1, 0), input_ms(rates, 0), net.batch)


def _piece(prices: Prices, number: int, piece: Piece) -> tuple[object, ...]:
    net, rates, node, leaf = prices.net, prices.rates, piece.node, piece.leaf
    conv = node is not None and leaf.kind == "conv"
    direct = winograd = None
    scratch: Sequence[int] = (0, 0, 0, 0)
    if node is not None and conv:
        plain = piece.rule if piece.rule != "winograd" else "direct"
        direct = conv_cost(rates, node, plain, prices.device, prices.threads)
        if piece.rule == "winograd":
            winograd = conv_cost(rates, node, "winograd", prices.device, prices.threads)
            scratch = [FLOAT * floats for of in (wino_u_floats, wino_scratch_floats)
                       for floats in (of(node, 0), of(node, 1) - of(node, 0))]
    stripes: list[tuple[int, int, float, float]] = []
    if node is not None and conv:
        stripes = [prices.stripe(piece, kernel, lean) for kernel in (plain, piece.rule)
                   for lean in (False, True)]
    moved = piece.moved if node is None else node.weight_bytes
    return (piece.number, piece.root, leaf.tiles, bool(piece.layers), leaf.kind == "shortcut", piece.pools,
            conv, direct, winograd, piece.packed, prices.readers[number], prices.loading[number],
            bytes_ms(rates, moved, 0), bytes_ms(rates, 0), scratch,
            [n for pair in prices.maps[number] for n in pair], net.beginning[number], net.ending[number],
            [n for pair in net.operands.get(number, ()) for n in pair], stripes)
