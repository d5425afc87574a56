ctypedef struct Size:  # so many regions of so many rows, or columns
    int size, many

cdef class ConvCost:
    """What a convolution costs on one device, by one kernel, whatever the regions it computes.

    Milliseconds: `pixel` of the output (direct kernels); `tile` of 4x4 pixels, `step` of a tile through
    Winograd's products, `walk` for all filters of a strip, `far` for a tile of a transformed input of more
    than `near` bytes, `held` bytes a tile; `wait` for weights that come from memory; `meeting` of the team.
    """

    cdef readonly bint winograd
    cdef readonly double pixel, tile, step, walk, far, wait, meeting, held, near
    cdef readonly int parts, pixels

    cdef double over(self, const Size *rows, int down, const Size *columns, int across, int strip) noexcept nogil
    cdef void strips(self, int rows, int many, const Size *columns, int across, double *tiles, double *steps,
                     double *walks, double *waits, long *largest) noexcept nogil
