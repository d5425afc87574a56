# cython: boundscheck=False
"""When storage reads what, and where to: the loops of `timeline`. See _storage.pyi."""
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

from darkfuse.plan.layout._grow cimport grown

cdef double NEVER = float("inf")

cdef enum:
    MOST = 64  # landings of one layer (`layout._ahead`)

ctypedef struct Slot:  # bytes [low, high) that hold a read from one moment to another
    int64_t low, high
    double begin, end

ctypedef struct Slots:
    Slot *at
    int count, room

ctypedef struct Spot:
    int64_t low, high
    double free, used, begin  # free again, weights in it used last, the last read into it begun (or -1)

ctypedef struct Mark:  # see `Storage.state`
    double now, idle, reading, waiting
    int count  # of slots


cdef class Storage:

    cdef public double now, reading, waiting
    cdef double idle  # since when storage is
    cdef list starts  # of steps
    cdef Slots slots, last, spare  # all, and those that no later one covers, by address; room to merge in
    cdef Slot fresh[MOST]  # of one layer
    cdef Mark marks[2]  # the last two

    def __cinit__(self, *_):
        self.starts = []
        self.marks[0] = self.marks[1] = Mark(0, 0, 0, 0, 0)

    def __dealloc__(self):
        free(self.slots.at)
        free(self.last.at)
        free(self.spare.at)

    def begin(self, int steps):
        self.starts += steps * [self.now]

    def state(self):
        self.marks[0] = self.marks[1]
        self.marks[1] = Mark(self.now, self.idle, self.reading, self.waiting, self.slots.count)
        return self.now, self.idle, self.reading, self.waiting

    def again(self, int times):
        cdef Mark *old = &self.marks[0]
        cdef Mark *new = &self.marks[1]
        cdef double step = new.now - old.now
        cdef int turn, n
        for turn in range(1, times + 1):
            for n in range(old.count, new.count):
                slot = self.slots.at[n]
                add(&self.slots, Slot(slot.low, slot.high, slot.begin + turn * step, slot.end + turn * step))
        for n in range(self.last.count):
            slot = self.last.at[n]
            if slot.end > old.now:
                self.last.at[n] = Slot(slot.low, slot.high, slot.begin + times * step, slot.end + times * step)
        self.now += times * step
        self.idle += times * (new.idle - old.idle)
        self.reading += times * (new.reading - old.reading)
        self.waiting += times * (new.waiting - old.waiting)

    def lain(self):
        return [(slot.low, slot.high, slot.begin, slot.end) for slot in self.slots.at[:self.slots.count]]

    def layer(self, tuple landings, int64_t size, int resident, int reads, int at_once, double each, double read_ms):
        cdef int n, m, ahead = 0, many = len(landings)
        cdef int64_t low
        cdef double late
        if many > MOST:
            raise ValueError(f"{many} landings of a layer, {MOST} at most")
        cdef Spot *spots = <Spot *>malloc((many + 1) * sizeof(Spot))
        cdef int *waiting = <int *>malloc((reads + 1) * sizeof(int))
        try:
            if spots == NULL or waiting == NULL:
                raise MemoryError
            for n, (low, step) in enumerate(landings):
                spots[n] = Spot(low, low + size, self.starts[step], self.used(low, low + size), -1.0)
                spots[n].free = max(spots[n].free, spots[n].used)
            for n in range(reads):
                if n >= resident:
                    waiting[ahead] = self.read(spots, many, read_ms)
                    ahead += 1
                if (n + 1) % at_once and n + 1 < reads:
                    continue
                late = max(0.0, self.idle - self.now) if ahead else 0.0
                self.waiting += late
                self.now += late + each
                for m in range(ahead):
                    spot = &spots[waiting[m]]
                    spot.free = spot.used = self.now
                    add(&self.slots, Slot(spot.low, spot.high, spot.begin, self.now))
                ahead = 0
            self.cover(spots, many)
        finally:
            free(spots)
            free(waiting)

    cdef double used(self, int64_t low, int64_t high) noexcept:
        """When weights in [low, high) were used last."""
        cdef double end = 0.0
        cdef int n = 0, after = self.last.count, middle
        while n < after:
            middle = (n + after) // 2
            if self.last.at[middle].high <= low:
                n = middle + 1
            else:
                after = middle
        while n < self.last.count and self.last.at[n].low < high:
            end = max(end, self.last.at[n].end)
            n += 1
        return end

    cdef int read(self, Spot *spots, int many, double ms) noexcept:
        """Where the next read goes, as in the engine: what was used last of what is free."""
        cdef int n, best = -1
        cdef double begin = self.idle, first = NEVER
        for n in range(many):
            if spots[n].free > begin:
                first = min(first, spots[n].free)
            elif best < 0 or spots[n].used > spots[best].used:
                best = n
        if best < 0:  # storage waits for the first that will be free
            begin = first
            for n in range(many):
                if spots[n].free <= begin and (best < 0 or spots[n].used > spots[best].used):
                    best = n
        spots[best].begin, spots[best].free = begin, NEVER
        self.idle = begin + ms
        self.reading += ms
        return best

    cdef int cover(self, Spot *spots, int many) except -1:
        """What lay under these spots has been used for the last time."""
        cdef int n, m, count = 0
        cdef Slot *slot
        for n in range(many):  # those that were read into, by address
            if spots[n].begin < 0:
                continue
            m = count
            while m and self.fresh[m - 1].low > spots[n].low:
                self.fresh[m] = self.fresh[m - 1]
                m -= 1
            self.fresh[m] = Slot(spots[n].low, spots[n].high, spots[n].begin, spots[n].free)
            count += 1
        self.spare.count = n = m = 0
        for n in range(self.last.count):
            slot = &self.last.at[n]
            while m < count and self.fresh[m].high <= slot.low:
                add(&self.spare, self.fresh[m])
                m += 1
            if m == count or self.fresh[m].low >= slot.high:
                add(&self.spare, slot[0])
        for m in range(m, count):
            add(&self.spare, self.fresh[m])
        self.last, self.spare = self.spare, self.last
        return 0


cdef int add(Slots *slots, Slot slot) except -1:
    slots.at = <Slot *>grown(slots.at, slots.count + 1, &slots.room, sizeof(Slot))
    slots.at[slots.count] = slot
    slots.count += 1
    return 0
