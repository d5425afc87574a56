# cython: boundscheck=False
"""When storage reads what, and where to: the loops of `timeline`. See _storage.pyi."""
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

from darkfuse.plan.layout._grow cimport grown

cdef double NEVER = float("inf")

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
    cdef Slots slots, last  # all, and those that no later one covers
    cdef Mark marks[2]  # the last two

    def __cinit__(self, *_):
        self.starts = []
        self.marks[0] = self.marks[1] = Mark(0, 0, 0, 0, 0)

    def __dealloc__(self):
        free(self.slots.at)
        free(self.last.at)

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
        cdef double end = 0.0
        cdef int n
        for n in range(self.last.count):
            slot = &self.last.at[n]
            if slot.low < high and low < slot.high:
                end = max(end, slot.end)
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
        cdef int n, m, kept = 0
        cdef bint covered
        for m in range(self.last.count):
            slot = &self.last.at[m]
            covered = False
            for n in range(many):
                if spots[n].begin >= 0 and spots[n].low < slot.high and slot.low < spots[n].high:
                    covered = True
                    break
            if not covered:
                self.last.at[kept] = slot[0]
                kept += 1
        self.last.count = kept
        for n in range(many):
            if spots[n].begin >= 0:
                add(&self.last, Slot(spots[n].low, spots[n].high, spots[n].begin, spots[n].free))
        return 0


cdef int add(Slots *slots, Slot slot) except -1:
    slots.at = <Slot *>grown(slots.at, slots.count + 1, &slots.room, sizeof(Slot))
    slots.at[slots.count] = slot
    slots.count += 1
    return 0
