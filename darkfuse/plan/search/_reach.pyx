"""Tile geometry in closed form: how much of each map a tile computes, needs and stores, along one axis.

`layout.region` works the same out exactly, tile by tile, for the one plan that is lowered, and says why not
here: the search asks for ten thousands of groups a network, of up to hundreds of tiles. Every map's region is affine in the tile's
place, so four numbers say all, whatever the number of tiles: by the end of tile f rows up to slope*f + end are
computed (at least up to slope*f + done), and rows from slope*f + start on are needed. What they say is never
too little (the tests hold that against lowered programs, byte by byte).
"""
from libc.math cimport ceil, floor
from libc.stdint cimport int64_t

cdef enum:
    ENDS = 16  # tiles at each end of a map that may lack rows to read or to write

cdef double TINY = 1e-6  # fractions of rows are sums of floats


cdef Reach before(const Back *back, Reach reach, bint cached) noexcept nogil:
    """The reach of the map that is read; cached: what was read for the tile before is needed no more."""
    cdef Reach found
    found.slope = reach.slope * back.factor
    found.start = (reach.done if cached else reach.start) * back.factor + back.start
    found.end = reach.end * back.factor + back.end
    found.done = reach.done * back.factor + back.done
    return found


cdef void ask(Asked *asked, Reach reach) noexcept nogil:
    """One reader more. The steepest counts: where others are done lags behind it, tile by tile."""
    cdef double slope = reach.slope
    if not asked.readers:
        asked.reach = reach
    else:
        slope = max(asked.reach.slope, slope)
        asked.reach.done = max(asked.reach.done - (slope - asked.reach.slope), reach.done - (slope - reach.slope))
        asked.reach.start, asked.reach.end = min(asked.reach.start, reach.start), max(asked.reach.end, reach.end)
        asked.reach.slope = slope
    asked.readers += 1


cdef Part axis(int length, Reach reach, int tiles, double share, bint cached) noexcept nogil:
    """One map along one axis, cut into tiles.

    share : of the group's last map, what its largest tile takes
    cached : whether rows that the next tile needs again are kept

    Returns rows stored, rows carried from tile to tile, and rows computed as (how many, on how many tiles).
    """
    cdef Part part
    cdef double step, halo
    cdef int first, even, full, left, edge
    part.stored, part.carried, part.count = length, 0, 1
    part.sizes[0], part.sizes[1], part.sizes[2] = Size(length, 1), Size(0, 0), Size(0, 0)
    if tiles == 1:
        return part
    step = reach.slope * share
    halo = max(0.0, reach.end - reach.start)  # a stride may leave out rows, but not storing them
    if not cached:
        part.stored = <int>min(<double>length, ceil(step + halo))
        edge = <int>min(<double>length, ceil(step + max(reach.end, -reach.start)))
        part.sizes[0] = Size(edge, 2)
        if tiles > 2:
            part.sizes[1] = Size(part.stored, tiles - 2)
            part.count = 2
        return part
    first = <int>min(<double>length, max(1.0, ceil(step + reach.end)))
    part.stored = <int>min(<double>length, max(max(<double>first, ceil(step + halo)),
                                               length - floor(reach.slope * (1 - share) + reach.start)))
    part.carried = <int>min(<double>length, ceil(halo))
    left, even = length - first, <int>max(1.0, ceil(step))
    full = min(tiles - 1, left // even)
    part.sizes[0] = Size(first, 1)
    if full:
        part.sizes[1] = Size(even, full)
        part.count = 2
    if left > full * even:
        part.sizes[part.count] = Size(left - full * even, 1)
        part.count += 1
    return part


cdef int64_t shift(int tiles, int tall, int64_t after_row, int after, int64_t before_row, int before, const Line *lines,
                   int made, int made_too, int needed, bint later) noexcept nogil:
    """Bytes by which a dying map must lie behind the one that is written over it (`layout.overlap`).

    tiles, tall : rows of tiles, and rows of the group's last map, in which all is reckoned
    after_row, after, before_row, before : bytes of a row, and rows, of the map written and of the map read
    made, made_too, needed : lists of `lines`: rows written, and rows read first
    later : whether what is read on a tile may be overwritten on it
    """
    # Even tiles make even steps but at the map's ends, where rows run out.
    cdef bint even = tall % tiles == 0 and tiles > 2 * ENDS
    cdef int64_t furthest = 0, rows, start
    cdef double row
    cdef int tile = 0, number, at
    while tile < tiles:
        if even and tile == ENDS:
            tile = tiles - ENDS
        rows, start = after, before if later else 0
        if tile + 1 < tiles:
            at = <int64_t>tall * (tile + 1) // tiles
            rows = min(rows, <int64_t>max(highest(lines, made, at), highest(lines, made_too, at)))
        if 0 < tile + later < tiles:
            row, at = 1e18, <int64_t>tall * (tile + later) // tiles
            number = needed
            while number >= 0:
                row = min(row, floor(lines[number].slope * at + lines[number].offset + TINY))
                number = lines[number].next
            start = min(max(<int64_t>row, 0), before)
        furthest = max(furthest, after_row * rows - before_row * start)
        tile += 1
    return furthest


cdef double highest(const Line *lines, int number, int at) noexcept nogil:
    """Rows that the furthest of a list of lines has come to by row `at` of the last map."""
    cdef double row = -1e18
    while number >= 0:
        row = max(row, ceil(lines[number].slope * at + lines[number].offset - TINY))
        number = lines[number].next
    return row
