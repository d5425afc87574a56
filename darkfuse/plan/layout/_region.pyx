# cython: boundscheck=False
"""Spans of all maps of a group, tile by tile: the loops of `region`. See _region.pyi."""
from libc.stdlib cimport calloc, free, malloc

cdef enum:
    MOST = 1 << 30  # more than any map has rows
    STEPS = 8  # of one link: a layer, and the pooling in its store

ctypedef struct Span:
    int start, end

ctypedef struct Way:  # `region.Step`
    int length, stride, before, extent, scale
    bint whole, padded

ctypedef struct Ways:
    Way at[STEPS]
    int count

ctypedef struct Want:  # what a tile asks for of a map: all of it, and what lies inside the map
    Span all, inside

ctypedef struct Link:
    int reader, source
    Ways ways


cdef int follow(Ways *ways, steps) except -1:
    ways.count = 0
    for step in steps:
        if ways.count == STEPS:
            raise ValueError("more steps than a layer and its pooling have")
        window = step.window
        ways.at[ways.count] = Way(step.length, window.stride, window.pad_before, window.extent, step.scale,
                                  step.whole, step.padded)
        ways.count += 1
    return 0


cdef inline Span clip(Span span, int length) noexcept nogil:
    cdef int start = min(max(span.start, 0), length)
    return Span(start, min(max(span.end, start), length))


cdef Span back(const Ways *ways, Span out) noexcept nogil:
    cdef int n
    cdef const Way *way
    cdef Span span
    for n in range(ways.count):
        way = &ways.at[n]
        if n:
            out = clip(out, ways.at[n - 1].length)
        if way.whole:
            out = Span(0, way.length)
            continue
        span.start = out.start // way.scale * way.stride - way.before
        span.end = (out.end - 1) // way.scale * way.stride - way.before + way.extent
        out = span if way.padded else clip(span, way.length)
    return out


def read(steps, spans):
    cdef Ways ways
    cdef Span span
    cdef list found = []
    follow(&ways, steps)
    for start, end in spans:
        span = back(&ways, Span(start, end))
        found.append((span.start, span.end))
    return found


def axes(lengths, links, int tiles, bint cached, whole):
    cdef int count = len(lengths), many = len(links), n, tile, length, number
    cdef Want *want
    cdef Link *link = <Link *>malloc((many + 1) * sizeof(Link))
    cdef Want *wants = <Want *>malloc((<size_t>count * tiles + 1) * sizeof(Want))
    cdef Span *spans = <Span *>malloc((tiles + 1) * sizeof(Span))
    cdef Span span
    cdef char *read_by = <char *>calloc(count + 1, 1)
    cdef list found = []
    try:
        if link == NULL or wants == NULL or spans == NULL or read_by == NULL:
            raise MemoryError
        for n in range(many):
            link[n].reader, link[n].source = links[n].reader, links[n].source
            if not 0 <= link[n].source < link[n].reader < count:
                raise ValueError(f"map {link[n].reader} reads map {link[n].source}, which does not come before it")
            follow(&link[n].ways, links[n].steps)
            read_by[link[n].source] = 1
        for n in range(count * tiles):
            wants[n].all = wants[n].inside = Span(MOST, -MOST)
        for number in range(count - 1, -1, -1):
            length = lengths[number]
            want = &wants[number * tiles]
            if not read_by[number] or not cached and number in whole:
                for tile in range(tiles):
                    span = Span(<int>(<long long>length * tile // tiles),
                                <int>(<long long>length * (tile + 1) // tiles))
                    if span.start < span.end:
                        ask(&want[tile], span, length)
            if cached:
                compute_once(want, spans, length, tiles)
            else:
                compute_all(want, spans, tiles)
            for n in range(many):
                if link[n].reader == number:
                    for tile in range(tiles):
                        if spans[tile].start < spans[tile].end:
                            ask(&wants[link[n].source * tiles + tile], back(&link[n].ways, spans[tile]),
                                lengths[link[n].source])
            found.append(axis(want, spans, length, tiles, cached))
        found.reverse()
        return found
    finally:
        free(link)
        free(wants)
        free(spans)
        free(read_by)


cdef void ask(Want *want, Span span, int length) noexcept:
    cdef Span inside = clip(span, length)
    want.all = Span(min(want.all.start, span.start), max(want.all.end, span.end))
    if inside.start < inside.end:
        want.inside = Span(min(want.inside.start, inside.start), max(want.inside.end, inside.end))


cdef void compute_once(const Want *want, Span *spans, int length, int tiles) noexcept:
    """Every position as soon as a tile asks for it; the last tile computes what nobody asked for."""
    cdef int tile, done = 0, end
    for tile in range(tiles):
        end = length if tile == tiles - 1 else max(done, min(want[tile].all.end, length))
        spans[tile] = Span(done, end)
        done = end


cdef void compute_all(const Want *want, Span *spans, int tiles) noexcept:
    """Per tile, all that it asks for."""
    cdef int tile
    for tile in range(tiles):
        if want[tile].inside.start < want[tile].inside.end:
            spans[tile] = want[tile].inside
        else:
            spans[tile].start = spans[tile].end = spans[tile - 1].end if tile else 0


cdef tuple axis(const Want *want, const Span *spans, int length, int tiles, bint cached):
    cdef int tile, first_later = length, low_later = length
    cdef list found = [], first = [], low = [], high = []
    for tile in range(tiles - 1, -1, -1):
        if not cached:
            first_later = low_later = MOST
        # What is computed here must be stored here, even if only a later tile (or nobody) reads it.
        low_later = min(low_later, spans[tile].start, want[tile].all.start)
        first_later = min(first_later, spans[tile].start, max(want[tile].all.start, 0) if cached else MOST)
        found.append((spans[tile].start, spans[tile].end))
        first.append(first_later)
        low.append(low_later)
        high.append(max(spans[tile].end, want[tile].all.end))
    for some in (found, first, low, high):
        some.reverse()
    return tuple(found), tuple(first), tuple(low), tuple(high)
