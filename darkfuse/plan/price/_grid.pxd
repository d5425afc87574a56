ctypedef struct Size:  # so many regions of so many rows, or columns
    int size, many

ctypedef struct Work:  # of Winograd's strips: tiles, tiles of 36 products, transforms of all filters, waits for them
    double tiles, steps, walks, waits, meetings
    long largest

cdef inline int largest(const Size *sizes, int count) noexcept nogil:
    cdef int i, size = 0
    for i in range(count):
        size = max(size, sizes[i].size)
    return size

cdef class ConvCost:
    """What a convolution costs on one device, by one kernel, whatever the regions it computes.

    Milliseconds: `pixel` of the output (direct kernels); `tile` of 4x4 pixels, `step` of a tile through
    Winograd's products, `walk` for all filters of a strip; `wait` for weights that come from memory;
    `meeting` of the team. For a tile of what does not stay within `near` bytes: `far` for writing the
    transformed input, `held` bytes, `again` for reading it for each panel, `sums` for a panel's products.
    `filters`: bytes of those transformed at a time, 0 where only the transformed input counts; `one_pass`:
    these are all there are.
    """

    cdef readonly bint winograd
    cdef readonly double pixel, tile, step, walk, far, again, sums, wait, meeting, held, near, filters
    cdef readonly bint one_pass
    cdef readonly int parts, pixels

    cdef double over(self, const Size *rows, int down, const Size *columns, int across, int strip) noexcept nogil
    cdef long cut(self, long tiles) noexcept nogil
    cdef double spilled(self, long tiles) noexcept nogil
    cdef int fitting(self, int tall, int wide) noexcept nogil
    cdef int strip(self, const Size *rows, int down, const Size *columns, int across, bint whole,
                   double *ms) noexcept nogil
    cdef void strips(self, int rows, int many, const Size *columns, int across, Work *work) noexcept nogil
