"""What single pieces of a network cost in a group: scratch of kernels, loading, maps beyond caches."""
from __future__ import annotations

from darkfuse.graph import Node
from darkfuse.plan.layout.arena import aligned
from darkfuse.plan.layout.reads import striped_way
from darkfuse.plan.layout.weights import (
    FLOAT,
    PANEL,
    packed_floats,
    raw_bytes,
    up,
    wino_batch_bytes,
    wino_scratch_floats,
    wino_u_floats,
)
from darkfuse.plan.price.cost import SLOTS, TURN, far_ms, loaded_ms, pack_ms, read_ms
from darkfuse.plan.price.device import Device
from darkfuse.plan.search.pieces import Piece, Pieces
from darkfuse.plan.types import LayerPlan

LEAN = LayerPlan(0, residency="loaded")  # as groups load their layers; `spend` gives longer reads afterwards


def striped_layer(node: Node, kernel: str, threads: int, lean: bool) -> LayerPlan:
    """The plan of a layer that is streamed for every tile of its group."""
    block, raw, slots = striped_way(node, kernel, threads, lean)
    block, raw = min(block, up(node.filters, PANEL)), min(raw, node.filters)
    return LayerPlan(node.index, kernel, "streamed", block, raw, slots)


class Prices:
    """Prices of single pieces on one device with so many threads.

    Attributes
    ----------
    loading : list of float
        Per piece, milliseconds to read and pack its weights.
    readers : list of int
        Per piece, bytes of the reader's slots while its weights are loaded.
    maps : list of list of (int, int)
        Per piece, the storages it reads and writes, and how many bytes of each.
    gains : list of bool
        Per piece, whether tiles can be faster than whole maps: some of these are too large for the caches.
    """

    def __init__(self, net: Pieces, device: Device, threads: int) -> None:
        self.net, self.device, self.threads = net, device, threads
        self.rates = device.at(threads)
        self.loading = [self._loading(p.node) if p.node else 0.0 for p in net.pieces]
        self.readers = [raw_bytes(p.node, LEAN) if p.node else 0 for p in net.pieces]
        self.maps = [self._maps(piece) for piece in net.pieces]
        self.gains = [self._gains(number) for number in range(len(net.pieces))]

    def _loading(self, node: Node) -> float:
        reading = read_ms(self.rates, self.device.read, node, LEAN.raw) * SLOTS[LEAN.slots]
        return loaded_ms(pack_ms(self.rates, node), reading)

    def _maps(self, piece: Piece) -> list[tuple[int, int]]:
        wiring, found = self.net.wiring, []
        for view in (*piece.leaf.sources, piece.leaf.view):
            shape = wiring.storages[view.storage]
            found.append((wiring.root(view).storage, FLOAT * view.channels * shape.height * shape.width))
        return found

    def _gains(self, number: int) -> bool:
        piece = self.net.pieces[number]
        if self.far(number):
            return True
        shape, large = piece.leaf.shape, self.device.near_bytes
        return piece.rule == "winograd" and self.scratch(piece, 0, shape.h, shape.w)[0] > large

    def far(self, number: int) -> float:
        """Milliseconds for what piece `number` reads and writes of maps too large for the caches."""
        return far_ms(self.rates, sum(size for root, size in self.maps[number]
                                      if self.net.roots[root].whole > self.device.near_bytes))

    def stripe(self, piece: Piece, kernel: str, lean: bool) -> tuple[int, int, float, float]:
        """A layer that is streamed for every tile: bytes of the reader's slots and of its block of packed
        filters; milliseconds of reading, and of turning filters into panels, for one tile."""
        node = piece.node
        assert node is not None
        layer = striped_layer(node, kernel, self.threads, lean)
        turn = pack_ms(self.rates, node)
        reading = read_ms(self.rates, self.device.read, node, layer.raw) * SLOTS.get(layer.slots, 1.0)
        if kernel == "winograd":
            return raw_bytes(node, layer), 0, reading, TURN * turn
        packed = aligned(packed_floats(node, kernel, layer.block) * FLOAT)
        return raw_bytes(node, layer), packed, reading, turn

    def scratch(self, piece: Piece, strip: int, tall: int, wide: int) -> tuple[int, int]:
        """Winograd's shared and per-thread bytes for regions of at most tall x wide."""
        assert piece.node is not None
        tiles = _tiles(piece, strip, tall, wide)
        return wino_u_floats(piece.node, tiles) * FLOAT, wino_scratch_floats(piece.node, tiles) * FLOAT

    def together(self, piece: Piece, strip: int, block: int) -> int:
        """Winograd's bytes per thread where a whole layer is streamed for a batch."""
        assert piece.node is not None
        tiles = _tiles(piece, strip, piece.leaf.shape.h, piece.leaf.shape.w)
        return wino_batch_bytes(piece.node, tiles, self.net.batch, self.threads, block)


def _tiles(piece: Piece, strip: int, tall: int, wide: int) -> int:
    """Tiles of a strip of regions of at most tall x wide, of the map pooled where the piece pools."""
    if piece.pools:
        tall, wide = 2 * tall, 2 * wide
    down = -(-tall // 4)
    return (min(strip, down) if strip else down) * -(-wide // 4)
