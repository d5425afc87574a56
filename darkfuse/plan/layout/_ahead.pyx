# cython: boundscheck=False
"""Where reads of weights may land: wherever of the arena is idle from the read until its use. See _ahead.pyi.

Reads happen in the order of use, and storage should never have to wait for the team while there are bytes to
read into. So a layer's reads may go into its own slots, which are nobody else's in its step, and into all
else that no map, window or scratch needs from some earlier step on. Which of these is free of other reads
too, the engine sees when it reads.
"""
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

from darkfuse.plan.program import PAGE, Landing, slot_bytes

cdef enum:
    FEW = 64  # landings of one layer: more reads at a time help nobody

MOST_LANDINGS = FEW

ctypedef struct Cell:  # bytes [low, high) of the arena
    int64_t low, high
    int alive  # buffers that have them now
    int since  # the step from which on only reads use them

ctypedef struct Span:
    int64_t low, high


cdef class Arena:
    """The arena in cells, cut wherever a buffer begins or ends, in one step after another."""

    cdef Cell *cells
    cdef Cell *idle  # what nobody else uses now
    cdef int count, idle_count, step, begun, ended
    cdef list beginning, ending  # (step, first cell, cell after the last) of all buffers
    cdef int64_t page
    cdef Span taken[FEW + 1]  # of one layer, by place
    cdef Span found[FEW]  # where each begins, and since when it is idle

    def __cinit__(self, list spans, int64_t size):
        cdef int n
        size = size // PAGE * PAGE
        edges = sorted({0, size, *[min(at, size) for low, high, _, _ in spans for at in (low, high)]})
        number = {at: n for n, at in enumerate(edges)}
        self.page, self.count = PAGE, len(edges) - 1
        self.cells = <Cell *>malloc((self.count + 1) * sizeof(Cell))
        self.idle = <Cell *>malloc((self.count + 1) * sizeof(Cell))
        if self.cells == NULL or self.idle == NULL:
            raise MemoryError
        for n in range(self.count):
            self.cells[n] = Cell(edges[n], edges[n + 1], 0, 0)
        places = [(number[min(low, size)], number[min(high, size)], first, last) for low, high, first, last in spans]
        self.beginning = sorted([(first, low, high) for low, high, first, _ in places])
        self.ending = sorted([(last, low, high) for low, high, _, last in places])

    def __dealloc__(self):
        free(self.cells)
        free(self.idle)

    cdef int go(self, int step) except -1:
        """Go on to a step, and see what is idle there."""
        cdef int n, low, high, at
        while self.begun < len(self.beginning) and <int>self.beginning[self.begun][0] <= step:
            _, low, high = self.beginning[self.begun]
            for n in range(low, high):
                self.cells[n].alive += 1
            self.begun += 1
        while self.ended < len(self.ending) and <int>self.ending[self.ended][0] < step:
            at, low, high = self.ending[self.ended]
            for n in range(low, high):
                self.cells[n].alive -= 1
                self.cells[n].since = at + 1
            self.ended += 1
        self.idle_count = 0
        for n in range(self.count):
            cell = &self.cells[n]
            if cell.alive:
                continue
            before = &self.idle[self.idle_count - 1]
            if self.idle_count and before.high == cell.low and before.since == cell.since:
                before.high = cell.high
            else:
                self.idle[self.idle_count] = cell[0]
                self.idle_count += 1
        return 0

    cdef int since(self, int64_t low, int64_t high) noexcept:
        cdef int n, found = 0
        for n in range(self.idle_count):
            if self.idle[n].low < high and low < self.idle[n].high:
                found = max(found, self.idle[n].since)
        return found

    cdef int cut(self, int64_t low, int64_t high, int64_t size, int most) noexcept:
        """As many landings as fit, those that are idle soonest first, none over the layer's own slots [low,
        high); returns how many."""
        cdef int n, many = 0, known = 0, since = -1, later
        self.taken[0] = Span(low, high)
        while many < most:
            later = -1
            for n in range(self.idle_count):
                if self.idle[n].since > since and (later < 0 or self.idle[n].since < later):
                    later = self.idle[n].since
            if later < 0:
                break
            since, n = later, 0
            while n < self.idle_count and many < most:
                if self.idle[n].since > since:
                    n += 1
                    continue
                low, high = self.idle[n].low, self.idle[n].high
                n += 1
                while n < self.idle_count and self.idle[n].since <= since and self.idle[n].low == high:
                    high = self.idle[n].high
                    n += 1
                many = self.fill(low, high, size, since, known + 1, many, most)
            while known < many:
                self.take(self.found[known].low, self.found[known].low + size, known + 1)
                known += 1
        return many

    cdef int fill(self, int64_t low, int64_t high, int64_t size, int since, int takens, int many,
                  int most) noexcept:
        """Landings between what is taken of [low, high)."""
        cdef int n
        cdef int64_t at = self.whole(low), until
        for n in range(takens + 1):
            until = min(self.taken[n].low, high) if n < takens else high
            if n < takens and (self.taken[n].high <= at or self.taken[n].low >= high):
                continue
            while at + size <= until and many < most:
                self.found[many] = Span(at, since)
                many += 1
                at += size
            if n < takens:
                at = max(at, self.whole(self.taken[n].high))
        return many

    cdef void take(self, int64_t low, int64_t high, int takens) noexcept:
        cdef int n = takens
        while n and self.taken[n - 1].low > low:
            self.taken[n] = self.taken[n - 1]
            n -= 1
        self.taken[n] = Span(low, high)

    cdef int64_t whole(self, int64_t at) noexcept:
        return (at + self.page - 1) // self.page * self.page


def landings_of(buffers, weights, dict until, arena):
    cdef Arena found
    cdef int64_t size, first, end
    cdef int n, slots
    own, last = {w.raw for w in weights}, max([b.last for b in buffers], default=0)
    spans = []
    for b in sorted([b for number, b in enumerate(buffers) if number not in own and b.bytes], key=by_offset):
        low, high, always = b.offset, (b.offset + b.bytes + 63) // 64 * 64, b.first <= 0 and b.last == last
        if always and spans and spans[len(spans) - 1][1:] == (low, -1, last):  # side by side: as one
            low = spans.pop()[0]
        spans.append((low, high, -1 if always else b.first, b.last))
    found, landings = Arena(spans, arena), [()] * len(weights)
    for number, step in sorted(until.items(), key=by_step):
        w = weights[number]
        if w.all_reads == w.resident:
            continue
        size, slots = slot_bytes(w.raw_filters, w.per_filter), w.slots
        first = found.whole(buffers[w.raw].offset)
        end = first + slots * size
        found.go(step)
        places = [Landing(first + n * size, found.since(first + n * size, first + (n + 1) * size))
                  for n in range(slots)]
        places += [Landing(found.found[n].low, found.found[n].high)
                   for n in range(found.cut(first, end, size, FEW - slots))]
        landings[number] = tuple(places)
    return landings


def by_offset(buffer):
    return buffer.offset


def by_step(item):
    return item[1]
