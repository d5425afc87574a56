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

    def _guards(self):
        """Name of the buffer before, start and end of every guard."""
        ends = [0] + [place + buffer.bytes for buffer, place in zip(self.program.buffers, self.places)]
        names = ["", *(buffer.name for buffer in self.program.buffers)]
        return zip(names, ends, [*self.places, self.arena.bytes])

    cdef int _forbid(self, c_bool forbidden) except -1:
        """Have the address sanitizer, where there is one, report whoever reads or writes a guard."""
        for _, start, stop in self._guards():
            df_arena_forbid(self.arena.base + <int64_t>start, <size_t>(stop - start), forbidden)
        return 0

    cdef int _check_guards(self) except -1:
        cdef uint8_t *base = <uint8_t *>self.arena.base
        cdef size_t at, end
        self._forbid(False)
        for name, start, stop in self._guards():
            at, end = start, stop
            while at < end:
                if base[at] != GUARD_BYTE:
                    raise DarkfuseError(f"something wrote {at - <size_t>start} bytes past buffer {name!r}")
                at += 1
        self._forbid(True)
        return 0
