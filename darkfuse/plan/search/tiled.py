"""What tiled groups cost: all that end at one cut, over one grid, each a piece longer than the one before.

Tile sizes come in closed form (every map's region is affine in the tile's place). What a piece computes on a
tile depends on its readers alone, and these come after it: going backwards, every piece is worked out once.
"""
from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from darkfuse.plan.layout.arena import aligned, shared
from darkfuse.plan.price.cost import Sizes, bytes_ms, far_ms, input_ms
from darkfuse.plan.search.pieces import Piece
from darkfuse.plan.search.prices import Prices
from darkfuse.plan.search.reach import Lines, Reach, axis, shift, together

NO_LIMIT = 1 << 62
LONGEST = 16  # pieces in one fused group
HEAVIEST = 16 << 20  # bytes of weights in one fused group


class Tiled(NamedTuple):
    """One tiled group that begins with piece `a`.

    stage : bytes of maps and line buffers while it runs, biases included;  scratch : Winograd's, on top
    packed, reader : bytes of packed weights, and of the slots they are read into
    fast, direct : milliseconds with the fastest kernels, and without Winograd
    loading : milliseconds to load the weights
    """

    a: int
    stage: int
    scratch: int
    packed: int
    reader: int
    fast: float
    direct: float
    loading: float


class Walk:
    """All tiled groups that end before piece `b`, over a grid of its last map.

    Attributes
    ----------
    chosen : dict of int to (str, int)
        Kernel and strip of each piece with weights walked so far, when the fastest are taken.
    """

    def __init__(self, prices: Prices, b: int, grid: tuple[int, int], cache: str) -> None:
        self.prices, self.net, self.b = prices, prices.net, b
        self.grid, self.cache = grid, cache
        tail = self.net.pieces[b - 1].leaf.shape
        self.tall, self.wide = tail.h, tail.w
        self.share = -(-tail.h // grid[0]) / tail.h, -(-tail.w // grid[1]) / tail.w
        self.chosen: dict[int, tuple[str, int]] = {}
        self._rows: dict[int, list[Reach]] = {}  # leaf -> what its readers ask for
        self._columns: dict[int, list[Reach]] = {}
        self._whole = self.net.across(b)  # bytes of maps that are whole in the arena
        self._windows: dict[int, int] = {}  # storage -> bytes of its line buffer
        self._held = 0  # bytes of line buffers of storages nothing outside the group reads
        self._seen: dict[int, int] = {}  # storage -> bytes read and written of it
        self._far = 0  # bytes, of maps too large for the caches
        self._shared = self._thread = self._packed = self._reader = 0
        self._fast = self._direct = self._loading = 0.0
        self._dying: list[int] = []  # storages that come into the group and end here
        self._born: list[int] = []  # storages that begin here and outlive the group
        # storage -> (slope, offset) by rows of the last map: rows its writers have done, its readers begin at
        self._made: dict[int, Lines] = {}
        self._needed: dict[int, Lines] = {}
        self._writer: dict[int, int] = {}  # storage -> first piece of the group that writes it
        self._reader_of: dict[int, int] = {}  # storage -> last piece of the group that reads it
        self._sums: list[int] = []  # shortcuts

    def groups(self, limit: int = NO_LIMIT, longest: int = LONGEST) -> Iterator[Tiled]:
        """From the shortest on to one of `longest` pieces, or until the line buffers alone leave no room for
        more within `limit` bytes."""
        outside = self._whole
        for a in range(self.b - 1, max(self.b - longest, 0) - 1, -1):
            piece = self.net.pieces[a]
            self._packed += piece.packed
            if not piece.leaf.tiles or self._packed > HEAVIEST:
                return
            self._add(a, piece)
            if outside + self._held // (2 if self._sums else 1) > limit:  # a sum may lie over an operand
                return
            if piece.layers:
                scratch = aligned(self._shared) + self.prices.threads * aligned(self._thread)
                far = far_ms(self.prices.rates, self._far)
                yield Tiled(a, self._whole + self._held - self._saved(a), scratch, self._packed, self._reader,
                            self._fast + far, self._direct + far, self._loading)

    def _add(self, a: int, piece: Piece) -> None:
        net, prices, leaf = self.net, self.prices, piece.leaf
        for root, size in prices.maps[a]:
            self._seen[root] = self._seen.get(root, 0) + size
            if net.roots[root].whole > prices.device.near_bytes:
                self._far += size
        heights, widths = self._region(piece.number, piece.root, a)
        if piece.node is None:
            whole = leaf.shape.h * leaf.shape.w
            ms = bytes_ms(prices.rates, piece.moved * _total(heights) * _total(widths) / whole,
                          _count(heights) * _count(widths))
            self._fast, self._direct = self._fast + ms, self._direct + ms
            if leaf.kind == "shortcut":
                self._sums.append(a)
        else:
            ms, kernel, strip, plain = prices.kernel(a, heights, widths)
            self._fast, self._direct = self._fast + ms, self._direct + plain
            self.chosen[a] = kernel, strip
            if kernel == "winograd":
                u, t = prices.scratch(piece, strip, max(h for h, _ in heights), max(w for w, _ in widths))
                self._shared, self._thread = max(self._shared, u), max(self._thread, t)
            self._reader = max(self._reader, prices.readers[a])
            self._loading += prices.loading[a]
        if a == net.entry:
            heights, widths = self._region(0, net.input_root, a)
            ms = input_ms(prices.rates, _total(heights) * _total(widths), _count(heights) * _count(widths))
            self._fast, self._direct = self._fast + ms, self._direct + ms
        self._lives(a)

    def _lives(self, a: int) -> None:
        """Storages that begin or end with piece `a`."""
        roots = self.net.roots
        for root in self.net.ending[a]:
            self._whole += roots[root].whole
            self._dying.append(root)
        for root in self.net.beginning[a]:
            if roots[root].last >= self.b:
                self._born.append(root)
                continue
            self._dying.remove(root)
            near, window = self.prices.device.near_bytes, self._windows[root]
            self._whole -= roots[root].whole
            self._held += window
            if roots[root].whole > near >= window:
                self._far -= self._seen.get(root, 0)

    # -- regions --------------------------------------------------------------------------------------

    def _region(self, n: int, root: int, a: int) -> tuple[Sizes, Sizes]:
        """Heights and widths computed of leaf n, tile by tile; hands its demand on to what it reads."""
        shape, storage, sources = self.net.wiring.leaves[n].shape, self.net.roots[root], self.net.sources[n]
        cached = self.cache != "none"
        y = self._asked(self._rows, n, shape.h, storage.exported)
        slots, heights, carried = axis(shape.h, y, self.grid[0], self.share[0], cached)
        _add_line(self._made, root, y.slope / self.tall, y.end)
        self._writer[root] = a
        for source in sources:
            self._reader_of.setdefault(source.storage, a)
            up = source.rows.of(y, cached)
            _add_line(self._needed, source.storage, up.slope / self.tall, up.start)
            for m in source.leaves:
                self._rows.setdefault(m, []).append(up)
        if self.grid[1] == 1:
            widths, size = [(shape.w, 1)], slots * storage.row
        else:
            cached = self.cache == "full"
            x = self._asked(self._columns, n, shape.w, storage.exported)
            cols, widths, _ = axis(shape.w, x, self.grid[1], self.share[1], cached)
            for source in sources:
                up = source.columns.of(x, cached)
                for m in source.leaves:
                    self._columns.setdefault(m, []).append(up)
            size = slots * storage.pixel * min(storage.width, cols + 2)
            if carried:
                size += (carried if cached else slots) * storage.pixel * shape.w
        self._windows[root] = max(self._windows.get(root, 0), aligned(size))
        return heights, widths

    def _asked(self, wanted: dict[int, list[Reach]], n: int, length: int, exported: bool) -> Reach:
        """What the readers of leaf n ask for together; without any, or to be handed out, an even part."""
        asked = wanted.get(n, [])
        if exported or not asked:
            asked = [*asked, Reach(float(length), 0.0, 0.0, 0.0)]
        return asked[0] if len(asked) == 1 else together(asked)

    # -- bytes two maps share -------------------------------------------------------------------------

    def _saved(self, a: int) -> int:
        """Bytes that sums share with an operand (`plan.inplace`), outputs with dead inputs
        (`plan.overlap`)."""
        saved, roots = 0, self.net.roots
        over: dict[int, int] = {}  # storage of a sum -> that of its operand
        for piece in self._sums if self.grid[1] == 1 else ():
            target = self.net.pieces[piece].root
            operand = self.net.operand(piece, a, self.cache == "none")
            if operand is not None:
                over[target] = operand
                saved += min(self._size(operand, a), self._size(target, a))
        if self.grid[0] == 1 or self.cache == "none":
            return saved
        found = []
        for target in self._born:
            first = over.get(target, target)
            if roots[first].first < a:
                continue
            for source in self._dying:
                known = source in self._reader_of and source in self._needed  # not where routes alone read it
                if known and roots[source].blocks and roots[target].blocks and source not in over.values():
                    less = shared(roots[source].whole, roots[target].whole,
                                  self._shift(source, target, first))
                    found.append((less, source, target))
        used = set()
        for less, source, target in sorted(found, reverse=True):
            if less > 0 and (0, source) not in used and (1, target) not in used:
                used |= {(0, source), (1, target)}
                saved += less
        return saved

    def _size(self, root: int, a: int) -> int:
        return self._windows[root] if self.net.inside(root, a, self.b) else self.net.roots[root].whole

    def _shift(self, source: int, target: int, first: int) -> int:
        """Bytes the source must lie behind the target; `first` is the target or a map that becomes it."""
        after, before = self.net.roots[target], self.net.roots[source]
        made = self._made[target] if first == target else (*self._made[first], *self._made[target])
        later = self.grid[1] == 1 and self._writer[first] > self._reader_of[source]
        return shift(self.grid[0], self.tall, (after.row, after.height), (before.row, before.height), made,
                     self._needed[source], later)


def _add_line(lines: dict[int, Lines], root: int, slope: float, offset: float) -> None:
    known = lines.get(root, ())
    if (slope, offset) not in known:
        lines[root] = (*known, (slope, offset))


def _total(sizes: Sizes) -> int:
    return sum(size * n for size, n in sizes)


def _count(sizes: Sizes) -> int:
    return sum(n for _, n in sizes)
