from libc.stdint cimport int64_t

ctypedef struct Label:  # a path from the first cut to another
    double ms
    int64_t stage, pinned
    int back, way  # the label it goes on from, and how

ctypedef struct Labels:
    Label *at
    int count, room


cdef inline int sign(int64_t one, int64_t other) noexcept nogil:
    return (one > other) - (one < other)


cdef int add(Labels *labels, Label label) except -1
cdef int thin(Labels *found, int keep, double price, int64_t floor, bint timed, Labels *kept) except -1
