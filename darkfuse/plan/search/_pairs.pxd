"""Maps that share bytes, two by two."""
from libc.stdint cimport int64_t

ctypedef struct Pair:
    int64_t less
    int source, target


cdef inline bint shares_more(const Pair *one, const Pair *other) noexcept nogil:
    if one.less != other.less:
        return one.less > other.less
    return one.source > other.source or one.source == other.source and one.target > other.target


cdef inline int64_t most_shared(Pair *pairs, int count) noexcept nogil:
    """Bytes shared where every map is in one pair at most: those that share most first."""
    cdef int64_t saved = 0
    cdef int n, m, best
    cdef Pair chosen
    while count:
        best = m = 0
        for n in range(1, count):
            if shares_more(&pairs[n], &pairs[best]):
                best = n
        chosen = pairs[best]
        saved += chosen.less
        for n in range(count):
            if pairs[n].source != chosen.source and pairs[n].target != chosen.target:
                pairs[m] = pairs[n]
                m += 1
        count = m
    return saved
