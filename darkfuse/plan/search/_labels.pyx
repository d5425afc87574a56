# cython: boundscheck=False
"""Labels at one cut: paths that lead there, of which those that no other beats are gone on from."""
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free, malloc, qsort
from libc.string cimport memmove

from darkfuse.plan.layout._grow cimport grown

ctypedef struct Step:
    int64_t stage, pinned

ctypedef struct Cost:  # of a label, in time and bytes together
    double price
    int label


cdef int add(Labels *labels, Label label) except -1:
    labels.at = <Label *>grown(labels.at, labels.count + 1, &labels.room, sizeof(Label))
    labels.at[labels.count] = label
    labels.count += 1
    return 0


cdef int thin(Labels *found, int keep, double price, int64_t floor, bint timed, Labels *kept) except -1:
    """Append to `kept` at most `keep` labels that no other beats. Timed: half of them the cheapest with bytes
    beyond a stage of `floor` at `price`, the others spread evenly from the fastest to the smallest, and the
    smallest, in order of time; else those with the fewest bytes."""
    cdef int n, many = undominated(found, timed), half = keep // 2, begin = kept.count, smallest = 0
    cdef char *chosen
    cdef Cost *costs
    cdef Label *at = found.at
    if not many:  # there is no array to sort then
        return 0
    if many > keep and timed:
        chosen, costs = <char *>calloc(many, 1), <Cost *>malloc(many * sizeof(Cost))
        if chosen == NULL or costs == NULL:
            free(chosen)
            free(costs)
            raise MemoryError
        for n in range(many):
            costs[n] = Cost(at[n].ms + price * (max(at[n].stage, floor) + at[n].pinned), n)
            if bytes_of(&at[n]) < bytes_of(&at[smallest]):
                smallest = n
        chosen[smallest] = 1
        qsort(costs, many, sizeof(Cost), by_price)
        for n in range(half):
            chosen[costs[n].label] = 1
        for n in range(keep - half):
            chosen[<int>(n * (many / <double>(keep - half)))] = 1
        for n in range(many):
            if chosen[n]:
                add(kept, at[n])
        free(chosen)
        free(costs)
        return 0
    if not timed:
        qsort(at, many, sizeof(Label), by_bytes)
        many = min(many, keep)
    for n in range(many):
        add(kept, at[n])
    return 0


cdef int undominated(Labels *found, bint timed) except -1:
    """Move the labels that no other beats to the front, in order; returns how many. A staircase of (stage,
    pinned) tells in one look whether a label is beaten."""
    cdef int n, kept = 0, steps = 0, low, high, middle, end
    cdef Label *at = found.at
    cdef Label label
    if not found.count:  # there is no array to sort then
        return 0
    if not timed:
        qsort(at, found.count, sizeof(Label), by_stage)
        for n in range(found.count):
            if not kept or at[n].pinned < at[kept - 1].pinned:
                at[kept] = at[n]
                kept += 1
        return kept
    qsort(at, found.count, sizeof(Label), by_time)
    cdef Step *stairs = <Step *>malloc((found.count + 1) * sizeof(Step))
    if stairs == NULL:
        raise MemoryError
    for n in range(found.count):  # stages rise from step to step, pinned bytes fall
        label = at[n]
        low, high = 0, steps
        while low < high:
            middle = (low + high) // 2
            if stairs[middle].stage <= label.stage:
                low = middle + 1
            else:
                high = middle
        if low and stairs[low - 1].pinned <= label.pinned:
            continue
        end = low
        while end < steps and stairs[end].pinned >= label.pinned:
            end += 1
        if low and stairs[low - 1].stage == label.stage:
            low -= 1
        memmove(&stairs[low + 1], &stairs[end], (steps - end) * sizeof(Step))
        steps += low + 1 - end
        stairs[low] = Step(label.stage, label.pinned)
        at[kept] = label
        kept += 1
    free(stairs)
    return kept


cdef inline int64_t bytes_of(const Label *label) noexcept nogil:
    return label.stage + label.pinned


cdef int by_price(const void *a, const void *b) noexcept nogil:
    cdef const Cost *one = <const Cost *>a
    cdef const Cost *other = <const Cost *>b
    if one.price != other.price:
        return 1 if one.price > other.price else -1
    return sign(one.label, other.label)


cdef int by_time(const void *a, const void *b) noexcept nogil:
    cdef const Label *one = <const Label *>a
    cdef const Label *other = <const Label *>b
    if one.ms != other.ms:
        return 1 if one.ms > other.ms else -1
    return sign(bytes_of(one), bytes_of(other)) or sign(one.stage, other.stage) or in_turn(one, other)


cdef int by_stage(const void *a, const void *b) noexcept nogil:
    cdef const Label *one = <const Label *>a
    cdef const Label *other = <const Label *>b
    cdef int found = sign(one.stage, other.stage) or sign(one.pinned, other.pinned)
    if not found and one.ms != other.ms:
        return 1 if one.ms > other.ms else -1
    return found or in_turn(one, other)


cdef int by_bytes(const void *a, const void *b) noexcept nogil:
    cdef const Label *one = <const Label *>a
    cdef const Label *other = <const Label *>b
    return sign(bytes_of(one), bytes_of(other)) or sign(one.stage, other.stage) or in_turn(one, other)


cdef int in_turn(const Label *one, const Label *other) noexcept nogil:
    """Labels alike in all they cost: the one that was tried first, whatever qsort does with them."""
    return sign(one.back, other.back) or sign(one.way, other.way)
