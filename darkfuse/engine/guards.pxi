# Part of _engine.pyx: tests' eyes, which see every stray write and every stale read.

cdef enum:
    GUARD = 256  # bytes between buffers when guarded
    GUARD_BYTE = 0xA5


@cython.no_gc_clear
cdef class _Guarded(_Structs):
    """An engine's memory with guard bytes between its buffers, and NaNs in them."""

    cdef int _poison(self, bint kept) except -1:
        """NaN into every buffer that lives within a frame (and, before loading, those that stay)."""
        for buffer, place in zip(self.program.buffers, self.places):
            if buffer.first >= 0 or kept:
                memset(self.arena.base + <int64_t>place, 0xFF, <size_t>buffer.bytes)
        return 0

    cdef int _check_guards(self) except -1:
        cdef uint8_t *base = <uint8_t *>self.arena.base
        cdef size_t at, end
        ends = [0] + [place + buffer.bytes for buffer, place in zip(self.program.buffers, self.places)]
        starts = [*self.places, self.arena.bytes]
        names = ["", *(buffer.name for buffer in self.program.buffers)]
        for name, start, stop in zip(names, ends, starts):
            at, end = start, stop
            while at < end:
                if base[at] != GUARD_BYTE:
                    raise DarkfuseError(f"something wrote {at - <size_t>start} bytes past buffer {name!r}")
                at += 1
        return 0
