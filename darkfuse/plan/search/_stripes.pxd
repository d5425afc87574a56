"""A tiled group whose largest weights are read for every tile: how many of its layers, and what it costs."""
from libc.stdint cimport int64_t

from darkfuse.plan.search._network cimport Piece
from darkfuse.plan.search._offers cimport Offer, Offers, choose

cdef extern from *:
    """
    static const double LOCKSTEP = 0.35; /* as in `price.cost`: what the team waits for its slowest thread */
    static const double HIDDEN = 0.05, HIDDEN_LEAN = 0.8; /* part of the shorter of reading and working seen */
    """
    const double LOCKSTEP, HIDDEN, HIDDEN_LEAN


cdef inline int kind(int chosen, bint direct, int lean) noexcept nogil:
    """Of `Piece.stripes`."""
    return (2 if not direct and chosen >= 0 else 0) + lean


cdef inline int stream(Offers *offers, Offer found, int64_t limit, Piece *pieces, const int *weighted, int count,
                       const int *chosen, const double *ms, int threads) except -1:
    """Offer a group in the fast way and in the lean one. So many layers are streamed that it takes the fewest bytes;
    the others' weights are loaded.

    weighted : the `count` pieces with weights, those with fewest bytes first
    chosen, ms : per piece, the strip of its Winograd kernel or -1, and milliseconds
    """
    cdef int lean, n, m, best, passes = found.down * found.across
    cdef int64_t loaded, slots, block, reader, size, least
    cdef double work, reading, loading
    cdef Offer striped = found
    for lean in range(2 if count else 0):
        loaded, best, least = 0, 0, 0
        for n in range(count):
            loaded += pieces[weighted[n]].packed
        slots = block = 0
        for n in range(count - 1, -1, -1):  # n lighter ones are loaded
            piece = &pieces[weighted[n]]
            way = &piece.stripes[kind(chosen[weighted[n]], found.direct, lean)]
            loaded -= piece.packed
            slots, block, reader = max(slots, way.slots), max(block, way.block), 0
            for m in range(n):
                reader = max(reader, pieces[weighted[m]].reader)
            size = loaded + max(slots, reader) + block
            if not best or size < least:
                best, least = count - n, size
        work, reading, loading = found.ms, 0.0, 0.0
        for n in range(count):
            piece = &pieces[weighted[n]]
            if n < count - best:
                loading += piece.loading
                continue
            way = &piece.stripes[kind(chosen[weighted[n]], found.direct, lean)]
            reading += passes * way.reading
            work += passes * way.turning
            if lean and threads > 1:
                work += LOCKSTEP * ms[weighted[n]]
        striped.ms = max(work, reading) + (HIDDEN_LEAN if lean else HIDDEN) * min(work, reading) + loading
        striped.stage, striped.pinned, striped.streams, striped.lean = found.stage + least, 0, best, lean
        if striped.stage <= limit:
            choose(offers, striped)
    return 0
