# cython: boundscheck=False
"""Where chains of blocks lie in the arena: the loop that placing them over and over is. See _arrange.pyi."""
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

ctypedef struct Ban:  # once `other` has its place, this one may not begin in (low, high) counted from there
    int other
    int64_t low, high

ctypedef struct Span:
    int64_t low, high

cdef class Chains:
    """What is placed: sizes, and per chain what it must keep away from."""

    cdef int count
    cdef int64_t *sizes
    cdef Ban *bans  # of all chains, one chain's after another's
    cdef int *starts
    cdef Span *taken  # of one chain: room to sort in

    def __cinit__(self, list members, int count):
        cdef int which, other, mine, its, n
        cdef int64_t size, at, its_size, its_at
        cdef Ban *ban
        found = pairs(members, count)
        self.count = count
        self.starts = <int *>malloc((count + 2) * sizeof(int))
        self.sizes = <int64_t *>malloc((count + 1) * sizeof(int64_t))
        if self.starts == NULL or self.sizes == NULL:
            raise MemoryError
        total = sum(map(len, found))
        self.bans = <Ban *>malloc((total + 1) * sizeof(Ban))
        self.taken = <Span *>malloc((max(map(len, found)) + 1) * sizeof(Span))
        if self.bans == NULL or self.taken == NULL:
            raise MemoryError
        n = 0
        for which in range(count):
            self.starts[which] = n
            self.sizes[which] = 0
            for mine, its in found[which]:
                other, at, size = members[mine][2:]
                ban = &self.bans[n]
                ban.other, its_at, its_size = members[its][2:]
                ban.low, ban.high = its_at - at - size, its_at + its_size - at
                n += 1
        self.starts[count] = n
        for member in members:
            which, at, size = member[2:]
            self.sizes[which] = max(self.sizes[which], at + size)

    def __dealloc__(self):
        free(self.sizes)
        free(self.bans)
        free(self.starts)
        free(self.taken)

    cdef int64_t place(self, const int *order, int done, int64_t *placed, int64_t most) noexcept nogil:
        """Give chains from `order[done]` on their places, each in the smallest gap that holds it, or else on
        top of its neighbours; `placed` is -1 for what has none yet. Returns the highest end; more than `most`
        where placing ended because of that."""
        cdef int64_t highest = 0, top, choice, slack, low, high
        cdef Span *taken = self.taken
        cdef Ban *ban
        cdef int n, chain, count, at
        for n in range(done):
            highest = max(highest, placed[order[n]] + self.sizes[order[n]])
        for n in range(done, self.count):
            chain, count = order[n], 0
            for at in range(self.starts[chain], self.starts[chain + 1]):
                ban = &self.bans[at]
                if placed[ban.other] < 0:
                    continue
                low, high = placed[ban.other] + ban.low, placed[ban.other] + ban.high
                if high <= 0:
                    continue
                taken[count].low, taken[count].high = low, high
                count += 1
            sort(taken, count)
            top, choice, slack = 0, -1, 0
            for at in range(count):
                low, high = taken[at].low, taken[at].high
                if low >= top and (choice < 0 or low - top < slack):
                    choice, slack = top, low - top
                top = max(top, high)
            placed[chain] = choice if choice >= 0 else top
            highest = max(highest, placed[chain] + self.sizes[chain])
            if highest > most:
                break
        return highest


cdef list pairs(list members, int count):
    """Per chain, pairs of members (its own, another chain's) that are alive at the same time."""
    cdef list found = [[] for _ in range(count)], here = []
    cdef int number, other, first, which
    for number in sorted(range(len(members)), key=members.__getitem__):
        first, _, which = members[number][:3]
        here = [other for other in here if members[other][1] >= first]
        for other in here:
            if members[other][2] != which:
                found[which].append((number, other))
                found[members[other][2]].append((other, number))
        here.append(number)
    return found


cdef void sort(Span *spans, int count) noexcept nogil:
    """By `low`: shell sort, for some tens of spans that are partly in order."""
    cdef int gap = 1, n, at
    cdef Span span
    while gap < count // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for n in range(gap, count):
            span, at = spans[n], n
            while at >= gap and spans[at - gap].low > span.low:
                spans[at] = spans[at - gap]
                at -= gap
            spans[at] = span
        gap //= 3


def arrange(list members, int count, list orders, int tries, int64_t goal):
    cdef Chains chains = Chains(members, count)
    cdef size_t room = count * sizeof(int64_t)
    cdef int *order = <int *>malloc(count * sizeof(int))
    cdef int *changed_order = <int *>malloc(count * sizeof(int))
    cdef int *movers = <int *>malloc(count * sizeof(int))
    cdef char *beside = <char *>malloc(count)
    cdef int64_t *placed = <int64_t *>malloc(room)
    cdef int64_t *changed = <int64_t *>malloc(room)
    cdef int64_t *best = <int64_t *>malloc(room)
    cdef int64_t top = -1, least, end
    cdef uint64_t chance = 1
    cdef int n, at, crown, moving, old, new
    try:
        if NULL in (order, changed_order, movers, beside, placed, changed, best):
            raise MemoryError
        for start in orders:
            if 0 <= top <= goal:
                break
            for n in range(count):
                changed_order[n], changed[n] = start[n], -1
            end = chains.place(changed_order, 0, changed, top - 1 if top >= 0 else <int64_t>1 << 62)
            if top < 0 or end < top:
                order, changed_order = changed_order, order
                placed, changed = changed, placed
                top = end
        memcpy(best, placed, room)
        least = top
        for _ in range(tries):
            if least <= goal:
                break
            # Whatever is alive with a block at the top may be in its way: one of those gets another turn.
            chance = chance * 6364136223846793005U + 1442695040888963407U
            crown = next_at(order, placed, chains.sizes, top)
            for n in range(count):
                beside[n] = n == crown
            for at in range(chains.starts[crown], chains.starts[crown + 1]):
                beside[chains.bans[at].other] = 1
            moving = 0
            for n in range(count):
                if beside[order[n]]:
                    movers[moving] = n
                    moving += 1
            old = movers[(chance >> 48) % <uint64_t>moving]
            new = (chance >> 32) % <uint64_t>count
            memcpy(changed_order, order, count * sizeof(int))
            for n in range(old, new):
                changed_order[n] = order[n + 1]
            for n in range(new, old):
                changed_order[n + 1] = order[n]
            changed_order[new] = order[old]
            memcpy(changed, placed, room)
            for n in range(min(old, new), count):
                changed[changed_order[n]] = -1
            end = chains.place(changed_order, min(old, new), changed, top)
            if end <= top:
                order, changed_order = changed_order, order
                placed, changed = changed, placed
                top = end
                if end < least:
                    memcpy(best, placed, room)
                    least = end
        return [best[n] for n in range(count)], least
    finally:
        free(order)
        free(changed_order)
        free(movers)
        free(beside)
        free(placed)
        free(changed)
        free(best)


cdef int next_at(const int *order, const int64_t *placed, const int64_t *sizes, int64_t top) noexcept nogil:
    """The first chain in `order` that ends at `top`."""
    cdef int n = 0
    while placed[order[n]] + sizes[order[n]] != top:
        n += 1
    return order[n]
