# The memory of an engine, and views of the maps in it. Included by _engine.pyx.


cdef class _Arena:
    """The mapping; lives as long as the engine or any output view of it."""

    cdef char *base
    cdef size_t bytes

    def __cinit__(self, size_t bytes, bint small_first=False):
        self.bytes = bytes if bytes > 0 else 1
        self.base = <char *>df_arena_map(self.bytes, small_first)
        if self.base is NULL:
            raise BudgetError(f"the system refuses {bytes} bytes of memory for the network's maps and weights; "
                              "give a smaller --mem or end other programs")

    def __dealloc__(self):
        if self.base is not NULL:
            df_arena_unmap(self.base, self.bytes)


cdef class _Map:
    """Read-only buffer over one output map, (channels, height, width) float32."""

    cdef _Arena arena
    cdef float *values
    cdef Py_ssize_t shape[3]
    cdef Py_ssize_t strides[3]

    def __getbuffer__(self, Py_buffer *view, int flags):
        if flags & PyBUF_WRITABLE:
            raise BufferError("output maps are read-only")
        view.buf = self.values
        view.obj = self
        view.len = self.shape[0] * self.strides[0]
        view.readonly = 1
        view.itemsize = sizeof(float)
        view.format = FLOAT32 if flags & PyBUF_FORMAT else NULL
        view.ndim = 3
        view.shape = self.shape
        view.strides = self.strides
        view.suboffsets = NULL
        view.internal = NULL
