"""A network's pieces, leaves and storages as arrays, for the loops that walk over them ten thousand times."""
from libc.stdint cimport int64_t

from darkfuse.plan.search._reach cimport Asked, Back

ctypedef struct Run:  # of numbers in `Tiler.numbers`: from `first` to before `last`
    int first, last

ctypedef struct Stripe:  # a layer that is streamed for every tile
    int64_t slots, block  # bytes of the reader's slots, of its block of packed filters
    double reading, turning  # milliseconds for one tile

ctypedef struct Piece:
    int leaf, root
    bint tiles, layers, sum, pools, conv
    int64_t packed, reader
    double loading, whole, meeting  # without weights: milliseconds of the whole map, and of a tile beside
    double u, u_tile, t, t_tile  # Winograd's scratch in bytes: shared, of a thread; whatever the tiles, per tile
    Run maps, beginning, ending, operands
    Stripe stripes[4]  # fast and lean, by the plain kernel; then by the kernel of choice

ctypedef struct Source:
    int storage
    Run leaves
    Back rows, columns

ctypedef struct Leaf:
    int height, width, first, last  # its sources
    Asked rows, columns  # of one walk

ctypedef struct Root:
    int64_t whole, row, pixel
    int width, height, first, last
    bint exported, blocks
    # of one walk: bytes read and written, and of its line buffer; lists of lines; its first writer, last reader
    int64_t seen, window
    int made, needed, writer, reader

cdef class Network:

    cdef list direct, winograd  # per piece, `ConvCost` of its plain kernel and of Winograd's, or None
    cdef Piece *pieces
    cdef Leaf *leaves
    cdef Source *sources
    cdef Root *roots
    cdef int64_t *numbers  # of maps, storages, operands: see `Run`
    cdef int *chosen  # per piece, the strip of its Winograd kernel; -1 direct
    cdef int *dying  # storages that come into a group and end there
    cdef int *born  # storages that begin in a group and outlive it
    cdef int *sums  # shortcuts of a group
    cdef int *weighted  # pieces of a group with weights, those with fewest bytes first
    cdef double *plain_ms  # per piece of a group, milliseconds by its plain kernel
    cdef double *chosen_ms  # and by the faster one
    cdef int leaf_count, root_count, entry, input_root, threads, batch
    cdef int64_t near
    cdef double far_ms, input_ms, input_tile

    cdef tuple _run(self, numbers, int at)
