# cython: boundscheck=False
"""Where chains of blocks lie in the arena: the loop that placing them over and over is. See _arrange.pyi."""
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, qsort
from libc.string cimport memcpy, memset

ctypedef struct Ban:  # once `other` has its place, this one may not begin in (low, high) counted from there
    int other
    int64_t low, high

ctypedef struct Member:  # a block of a chain
    int first, last, chain
    int64_t at, size

ctypedef struct Span:
    int64_t low, high

ctypedef struct Turn:  # of a chain: the least key is placed first
    int64_t key, then
    int chain

cdef enum:
    ORDERS = 4

cdef class Chains:
    """What is placed: sizes, and per chain what it must keep away from; made of blocks in order of time."""

    cdef int count
    cdef int64_t *sizes
    cdef int *first  # steps chains are alive from and to
    cdef int *last
    cdef Turn *turns
    cdef Ban *bans  # of all chains, one chain's after another's
    cdef int *starts
    cdef char *low  # per chain, whether it goes into the lowest gap that holds it, not the smallest
    cdef Span *taken  # of one chain: room to sort in

    def __cinit__(self, list members, int count):
        cdef int n, m, blocks = len(members)
        cdef Member *member = <Member *>malloc((blocks + 1) * sizeof(Member))
        self.count = count
        self.starts = <int *>calloc(count + 2, sizeof(int))
        self.sizes = <int64_t *>calloc(count + 1, sizeof(int64_t))
        self.first = <int *>calloc(count + 1, sizeof(int))
        self.last = <int *>calloc(count + 1, sizeof(int))
        self.turns = <Turn *>calloc(count + 1, sizeof(Turn))
        self.low = <char *>calloc(count + 1, 1)
        if NULL in (member, self.starts, self.sizes, self.first, self.last, self.turns, self.low):
            free(member)
            raise MemoryError
        for n in range(blocks):
            member[n].first, member[n].last, member[n].chain, member[n].at, member[n].size = members[n]
        for n in range(blocks):
            one = &member[n]
            if not self.last[one.chain]:  # blocks come in order of time
                self.first[one.chain] = one.first
            self.last[one.chain] = max(self.last[one.chain], one.last + 1)
            self.sizes[one.chain] = max(self.sizes[one.chain], one.at + one.size)
            for m in range(n + 1, blocks):
                if member[m].first > one.last:  # so do all that follow
                    break
                if member[m].chain != one.chain:
                    self.starts[one.chain + 2] += 1
                    self.starts[member[m].chain + 2] += 1
        for n in range(count):
            self.starts[n + 2] += self.starts[n + 1]
        self.bans = <Ban *>malloc((self.starts[count + 1] + 1) * sizeof(Ban))
        self.taken = <Span *>malloc((self.starts[count + 1] + 1) * sizeof(Span))
        if NULL in (self.bans, self.taken):
            free(member)
            raise MemoryError
        for n in range(blocks):
            for m in range(n + 1, blocks):
                if member[m].first > member[n].last:
                    break
                if member[m].chain != member[n].chain:
                    self.ban(&member[n], &member[m])
                    self.ban(&member[m], &member[n])
        free(member)

    cdef void ban(self, const Member *one, const Member *other) noexcept nogil:
        """Keep the chain of a block away from another's, whose block is alive at the same time."""
        # `starts` of the next chain is where this one's bans have come to
        self.bans[self.starts[one.chain + 1]] = Ban(other.chain, other.at - one.at - one.size,
                                                    other.at + other.size - one.at)
        self.starts[one.chain + 1] += 1

    def __dealloc__(self):
        free(self.first)
        free(self.last)
        free(self.turns)
        free(self.sizes)
        free(self.bans)
        free(self.starts)
        free(self.low)
        free(self.taken)

    cdef void sort(self, int which, int *order) noexcept nogil:
        """One of the orders in which chains may be placed: by size, by size and life together, by life, by
        beginning."""
        cdef int n
        cdef int64_t size, life
        for n in range(self.count):
            size, life = self.sizes[n], self.last[n] - self.first[n]
            if which == 0:
                self.turns[n] = Turn(-size, -life, n)
            elif which == 1:
                self.turns[n] = Turn(-size * life, 0, n)
            elif which == 2:
                self.turns[n] = Turn(-life, -size, n)
            else:
                self.turns[n] = Turn(self.first[n], -size, n)
        qsort(self.turns, self.count, sizeof(Turn), by_turn)
        for n in range(self.count):
            order[n] = self.turns[n].chain

    cdef int64_t place(self, const int *order, const int *turn, char *stale, int64_t *placed,
                       int64_t most) noexcept nogil:
        """Give stale chains their places, in order; `turn` is where each chain is in that. Where a place is not
        what it was, chains that keep away from it and come later are stale, too. Returns the highest end; more
        than `most` where placing ended because of that."""
        cdef int64_t highest = 0, found
        cdef int n, chain, at, other
        for n in range(self.count):
            chain = order[n]
            if stale[chain]:
                found = self.place_of(chain, turn, placed)
                if found != placed[chain]:
                    placed[chain] = found
                    for at in range(self.starts[chain], self.starts[chain + 1]):
                        other = self.bans[at].other
                        if turn[other] > n:
                            stale[other] = 1
            highest = max(highest, placed[chain] + self.sizes[chain])
            if highest > most:
                break
        return highest

    cdef int64_t place_of(self, int chain, const int *turn, const int64_t *placed) noexcept nogil:
        """Between chains that had their turn before: the smallest gap that holds it, or the lowest, or else on
        top of its neighbours."""
        cdef int64_t top = 0, choice = -1, slack = 0, low, high
        cdef Span *taken = self.taken
        cdef Ban *ban
        cdef int count = 0, at
        for at in range(self.starts[chain], self.starts[chain + 1]):
            ban = &self.bans[at]
            if turn[ban.other] > turn[chain]:
                continue
            low, high = placed[ban.other] + ban.low, placed[ban.other] + ban.high
            if high <= 0:
                continue
            taken[count].low, taken[count].high = low, high
            count += 1
        sort(taken, count)
        for at in range(count):
            low, high = taken[at].low, taken[at].high
            if low >= top and (choice < 0 or low - top < slack and not self.low[chain]):
                choice, slack = top, low - top
            top = max(top, high)
        return choice if choice >= 0 else top


