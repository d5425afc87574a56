from darkfuse.plan.search._offers cimport Offer, Offers


cdef class Ways:

    cdef dict numbers  # (a, b) -> place in `spans`
    cdef Offers *spans
    cdef int count, room
    cdef list alone  # options that Python made

    cdef Offers *between(self, int a, int b) except NULL
    cdef object told(self, int a, int b, const Offer *offer)
