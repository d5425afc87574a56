# cython: boundscheck=False
"""Paths through the cuts of a network: the loops that try a hundred thousand labels. See _paths.pyi."""
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc, qsort
from libc.string cimport memcpy

from darkfuse.plan.search._labels cimport Label, Labels, add, thin
from darkfuse.plan.search._offers cimport Offer, fastest_first
from darkfuse.plan.search._ways cimport Ways

cdef double NEVER = float("inf")

cdef double DEAR = 1000.0  # milliseconds a byte: what no byte is pinned at that need not be
cdef double SAME = 1 + 1e-9  # times a sum of milliseconds: the same one, added up otherwise

ctypedef struct Way:  # to run the pieces between two cuts, by its number in `Paths.way`
    int64_t stage, pinned
    double ms
    int number
    int64_t least  # pinned before it of the labels it was tried with, where its stage is the largest

ctypedef struct Edge:  # from cut a to cut b, by ways [first, last), fastest first
    int a, b, first, last

ctypedef struct Tail:  # from a cut to the end, the cheapest path at some price, and the way it begins with
    double cost, ms
    int64_t stage, pinned
    int way, next


cdef class Paths:

    cdef Ways ways
    cdef readonly int many
    cdef int count, edges
    cdef Edge *edge
    cdef Offer *way
    cdef int64_t *floor
    cdef char *lean  # whether no other way between two cuts is as small in stage and pinned bytes
    # of one question: ways that can be part of an answer, those between two cuts (at last, none); room for paths
    cdef int64_t limit
    cdef Way *asked
    cdef Edge *between
    cdef Tail *tails[3]
    cdef readonly object known  # the fastest path that was seen to fit, as `labels` tells it
    cdef readonly double known_ms
    # the same of one band of stages
    cdef Way *few
    cdef Edge *band

    def __cinit__(self, int count, Ways ways):
        cdef int n, a, b
        spans = sorted(ways.numbers)
        self.ways, self.count, self.edges = ways, count, len(spans)
        self.edge = <Edge *>malloc((self.edges + 1) * sizeof(Edge))
        self.between = <Edge *>malloc((self.edges + 1) * sizeof(Edge))
        self.band = <Edge *>malloc((self.edges + 1) * sizeof(Edge))
        self.floor = <int64_t *>malloc((count + 1) * sizeof(int64_t))
        for n in range(3):
            self.tails[n] = <Tail *>malloc((count + 1) * sizeof(Tail))
        for n in range(ways.count):
            self.many += ways.spans[n].count
        self.way = <Offer *>malloc((self.many + 1) * sizeof(Offer))
        self.asked = <Way *>malloc((self.many + 1) * sizeof(Way))
        self.lean = <char *>malloc(self.many + 1)
        if NULL in (self.edge, self.between, self.band, self.floor, self.tails[0], self.tails[1], self.tails[2],
                    self.way, self.asked, self.lean):
            raise MemoryError
        self.many = 0
        for n, (a, b) in enumerate(spans):
            offers = ways.between(a, b)
            if offers.count:  # else there is no array
                memcpy(&self.way[self.many], offers.at, offers.count * sizeof(Offer))
                qsort(&self.way[self.many], offers.count, sizeof(Offer), fastest_first)
            self.edge[n] = Edge(a, b, self.many, self.many + offers.count)
            for b in range(self.many, self.many + offers.count):
                self.lean[b] = not self._leaner(b, &self.edge[n])
            self.many += offers.count
        self._set_floors()

    def __dealloc__(self):
        cdef int n
        for n in range(3):
            free(self.tails[n])
        free(self.edge)
        free(self.between)
        free(self.band)
        free(self.floor)
        free(self.way)
        free(self.asked)
        free(self.lean)

    def option(self, int number):
        cdef int n = 0
        while self.edge[n].last <= number:
            n += 1
        return self.ways.told(self.edge[n].a, self.edge[n].b, &self.way[number])

    def span(self, int a, int b):
        cdef int n
        for n in range(self.edges):
            if self.edge[n].a == a and self.edge[n].b == b:
                return range(self.edge[n].first, self.edge[n].last)
        return range(0)

    cdef void _set_floors(self):
        cdef int number, n
        cdef int64_t least
        for n in range(self.count):
            self.floor[n] = <int64_t>1 << 62
        self.floor[self.count] = 0
        for number in reversed(range(self.edges)):
            edge = self.edge[number]
            least = <int64_t>1 << 62
            for n in range(edge.first, edge.last):
                least = min(least, self.way[n].stage)
            self.floor[edge.a] = min(self.floor[edge.a], max(self.floor[edge.b], least))

    def floors(self):
        return [self.floor[n] for n in range(self.count + 1)]

    def ask(self, int64_t limit, int64_t easy):
        cdef int number, n, many = 0
        self.limit, self.known, self.known_ms = limit, None, NEVER
        for number in range(self.edges):
            edge = self.edge[number]
            self.between[number] = Edge(edge.a, edge.b, many, many)
            for n in range(edge.first, edge.last):
                way = &self.way[n]
                if max(way.stage, self.floor[0]) + way.pinned <= limit and (way.stage <= easy or self.lean[n]):
                    self.asked[many] = Way(way.stage, way.pinned, way.ms, n, <int64_t>1 << 62)
                    many += 1
            self.between[number].last = many
        self.between[self.edges] = Edge(self.count, self.count, many, many)

    def bound(self, int64_t low, int64_t high):
        cdef Tail *fast = self.tails[0]
        cdef Tail *lean = self.tails[1]
        cdef Tail *found = fast
        cdef int64_t room = self.limit - low
        cdef double price = 0.0
        self._cheapest(0.0, high, fast)
        self._try(fast, fast)
        if fast.pinned > room:
            self._cheapest(DEAR, high, lean)
            if lean.pinned > room:
                return NEVER, 0.0, []
            found = self.tails[2]
            while True:
                price = (lean.ms - fast.ms) / (fast.pinned - lean.pinned)
                self._cheapest(price, high, found)
                if found.cost * SAME >= fast.ms + price * fast.pinned:
                    break
                if found.pinned > room:
                    fast, found = found, fast
                else:
                    lean, found = found, lean
            self._try(fast, lean)
            self._try(lean, fast)
        return found.cost - price * room, price, [found[n].cost for n in range(self.count + 1)]

    def rest(self, double price):
        self._cheapest(price, self.limit, self.tails[0])
        return [self.tails[0][n].cost for n in range(self.count + 1)]

    def drop(self, double price, list rest):
        self._screen(self.asked, self.between, self.asked, self.between, price,
                     SAME * self.known_ms + price * self.limit, rest, self.floor[0], self.limit, True)

    def labels(self, int keep, double price, double slowest, list rest, int64_t low, int64_t high):
        cdef list found = self._labels(keep, price, slowest + price * self.limit, rest, max(low, self.floor[0]), high,
                                       True)
        if found and <double>found[0][0] < self.known_ms:
            self.known, self.known_ms = found[0], found[0][0]
        return found

    def smallest(self, int64_t limit, int keep, bint lean):
        self.ask(limit, 0 if lean else limit)
        return self._labels(keep, 0.0, NEVER, [0.0] * (self.count + 1), 0, limit, False)

    cdef void _cheapest(self, double price, int64_t high, Tail *tail) noexcept nogil:
        """From every cut to the end, the path that is cheapest with a pinned byte at `price`, of ways of up to
        `high` stage bytes."""
        cdef int number, n, best
        cdef double cost, least
        for n in range(self.count):
            tail[n] = Tail(NEVER, NEVER, 0, 0, -1, -1)
        tail[self.count] = Tail(0.0, 0.0, 0, 0, -1, -1)
        for number in range(self.edges - 1, -1, -1):
            edge = &self.between[number]
            after, before = &tail[edge.b], &tail[edge.a]
            least, best = before.cost - after.cost, -1
            for n in range(edge.first, edge.last):
                way = &self.asked[n]
                cost = way.ms + price * way.pinned
                if cost < least and way.stage <= high:
                    least, best = cost, n
            if best >= 0:
                way = &self.asked[best]
                before[0] = Tail(after.cost + least, after.ms + way.ms, max(after.stage, way.stage),
                                 after.pinned + way.pinned, best, edge.b)

    cdef int _try(self, const Tail *one, const Tail *other) except -1:
        """Note the fastest path that fits, of those that begin as `one` does and end as `other`, if it is faster
        than the one known."""
        cdef Label path = Label(0.0, 0, 0, -1, -1)
        cdef Label best
        cdef int cut = 0, crossing = -1
        while True:
            after = &other[cut]
            if path.ms + after.ms < self.known_ms \
                    and max(path.stage, after.stage) + path.pinned + after.pinned <= self.limit:
                self.known_ms, crossing = path.ms + after.ms, cut
                best = Label(self.known_ms, max(path.stage, after.stage), path.pinned + after.pinned, -1, -1)
            if one[cut].way < 0:  # the last cut
                break
            way = &self.asked[one[cut].way]
            path = Label(path.ms + way.ms, max(path.stage, way.stage), path.pinned + way.pinned, -1, -1)
            cut = one[cut].next
        if crossing >= 0:
            self.known = best.ms, best.stage, best.pinned, self._ways_of(one, crossing, other)
        return 0

    cdef list _ways_of(self, const Tail *one, int crossing, const Tail *other):
        """The ways of a path that goes on as `other` does from some cut on."""
        cdef int cut = 0
        cdef list ways = []
        while cut < self.count:
            after = &one[cut] if cut < crossing else &other[cut]
            ways.append(self.asked[after.way].number)
            cut = after.next
        return ways

    cdef bint _leaner(self, int number, const Edge *edge) noexcept nogil:
        """Whether another way between two cuts is as small as this one in stage and pinned bytes."""
        cdef int n
        cdef Offer *one
        cdef Offer *way = &self.way[number]
        for n in range(edge.first, edge.last):
            one = &self.way[n]
            if n != number and one.stage <= way.stage and one.pinned <= way.pinned \
                    and (n < number or one.stage < way.stage or one.pinned < way.pinned):
                return True
        return False

    cdef int _screen(self, const Way *ways, const Edge *edges, Way *few, Edge *between, double price, double slowest,
                     list rest, int64_t low, int64_t high, bint timed) except -1:
        """Note in `few` those of `ways` that can be part of an answer: what a path must take before and after
        such a way is no less than the least at this price. Timed: of ways between two cuts, none that a faster
        one beats. No stage is told from others of less than `low` bytes; none has more than `high`."""
        cdef int number, n, m, first, many = 0
        cdef double least, after
        cdef Way way
        cdef Edge edge
        cdef double *start = <double *>malloc((self.count + 1) * sizeof(double))
        if start == NULL:
            raise MemoryError
        for n in range(self.count + 1):
            start[n] = NEVER if n else 0.0
        for number in range(self.edges):
            edge, first = edges[number], many
            after = rest[edge.b]
            for n in range(edge.first, edge.last):
                way = ways[n]
                if way.stage > high:
                    continue
                least = start[edge.a] + way.ms + price * way.pinned
                start[edge.b] = min(start[edge.b], least)
                way.stage = max(way.stage, low)
                if way.stage + way.pinned > self.limit or least + after + price * way.stage > slowest:
                    continue
                m = first if timed else many
                while m < many and (few[m].stage > way.stage or few[m].pinned > way.pinned):
                    m += 1
                if m == many:
                    few[many] = way
                    many += 1
            between[number] = Edge(edge.a, edge.b, first, many)
        between[self.edges] = Edge(self.count, self.count, many, many)
        free(start)
        return 0

    cdef list _labels(self, int keep, double price, double slowest, list rest, int64_t low, int64_t high, bint timed):
        """Labels at the last cut; `timed`: none that another beats in time, stage and pinned bytes, else none
        that another beats in stage and pinned bytes."""
        cdef Labels *found = <Labels *>malloc((self.count + 1) * sizeof(Labels))
        cdef Labels kept = Labels(NULL, 0, 0)
        cdef Label label, before
        cdef int number = 0, cut, n, begin = 0, at
        cdef int64_t floor, stage, most
        cdef double room, left, quick
        # Of many bands few ways are left; else there will be no other question about those that were asked for
        self.few = <Way *>malloc((self.between[self.edges].first + 1) * sizeof(Way)) if timed else self.asked
        if found == NULL or self.few == NULL:
            free(found)
            raise MemoryError
        for cut in range(self.count + 1):
            found[cut] = Labels(NULL, 0, 0)
        try:
            self._screen(self.asked, self.between, self.few, self.band, price, slowest, rest, low, high, timed)
            add(&kept, Label(0.0, low, 0, -1, -1))
            for cut in range(self.count + 1):
                if cut:
                    begin = kept.count
                    thin(&found[cut], keep, price, low, timed, &kept)
                    free(found[cut].at)
                    found[cut].at = NULL
                while number < self.edges and self.band[number].a == cut:
                    edge = self.band[number]
                    floor, room = self.floor[edge.b], slowest - <double>rest[edge.b]
                    for at in range(begin, kept.count):
                        before = kept.at[at]
                        left, most = room - before.ms - price * before.pinned, self.limit - before.pinned
                        quick = left - price * max(before.stage, floor)
                        for n in range(edge.first, edge.last):
                            way = self.few[n]
                            if timed and way.ms > quick:
                                break  # ways come fastest first
                            if timed and before.stage <= way.stage:  # and so do labels
                                if before.pinned >= way.least:
                                    continue
                                self.few[n].least = before.pinned
                            stage = max(way.stage, before.stage)
                            if stage + way.pinned <= most \
                                    and way.ms + price * (way.pinned + max(stage, floor)) <= left:
                                label = Label(before.ms + way.ms, stage, before.pinned + way.pinned, at,
                                              way.number)
                                add(&found[edge.b], label)
                    number += 1
            return [self._told(&kept, n) for n in range(begin, kept.count)]
        finally:
            for cut in range(self.count + 1):
                free(found[cut].at)
            free(found)
            free(kept.at)
            if timed:
                free(self.few)

    cdef tuple _told(self, Labels *kept, int number):
        cdef Label label = kept.at[number]
        cdef list ways = []
        while kept.at[number].back >= 0:
            ways.append(kept.at[number].way)
            number = kept.at[number].back
        ways.reverse()
        return label.ms, label.stage, label.pinned, ways