cdef int by_turn(const void *a, const void *b) noexcept nogil:
    cdef const Turn *one = <const Turn *>a
    cdef const Turn *other = <const Turn *>b
    if one.key != other.key:
        return 1 if one.key > other.key else -1
    if one.then != other.then:
        return 1 if one.then > other.then else -1
    return one.chain - other.chain


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


def arrange(list members, int count, int tries, int64_t goal):
    cdef Chains chains = Chains(sorted(members), count)
    cdef size_t room = count * sizeof(int64_t)
    cdef int *order = <int *>malloc(count * sizeof(int))
    cdef int *changed_order = <int *>malloc(count * sizeof(int))
    cdef int *movers = <int *>malloc(count * sizeof(int))
    cdef int *turn = <int *>malloc(count * sizeof(int))
    cdef char *beside = <char *>malloc(count)
    cdef char *stale = <char *>malloc(count)
    cdef int64_t *placed = <int64_t *>malloc(room)
    cdef int64_t *changed = <int64_t *>malloc(room)
    cdef int64_t *best = <int64_t *>malloc(room)
    cdef int64_t top = -1, least, end
    cdef uint64_t chance = 1
    cdef int n, at, crown, moving, old, new, mover, other
    cdef bint other_gap
    try:
        if NULL in (order, changed_order, movers, turn, beside, stale, placed, changed, best):
            raise MemoryError
        for at in range(ORDERS):
            if 0 <= top <= goal:
                break
            chains.sort(at, changed_order)
            for n in range(count):
                turn[changed_order[n]], changed[n], stale[n] = n, -1, 1
            end = chains.place(changed_order, turn, stale, changed, top - 1 if top >= 0 else <int64_t>1 << 62)
            if top < 0 or end < top:
                order, changed_order = changed_order, order
                placed, changed = changed, placed
                top = end
        memcpy(best, placed, room)
        least = top
        for n in range(count):
            turn[order[n]] = n
        for _ in range(tries):
            if least <= goal:
                break
            # Whatever is alive with a block at the top may be in its way: one of those gets another turn, as
            # often as not that of another one, or goes for the other kind of gap.
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
            if chance >> 18 & 1:
                new = movers[(chance >> 32) % <uint64_t>moving]
            mover, other_gap = order[old], not chance >> 20 & 3
            if other_gap:
                new, chains.low[mover] = old, not chains.low[mover]
            memcpy(changed_order, order, count * sizeof(int))
            for n in range(old, new):
                changed_order[n] = order[n + 1]
            for n in range(new, old):
                changed_order[n + 1] = order[n]
            changed_order[new] = mover
            for n in range(min(old, new), max(old, new) + 1):
                turn[changed_order[n]] = n
            memset(stale, 0, count)
            stale[mover] = 1
            for at in range(chains.starts[mover], chains.starts[mover + 1]):
                other = chains.bans[at].other  # it comes before the mover now and came after it, or the reverse
                if min(old, new) <= turn[other] <= max(old, new):
                    stale[other] = 1
            memcpy(changed, placed, room)
            end = chains.place(changed_order, turn, stale, changed, top)
            if end <= top:
                order, changed_order = changed_order, order
                placed, changed = changed, placed
                top = end
                if end < least:
                    memcpy(best, placed, room)
                    least = end
            else:
                for n in range(min(old, new), max(old, new) + 1):
                    turn[order[n]] = n
                if other_gap:
                    chains.low[mover] = not chains.low[mover]
        return [best[n] for n in range(count)], least
    finally:
        free(order)
        free(changed_order)
        free(movers)
        free(turn)
        free(beside)
        free(stale)
        free(placed)
        free(changed)
        free(best)


cdef int next_at(const int *order, const int64_t *placed, const int64_t *sizes, int64_t top) noexcept nogil:
    """The first chain in `order` that ends at `top`."""
    cdef int n = 0
    while placed[order[n]] + sizes[order[n]] != top:
        n += 1
    return order[n]
