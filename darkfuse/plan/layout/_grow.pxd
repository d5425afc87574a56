"""Arrays that grow: the one place where planning asks for more room."""
from libc.stdlib cimport realloc


cdef inline void *grown(void *at, int wanted, int *room, size_t size) except NULL:
    """An array with room for `wanted` items of `size` bytes, where those that are there stay; `room` is how
    many it has room for, and at least doubles when that is too few."""
    cdef int more = max(wanted, 2 * room[0] + 8)
    if wanted <= room[0]:
        return at
    found = realloc(at, more * size)
    if found == NULL:
        raise MemoryError
    room[0] = more
    return found
