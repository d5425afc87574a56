# Part of _engine.pyx: what is done once, when an engine is made: files are opened, the arena is mapped, weights that
# stay are packed.


@cython.no_gc_clear
cdef class _Loaded(_Guarded):
    """An engine that has its memory and its files."""

    cdef object path, known, stamp

    def _open(self):
        try:
            self.e.reader.fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            self.stamp = stamp(self.e.reader.fd)
            size = self.stamp.size
            same = self.known is None or self.known == identity(self.e.reader.fd)
        except OSError as error:
            raise WeightsError(f"{self.path}: {error.strerror}") from None
        if not same:
            raise self._changed()
        if not self.e.reader.cached:
            try:
                self.e.reader.direct = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT)
            except (AttributeError, OSError):
                pass  # not Linux, or a file system without direct reads: through the page cache, then
            else:
                if os.fstat(self.e.reader.direct).st_ino != self.stamp.inode:
                    raise self._changed()  # renamed over between the two
        for w in self.program.weights:
            if w.file_offset < 0:
                continue
            ends = [w.file_offset + w.filters * w.per_filter * 4, w.params_offset + w.filters * 4]
            if w.batch_normalize:
                norm = w.norm_offset if w.norm_offset >= 0 else w.params_offset + w.filters * 4
                ends.append(norm + 3 * w.filters * 4)
            if max(w.params_offset, w.norm_offset) < 0 or max(ends) > size:
                raise WeightsError(f"{self.path}: ends {max(ends) - size} bytes before the weights of layer "
                                   f"{w.node} do; it was cut short or belongs to another network")

    def _map_arena(self):
        self.places = [buffer.offset for buffer in self.program.buffers]
        total = self.program.arena_bytes
        if self.guarded:
            # Every buffer gets its own place: an overrun shows in the guards, a stale read in the NaNs.
            self.places, total = [], GUARD
            for buffer in self.program.buffers:
                self.places.append(total)
                total += (buffer.bytes + 63) // 64 * 64 + GUARD
        # Small pages where fewer reads land: those take longer into memory in pieces
        rest = total % DF_HUGE_PAGE
        low = high = 0.0
        for w in self.program.weights:
            share = w.all_reads / max(1, len(w.landings))
            low += share * sum(landing.offset < rest for landing in w.landings)
            high += share * sum(landing.offset >= total - rest for landing in w.landings)
        self.arena = _Arena(total, low < high)
        if self.guarded:
            memset(self.arena.base, GUARD_BYTE, self.arena.bytes)
            self._forbid(True)
            self._poison(True)

    def _load(self):
        """Fold batch norm and pack what stays, reading through whatever the arena has not in use yet."""
        cdef int node = 0, failed
        cdef df_weights *w
        need = 0
        for n in range(self.e.n_weights):
            w = &self.e.weights[n]
            if w.residency == DF_PINNED:
                need = max(need, w.filters if w.transposed else w.per_filter)
        start, size = self._gap()
        cdef _Arena borrowed = None
        cdef float *through
        if size < need * 4 * 8:
            size = max(need * 4, min(need * 4 * 16, 1 << 20))
            borrowed = _Arena(size)
            through = <float *>borrowed.base
        else:
            through = <float *>(self.arena.base + <int64_t>start)
        cdef size_t room = size
        self._listen()
        with nogil:
            failed = df_load_weights(&self.e, through, room, &node)
        if failed == DF_POLLED:
            self._raise()
        if failed:
            self._read_error(node, failed if failed > 0 else 0)
        if self.guarded:
            self._poison(False)

    def _gap(self):
        """The largest part of the arena that nothing keeps over frames: (start, bytes)."""
        if self.guarded:
            return 0, 0
        kept = sorted((b.offset, b.offset + b.bytes) for b in self.program.buffers if b.first < 0)
        best, at = (0, 0), 0
        for start, end in [*kept, (self.program.arena_bytes, 0)]:
            if start - at > best[1]:
                best = at, start - at
            at = max(at, (end + 63) // 64 * 64)
        return best
