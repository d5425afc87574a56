# cython: boundscheck=False
"""What tiled groups cost: all that end at one cut, over one grid, each a piece longer than the one before.

Tile sizes come in closed form (every map's region is affine in the tile's place). What a piece computes on a
tile depends on its readers alone, and these come after it: going backwards, every piece is worked out once.
See _tiled.pyi.
"""
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free

from darkfuse.plan.layout._grow cimport grown
from darkfuse.plan.price._grid cimport ConvCost, Size, largest
from darkfuse.plan.search._network cimport Network
from darkfuse.plan.search._offers cimport Offer, Offers, choose, offer
from darkfuse.plan.search._pairs cimport Pair, most_shared
from darkfuse.plan.search._reach cimport Asked, Line, Part, Reach, ask, axis, before, shift
from darkfuse.plan.search._stripes cimport stream
from darkfuse.plan.search._ways cimport Ways

cdef int64_t HEAVIEST = 16 << 20  # bytes of weights in one fused group


cdef class Tiler(Network):

    cdef Line *lines
    cdef Pair *pairs
    cdef int line_count, line_room, pair_room
    # one walk
    cdef int b, dying_count, born_count, sum_count, down, across, tall
    cdef double share_y, share_x
    cdef bint rows_kept, columns_kept, streams
    cdef int weighted_count
    cdef int64_t held, inside, far, shared, thread
    cdef double fast_ms, direct_ms

    def __dealloc__(self):
        free(self.lines)
        free(self.pairs)

    def price(self, int b, list grids, int64_t across, int64_t limit, dict worth, Ways ways, bint streams):
        cdef int n, m, low = min(worth)
        cdef Offers *offers = <Offers *>calloc(b - low, sizeof(Offers))
        if offers == NULL:
            raise MemoryError
        try:
            for (down, over), cache in grids:
                self._start(b, down, over, cache, across, streams)
                self._groups(low, limit, worth, offers)
            for n in range(b - low):
                known = ways.between(low + n, b) if offers[n].count else NULL
                for m in range(offers[n].count):
                    choose(known, offers[n].at[m])
        finally:
            for n in range(b - low):
                free(offers[n].at)
            free(offers)

    cdef int _groups(self, int low, int64_t limit, dict worth, Offers *offers) except -1:
        """Groups over one grid, each a piece longer, until none can fit `limit`."""
        cdef int a
        cdef int64_t packed = 0, reader = 0, scratch, stage, most, most_direct, across = self.inside
        cdef double loading = 0.0, far
        cdef Offer found
        for a in range(self.b - 1, low - 1, -1):
            piece = &self.pieces[a]
            packed += piece.packed
            if not piece.tiles or (packed > HEAVIEST and not self.streams):
                break
            self._add(a)
            reader, loading = max(reader, piece.reader), loading + piece.loading
            if across + self.held // (2 if self.sum_count else 1) > limit:  # a sum may lie over an operand
                break
            if not piece.layers or a not in worth:
                continue
            most, most_direct = worth[a]
            stage = self.inside + self.held - self._saved(a)
            scratch = aligned(self.shared) + self.threads * aligned(self.thread)
            far = self.far * self.far_ms
            found = Offer(self.batch * (self.fast_ms + far), loading, stage + scratch, packed, -1, self.down,
                          self.across, 2 - self.rows_kept - self.columns_kept, False, False, 0, False)
            if stage + scratch < most:
                self._offer(&offers[a - low], found, reader, limit)
            if scratch and stage < most_direct:
                found.ms, found.stage, found.direct = self.batch * (self.direct_ms + far), stage, True
                self._offer(&offers[a - low], found, reader, limit)
        return 0

    cdef int _offer(self, Offers *offers, Offer found, int64_t reader, int64_t limit) except -1:
        if self.streams:
            return stream(offers, found, limit, self.pieces, self.weighted, self.weighted_count, self.chosen,
                          self.plain_ms if found.direct else self.chosen_ms, self.threads)
        return offer(offers, found, reader, limit)

    def strips(self, int a, int b, tuple grid, str cache, bint streams):
        cdef int n
        self._start(b, grid[0], grid[1], cache, 0, streams)
        for n in range(b - 1, a - 1, -1):
            self._add(n)
        return [self.chosen[n] for n in range(a, b)]

    cdef void _start(self, int b, int down, int across, str cache, int64_t inside, bint streams):
        cdef int n
        tail = &self.leaves[self.pieces[b - 1].leaf]
        self.b, self.down, self.across, self.tall = b, down, across, tail.height
        self.rows_kept, self.columns_kept = cache != "none", cache == "full"
        self.share_y = <double>((tail.height + down - 1) // down) / tail.height
        self.share_x = <double>((tail.width + across - 1) // across) / tail.width
        self.inside, self.held, self.far, self.shared, self.thread = inside, 0, 0, 0, 0
        self.fast_ms, self.direct_ms = 0.0, 0.0
        self.streams, self.weighted_count = streams, 0
        self.dying_count = self.born_count = self.sum_count = self.line_count = 0
        for n in range(self.leaf_count):
            self.leaves[n].rows.readers = self.leaves[n].columns.readers = 0
        for n in range(self.root_count):
            r = &self.roots[n]
            r.seen = r.window = 0
            r.made = r.needed = r.writer = r.reader = -1

    cdef int _add(self, int a) except -1:
        cdef Part heights, widths
        cdef double ms
        cdef int n
        piece = &self.pieces[a]
        for n in range(piece.maps.first, piece.maps.last, 2):  # a storage, and bytes of it
            r = &self.roots[self.numbers[n]]
            r.seen += self.numbers[n + 1]
            if r.whole > self.near:
                self.far += self.numbers[n + 1]
        self._region(piece.leaf, piece.root, a, &heights, &widths)
        self.chosen[a] = -1
        if piece.conv:
            self._convolve(a, heights, widths)
        else:
            leaf = &self.leaves[piece.leaf]
            ms = piece.whole * total(&heights) * total(&widths) / (<double>leaf.height * leaf.width) \
                + piece.meeting * count(&heights) * count(&widths)
            self.fast_ms += ms
            self.direct_ms += ms
            if piece.sum:
                self.sums[self.sum_count] = a
                self.sum_count += 1
        if a == self.entry:
            self._region(0, self.input_root, a, &heights, &widths)
            ms = self.input_ms * total(&heights) * total(&widths) + self.input_tile * count(&heights) * count(&widths)
            self.fast_ms += ms
            self.direct_ms += ms
        self._lives(a)
        return 0

    cdef void _convolve(self, int a, Part heights, Part widths):
        """Time of a convolution by the faster of its kernels, and of the one that is not Winograd."""
        cdef ConvCost plain = self.direct[a], winograd
        cdef int n, strip, down, tiles
        cdef double ms, other
        piece = &self.pieces[a]
        if piece.pools:
            for n in range(heights.count):
                heights.sizes[n].size *= 2
            for n in range(widths.count):
                widths.sizes[n].size *= 2
        ms = other = plain.over(heights.sizes, heights.count, widths.sizes, widths.count, 0)
        if self.winograd[a] is not None:
            winograd = self.winograd[a]
            strip = winograd.strip(heights.sizes, heights.count, widths.sizes, widths.count, self.streams, &other)
            if other < ms:
                self.chosen[a] = strip
                down = (largest(heights.sizes, heights.count) + 3) // 4
                tiles = (min(strip, down) if strip else down) * ((largest(widths.sizes, widths.count) + 3) // 4)
                self.shared = max(self.shared, <int64_t>(piece.u + piece.u_tile * tiles))
                self.thread = max(self.thread, <int64_t>(piece.t + piece.t_tile * tiles))
        self.plain_ms[a], self.chosen_ms[a] = ms, other if self.chosen[a] >= 0 else ms
        self.direct_ms += ms
        self.fast_ms += self.chosen_ms[a]
        n = self.weighted_count
        while n and self.pieces[self.weighted[n - 1]].packed >= piece.packed:  # a comes before those
            self.weighted[n] = self.weighted[n - 1]
            n -= 1
        self.weighted[n] = a
        self.weighted_count += 1

    cdef void _lives(self, int a):
        """Storages that begin or end with piece `a`."""
        cdef int n, m, root
        piece = &self.pieces[a]
        for n in range(piece.ending.first, piece.ending.last):
            root = self.numbers[n]
            self.inside += self.roots[root].whole
            self.dying[self.dying_count] = root
            self.dying_count += 1
        for n in range(piece.beginning.first, piece.beginning.last):
            root = self.numbers[n]
            r = &self.roots[root]
            if r.last >= self.b:
                self.born[self.born_count] = root
                self.born_count += 1
                continue
            m = 0
            while self.dying[m] != root:
                m += 1
            self.dying_count -= 1
            self.dying[m] = self.dying[self.dying_count]
            self.inside -= r.whole
            self.held += r.window
            if r.whole > self.near >= r.window:
                self.far -= r.seen

    # -- regions --------------------------------------------------------------------------------------

    cdef int _region(self, int number, int root, int a, Part *heights, Part *widths) except -1:
        """Rows and columns computed of a leaf, tile by tile; hands its demand on to what it reads."""
        cdef Reach x, y, up
        cdef Part part
        cdef int64_t size
        cdef int n, m
        leaf, r = &self.leaves[number], &self.roots[root]
        y = self._asked(leaf.rows, leaf.height, r.exported)
        heights[0] = part = axis(leaf.height, y, self.down, self.share_y, self.rows_kept)
        r.made = self._line(r.made, y.slope / self.tall, y.end)
        r.writer = a
        for n in range(leaf.first, leaf.last):
            source = &self.sources[n]
            into = &self.roots[source.storage]
            if into.reader < 0:
                into.reader = a
            up = before(&source.rows, y, self.rows_kept)
            into.needed = self._line(into.needed, up.slope / self.tall, up.start)
            for m in range(source.leaves.first, source.leaves.last):
                ask(&self.leaves[self.numbers[m]].rows, up)
        size = part.stored * r.row
        widths.count = 1
        widths.sizes[0] = Size(leaf.width, 1)
        if self.across > 1:
            x = self._asked(leaf.columns, leaf.width, r.exported)
            widths[0] = axis(leaf.width, x, self.across, self.share_x, self.columns_kept)
            for n in range(leaf.first, leaf.last):
                source = &self.sources[n]
                up = before(&source.columns, x, self.columns_kept)
                for m in range(source.leaves.first, source.leaves.last):
                    ask(&self.leaves[self.numbers[m]].columns, up)
            size = part.stored * r.pixel * min(r.width, widths.stored + 2)
            if part.carried:
                size += (part.carried if self.columns_kept else part.stored) * r.pixel * leaf.width
        r.window = max(r.window, aligned(size))
        return 0

    cdef Reach _asked(self, Asked asked, int length, bint exported) noexcept:
        """What the readers of a leaf ask for together; without any, or to be handed out, an even part."""
        if exported or not asked.readers:
            ask(&asked, Reach(length, 0.0, 0.0, 0.0))
        return asked.reach

    cdef int _line(self, int known, double slope, double offset) except -2:
        """A list of lines with one more, where it is not in there."""
        cdef int n = known
        while n >= 0:
            if self.lines[n].slope == slope and self.lines[n].offset == offset:
                return known
            n = self.lines[n].next
        self.lines = <Line *>grown(self.lines, self.line_count + 1, &self.line_room, sizeof(Line))
        self.lines[self.line_count] = Line(slope, offset, known)
        self.line_count += 1
        return self.line_count - 1

    # -- bytes two maps share -------------------------------------------------------------------------

    cdef int64_t _saved(self, int a) except -1:
        """Bytes that sums share with an operand (`layout.inplace`), outputs with dead inputs
        (`layout.overlap`)."""
        cdef int64_t saved = 0
        cdef int n, target, operand
        cdef dict over = {}  # storage of a sum -> that of its operand
        if self.across == 1:
            for n in range(self.sum_count):
                target, operand = self.pieces[self.sums[n]].root, self._operand(self.sums[n], a)
                if operand >= 0:
                    over[target] = operand
                    saved += min(self._size(operand, a), self._size(target, a))
        if self.down == 1 or not self.rows_kept or not self.born_count or not self.dying_count:
            return saved
        return saved + self._overlapping(a, over)

    cdef int64_t _overlapping(self, int a, dict over) except -1:
        """Bytes that maps written by the group share with maps it is the last to read, each with one."""
        cdef int64_t less
        cdef int m, n, source, target, first, room = self.born_count * self.dying_count, pairs = 0
        operands = set(over.values())
        self.pairs = <Pair *>grown(self.pairs, room, &self.pair_room, sizeof(Pair))
        for n in range(self.born_count):
            target = self.born[n]
            first = over.get(target, target) if over else target
            if self.roots[first].first < a:
                continue
            for m in range(self.dying_count):
                source = self.dying[m]
                s, t = &self.roots[source], &self.roots[target]
                # What routes alone read is not known to be read
                if s.reader < 0 or s.needed < 0 or not s.blocks or not t.blocks or source in operands:
                    continue
                if self.batch > 1 and s.whole != t.whole:  # maps of pictures equally far apart
                    continue
                less = s.whole + t.whole - max(t.whole, self._shift(source, target, first) + s.whole)
                if less > 0:
                    self.pairs[pairs] = Pair(less, source, target)
                    pairs += 1
        return most_shared(self.pairs, pairs)

    cdef int _operand(self, int number, int a) noexcept:
        """The storage that the sum of a piece takes over in a group that begins with piece `a`, or -1."""
        cdef int n, storage
        operands = self.pieces[number].operands
        for n in range(operands.first, operands.last, 2):  # a storage, and the last other piece that reads it
            storage = self.numbers[n]
            if self.numbers[n + 1] < a and (self.rows_kept or self.roots[storage].first >= a):
                return storage
        return -1

    cdef int64_t _size(self, int root, int a) noexcept:
        r = &self.roots[root]
        return r.window if r.first >= a and r.last < self.b else r.whole

    cdef int64_t _shift(self, int source, int target, int first) noexcept:
        """Bytes the source must lie behind the target; `first` is the target or a map that becomes it."""
        s, t, f = &self.roots[source], &self.roots[target], &self.roots[first]
        return aligned(shift(self.down, self.tall, t.row, t.height, s.row, s.height, self.lines, t.made,
                             f.made if first != target else -1, s.needed,
                             self.across == 1 and f.writer > s.reader))


cdef inline int64_t aligned(int64_t size) noexcept nogil:
    return (size + 63) & ~<int64_t>63


cdef inline double total(const Part *part) noexcept nogil:
    cdef double found = 0
    cdef int n
    for n in range(part.count):
        found += <double>part.sizes[n].size * part.sizes[n].many
    return found


cdef inline int count(const Part *part) noexcept nogil:
    cdef int found = 0, n
    for n in range(part.count):
        found += part.sizes[n].many
    return found
