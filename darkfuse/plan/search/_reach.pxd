from libc.stdint cimport int64_t

from darkfuse.plan.price._grid cimport Size

ctypedef struct Reach:  # a map's region in tile coordinates f: 0 at the top, 1 at the bottom of the last map
    double slope, start, end, done

ctypedef struct Back:  # from the reach of a map to that of one it is computed from
    double factor, start, end, done

ctypedef struct Asked:  # what several readers ask for together
    int readers
    Reach reach

ctypedef struct Line:  # a row, by rows of the last map; the next of a list, or -1
    double slope, offset
    int next

ctypedef struct Part:  # one map along one axis
    int stored, carried, count
    Size sizes[3]

cdef Reach before(const Back *back, Reach reach, bint cached) noexcept nogil
cdef void ask(Asked *asked, Reach reach) noexcept nogil
cdef Part axis(int length, Reach reach, int tiles, double share, bint cached) noexcept nogil
cdef int64_t shift(int tiles, int tall, int64_t after_row, int after, int64_t before_row, int before, const Line *lines,
                   int made, int made_too, int needed, bint later) noexcept nogil
