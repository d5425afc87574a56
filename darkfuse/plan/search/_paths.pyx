# cython: boundscheck=False
"""Paths through the cuts of a network: the loops that try a hundred thousand labels. See _paths.pyi."""
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc, qsort, realloc
from libc.string cimport memmove

cdef double NEVER = float("inf")

ctypedef struct Way:  # to run the pieces between two cuts
    int64_t stage, pinned
    double ms

ctypedef struct Edge:  # from cut a to cut b, by ways [first, last), fastest first
    int a, b, first, last

ctypedef struct Label:
    double ms
    int64_t stage, pinned
    int back, way  # the label it goes on from, and how

ctypedef struct Step:
    int64_t stage, pinned

ctypedef struct Labels:
    Label *at
    int count, room


cdef class Paths:

    cdef int count, edges
    cdef Edge *edge
    cdef Way *way
    cdef int64_t *floor
    # of one question: ways that can be part of an answer, their numbers, and those between two cuts
    cdef Way *few
    cdef int *numbers
    cdef Edge *between

    def __cinit__(self, int count, list spans):
        cdef int n = 0, number, many
        self.count, self.edges = count, len(spans)
        self.edge = <Edge *>malloc((self.edges + 1) * sizeof(Edge))
        self.way = <Way *>malloc((sum([len(options) for _, _, options in spans]) + 1) * sizeof(Way))
        self.floor = <int64_t *>malloc((count + 1) * sizeof(int64_t))
        many = sum([len(options) for _, _, options in spans]) + 1
        self.few = <Way *>malloc(many * sizeof(Way))
        self.numbers = <int *>malloc(many * sizeof(int))
        self.between = <Edge *>malloc((self.edges + 1) * sizeof(Edge))
        if NULL in (self.edge, self.way, self.floor, self.few, self.numbers, self.between):
            raise MemoryError
        for number, (a, b, options) in enumerate(spans):
            self.edge[number] = Edge(a, b, n, n + len(options))
            for option in options:
                self.way[n] = Way(option[0], option[1], option[2])
                n += 1
        self._set_floors()

    def __dealloc__(self):
        free(self.few)
        free(self.numbers)
        free(self.between)
        free(self.edge)
        free(self.way)
        free(self.floor)

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

    def rest(self, double price):
        cdef int number, n
        cdef double least
        cdef list found = [NEVER] * self.count + [0.0]
        for number in reversed(range(self.edges)):
            edge = self.edge[number]
            least = NEVER
            for n in range(edge.first, edge.last):
                least = min(least, self.way[n].ms + price * self.way[n].pinned)
            found[edge.a] = min(<double>found[edge.a], <double>found[edge.b] + least)
        return found

    def fastest(self, double price, list rest):
        cdef int at = 0, number = 0, n, best, end
        cdef double least, ms, total = 0.0
        cdef int64_t stage = 0, pinned = 0
        cdef list ways = []
        while at < self.count:
            least, best, end = NEVER, -1, 0
            while number < self.edges and self.edge[number].a < at:
                number += 1
            while number < self.edges and self.edge[number].a == at:
                edge = self.edge[number]
                for n in range(edge.first, edge.last):
                    ms = self.way[n].ms + price * self.way[n].pinned + <double>rest[edge.b]
                    if ms < least:
                        least, best, end = ms, n, edge.b
                number += 1
            if best < 0:
                return None
            total += self.way[best].ms
            stage = max(stage, self.way[best].stage)
            pinned += self.way[best].pinned
            ways.append(best)
            at = end
        return total, stage, pinned, ways

    def labels(self, int64_t limit, int keep, double price, double slowest, list rest):
        return self._labels(limit, keep, price, slowest + price * limit, rest, True)

    def smallest(self, int64_t limit, int keep):
        return self._labels(limit, keep, 0.0, NEVER, [0.0] * (self.count + 1), False)

    cdef int _screen(self, int64_t limit, double price, double slowest, list rest, bint timed) except -1:
        """Note ways that can be part of an answer: what a path must take before and after such a way is no
        less than the least at this price. Timed: of ways between two cuts, none that a faster one beats. No
        path's largest stage is less than the floor, so that smaller ones are alike."""
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
                way = self.way[n]
                least = start[edge.a] + way.ms + price * way.pinned
                start[edge.b] = min(start[edge.b], least)
                if timed:
                    way.stage = max(way.stage, self.floor[0])
                if way.stage + way.pinned > limit or least + after + price * way.stage > slowest:
                    continue
                m = self.between[number].first if timed else many
                while m < many and (self.few[m].stage > way.stage or self.few[m].pinned > way.pinned):
                    m += 1
                if m == many:
                    self.few[many], self.numbers[many] = way, n
                    many += 1
            self.between[number].last = many
        free(start)
        return 0

    cdef list _labels(self, int64_t limit, int keep, double price, double slowest, list rest, bint timed):
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
            self._screen(limit, price, slowest, rest, timed)
            add(&kept, Label(0.0, self.floor[0] if timed else 0, 0, -1, -1))
            for cut in range(self.count + 1):
                if cut:
                    begin = kept.count
                    thin(&found[cut], keep, price, self.floor[0], timed, &kept)
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
                            stage = max(way.stage, before.stage)
                            if stage + way.pinned <= most \
                                    and way.ms + price * (way.pinned + max(stage, floor)) <= left:
                                label = Label(before.ms + way.ms, stage, before.pinned + way.pinned, at,
                                              self.numbers[n])
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


cdef int add(Labels *labels, Label label) except -1:
    if labels.count == labels.room:
        labels.room = 2 * labels.room + 64
        more = <Label *>realloc(labels.at, labels.room * sizeof(Label))
        if more == NULL:
            raise MemoryError
        labels.at = more
    labels.at[labels.count] = label
    labels.count += 1
    return 0


cdef int thin(Labels *found, int keep, double price, int64_t floor, bint timed, Labels *kept) except -1:
    """Append to `kept` at most `keep` labels that no other beats. Timed: half of them the cheapest with bytes
    beyond a stage of `floor` at `price`, the others spread evenly from the fastest to the smallest, and the
    smallest, in order of time; else those with the fewest bytes."""
    cdef int n, many = undominated(found, timed), half = keep // 2, begin = kept.count, smallest = 0
    cdef char *chosen
    cdef Label *at = found.at
    if many > keep and timed:
        cheap = sorted([(at[n].ms + price * (max(at[n].stage, floor) + at[n].pinned), n) for n in range(many)])
        chosen = <char *>malloc(many)
        if chosen == NULL:
            raise MemoryError
        for n in range(many):
            chosen[n] = 0
            if bytes_of(&at[n]) < bytes_of(&at[smallest]):
                smallest = n
        chosen[smallest] = 1
        for n in range(half):
            chosen[<int>cheap[n][1]] = 1
        for n in range(keep - half):
            chosen[<int>(n * (many / <double>(keep - half)))] = 1
        for n in range(many):
            if chosen[n]:
                add(kept, at[n])
        free(chosen)
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


cdef inline int sign(int64_t one, int64_t other) noexcept nogil:
    return (one > other) - (one < other)


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
