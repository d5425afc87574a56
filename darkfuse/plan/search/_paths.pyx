# cython: boundscheck=False
"""Paths through the cuts of a network: the loops that try a hundred thousand labels. See _paths.pyi."""
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free, malloc, qsort
from libc.string cimport memcpy

from darkfuse.plan.search._labels cimport Label, Labels, add, sign, thin
from darkfuse.plan.search._offers cimport Offer
from darkfuse.plan.search._ways cimport Ways

cdef double NEVER = float("inf")

ctypedef struct Way:  # to run the pieces between two cuts, by its number in `Paths.way`
    int64_t stage, pinned
    double ms
    int number
    int64_t least  # pinned before it of the labels it was tried with, where its stage is the largest

ctypedef struct Edge:  # from cut a to cut b, by ways [first, last), fastest first
    int a, b, first, last


cdef class Paths:

    cdef Ways ways
    cdef readonly int many
    cdef int count, edges
    cdef Edge *edge
    cdef Offer *way
    cdef int64_t *floor
    cdef char *lean  # whether no other way between two cuts is as small in stage and pinned bytes
    # of one question: ways that can be part of an answer, and those between two cuts
    cdef Way *few
    cdef Edge *between

    def __cinit__(self, int count, Ways ways):
        cdef int n, a, b
        spans = sorted(ways.numbers)
        self.ways, self.count, self.edges = ways, count, len(spans)
        self.edge = <Edge *>malloc((self.edges + 1) * sizeof(Edge))
        self.between = <Edge *>malloc((self.edges + 1) * sizeof(Edge))
        self.floor = <int64_t *>malloc((count + 1) * sizeof(int64_t))
        for n in range(ways.count):
            self.many += ways.spans[n].count
        self.way = <Offer *>malloc((self.many + 1) * sizeof(Offer))
        self.few = <Way *>malloc((self.many + 1) * sizeof(Way))
        self.lean = <char *>malloc(self.many + 1)
        if NULL in (self.edge, self.between, self.floor, self.way, self.few, self.lean):
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
        free(self.edge)
        free(self.between)
        free(self.floor)
        free(self.way)
        free(self.few)
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

    def rest(self, double price, int64_t limit, int64_t high, int64_t easy):
        cdef int number, n, best
        cdef double cost, least
        cdef list found = [NEVER] * self.count + [0.0]
        cdef Label *path = <Label *>calloc(self.count + 1, sizeof(Label))
        if path == NULL:
            raise MemoryError
        for number in reversed(range(self.edges)):
            edge = self.edge[number]
            least, best = <double>found[edge.a] - <double>found[edge.b], -1
            for n in range(edge.first, edge.last):
                way = &self.way[n]
                cost = way.ms + price * way.pinned
                if cost < least and way.stage <= high and (way.stage <= easy or self.lean[n]) \
                        and max(way.stage, self.floor[0]) + way.pinned <= limit:
                    least, best = cost, n
            if best >= 0:
                way, after = &self.way[best], &path[edge.b]
                found[edge.a] = <double>found[edge.b] + least
                path[edge.a] = Label(after.ms + way.ms, max(after.stage, way.stage), after.pinned + way.pinned, 0, 0)
        first = path[0]
        free(path)
        return found, first.ms if found[0] < NEVER else NEVER, first.stage, first.pinned

    def labels(self, int64_t limit, int keep, double price, double slowest, list rest, int64_t low, int64_t high,
               int64_t easy):
        return self._labels(limit, keep, price, slowest + price * limit, rest, max(low, self.floor[0]), high, True,
                            easy)

    def smallest(self, int64_t limit, int keep, bint lean):
        return self._labels(limit, keep, 0.0, NEVER, [0.0] * (self.count + 1), 0, limit, False, 0 if lean else limit)

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

    cdef int _screen(self, int64_t limit, double price, double slowest, list rest, int64_t low, int64_t high,
                     bint timed, int64_t easy) except -1:
        """Note ways that can be part of an answer: what a path must take before and after such a way is no
        less than the least at this price. Timed: of ways between two cuts, none that a faster one beats. No
        stage is told from others of less than `low` bytes; none has more than `high`. Those of more than `easy`
        bytes are lean."""
        cdef int number, n, m, many = 0
        cdef double least, after
        cdef Way way
        cdef double *start = <double *>malloc((self.count + 1) * sizeof(double))
        if start == NULL:
            raise MemoryError
        for n in range(self.count + 1):
            start[n] = NEVER if n else 0.0
        for number in range(self.edges):
            edge = self.edge[number]
            self.between[number] = Edge(edge.a, edge.b, many, many)
            after = rest[edge.b]
            for n in range(edge.first, edge.last):
                way = Way(self.way[n].stage, self.way[n].pinned, self.way[n].ms, n, <int64_t>1 << 62)
                least = start[edge.a] + way.ms + price * way.pinned
                start[edge.b] = min(start[edge.b], least)
                if way.stage > easy and not self.lean[n]:
                    continue
                way.stage = max(way.stage, low)
                if way.stage > high or way.stage + way.pinned > limit or least + after + price * way.stage > slowest:
                    continue
                m = self.between[number].first if timed else many
                while m < many and (self.few[m].stage > way.stage or self.few[m].pinned > way.pinned):
                    m += 1
                if m == many:
                    self.few[many] = way
                    many += 1
            self.between[number].last = many
        free(start)
        return 0

    cdef list _labels(self, int64_t limit, int keep, double price, double slowest, list rest, int64_t low,
                      int64_t high, bint timed, int64_t easy):
        """Labels at the last cut; `timed`: none that another beats in time, stage and pinned bytes, else none
        that another beats in stage and pinned bytes."""
        cdef Labels *found = <Labels *>malloc((self.count + 1) * sizeof(Labels))
        cdef Labels kept = Labels(NULL, 0, 0)
        cdef Label label, before
        cdef int number = 0, cut, n, begin = 0, at
        cdef int64_t floor, stage, most
        cdef double room, left, quick
        if found == NULL:
            raise MemoryError
        for cut in range(self.count + 1):
            found[cut] = Labels(NULL, 0, 0)
        try:
            self._screen(limit, price, slowest, rest, low, high, timed, easy)
            add(&kept, Label(0.0, low, 0, -1, -1))
            for cut in range(self.count + 1):
                if cut:
                    begin = kept.count
                    thin(&found[cut], keep, price, low, timed, &kept)
                    free(found[cut].at)
                    found[cut].at = NULL
                while number < self.edges and self.between[number].a == cut:
                    edge = self.between[number]
                    floor, room = self.floor[edge.b], slowest - <double>rest[edge.b]
                    for at in range(begin, kept.count):
                        before = kept.at[at]
                        left, most = room - before.ms - price * before.pinned, limit - before.pinned
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

    cdef tuple _told(self, Labels *kept, int number):
        cdef Label label = kept.at[number]
        cdef list ways = []
        while kept.at[number].back >= 0:
            ways.append(kept.at[number].way)
            number = kept.at[number].back
        ways.reverse()
        return label.ms, label.stage, label.pinned, ways


cdef int fastest_first(const void *a, const void *b) noexcept nogil:
    cdef const Offer *one = <const Offer *>a
    cdef const Offer *other = <const Offer *>b
    if one.ms != other.ms:
        return 1 if one.ms > other.ms else -1
    return sign(one.stage, other.stage) or sign(one.pinned, other.pinned)
