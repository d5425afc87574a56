"""Ways to run one group, those kept that no other beats."""
from libc.stdint cimport int64_t

from darkfuse.plan.layout._grow cimport grown
from darkfuse.plan.search._labels cimport sign

ctypedef struct Offer:  # a way to run a group; bytes and milliseconds as in `option.Option`
    double ms, loading
    int64_t stage, pinned
    int alone  # its number among the ways of single pieces, or -1
    int down, across, cache  # tiles, and which of `CACHES`
    bint direct, loaded
    int streams  # layers that are streamed for every tile
    bint lean

ctypedef struct Offers:
    Offer *at
    int count, room


cdef inline int fastest_first(const void *a, const void *b) noexcept nogil:
    cdef const Offer *one = <const Offer *>a
    cdef const Offer *other = <const Offer *>b
    if one.ms != other.ms:
        return 1 if one.ms > other.ms else -1
    return sign(one.stage, other.stage) or sign(one.pinned, other.pinned)


cdef inline bint beats(const Offer *one, const Offer *other) noexcept nogil:
    return one.ms <= other.ms and one.stage <= other.stage and one.pinned <= other.pinned


cdef inline int choose(Offers *offers, Offer found) except -1:
    """Keep an offer that no other beats in stage bytes, pinned bytes and time at once."""
    cdef int n, kept = 0
    for n in range(offers.count):
        if beats(&offers.at[n], &found):
            return 0
    for n in range(offers.count):
        if not beats(&found, &offers.at[n]):
            offers.at[kept] = offers.at[n]
            kept += 1
    offers.at = <Offer *>grown(offers.at, kept + 1, &offers.room, sizeof(Offer))
    offers.at[kept] = found
    offers.count = kept + 1
    return 0


cdef inline int offer(Offers *offers, Offer found, int64_t reader, int64_t limit) except -1:
    """Offer a group with its weights pinned, and with its weights loaded."""
    if found.stage + found.pinned <= limit:
        choose(offers, found)
    found.stage, found.pinned = found.stage + found.pinned + reader, 0
    found.ms, found.loaded = found.ms + found.loading, True
    if found.stage <= limit:
        choose(offers, found)
    return 0
