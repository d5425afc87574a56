"""A convolution over a grid of regions: the loops of `plan.price.cost`. See _grid.pyi."""
from libc.stdlib cimport free, malloc

cdef enum:
    SUMS = 4608  # bytes of a tile's products, of a panel
    U_STEP = 9216  # bytes of a tile's transformed input that one pass over 64 channels reads
    TOGETHER = 64  # tiles of panels that are computed together, and panels: engine/winograd.c
    MOST = 4
    PART = 25  # tiles of a part there, about
    STAYS = 300 << 10  # bytes of transformed input that are not worth it


cdef inline double outside(double bytes, double near) noexcept nogil:
    """Part of what goes through a cache of `near` bytes that misses it: all where it is a quarter more."""
    return min(1.0, max(0.0, 4 * (bytes / near - 1)))


cdef class ConvCost:

    def __init__(self, bint winograd, double pixel=0.0, double tile=0.0, double step=0.0, double walk=0.0,
                 double far=0.0, double again=0.0, double sums=0.0, double wait=0.0, double meeting=0.0,
                 double held=0.0, double near=0.0, double filters=0.0, bint one_pass=True, int parts=1,
                 int pixels=1):
        self.winograd = winograd
        self.pixel, self.tile, self.step, self.walk, self.far = pixel, tile, step, walk, far
        self.again, self.sums, self.filters, self.one_pass = again, sums, filters, one_pass
        self.wait, self.meeting, self.held, self.near = wait, meeting, held, near
        self.parts, self.pixels = parts, pixels

    cdef double over(self, const Size *rows, int down, const Size *columns, int across,
                     int strip) noexcept nogil:
        cdef double ms, height = 0, width = 0, waits = 0, tall = 0, wide = 0
        cdef Work work = Work(0, 0, 0, 0, 0, 0)
        cdef int i, at_once
        if self.winograd:
            for i in range(down):
                at_once = 4 * strip if strip else max(rows[i].size, 1)
                if rows[i].size >= at_once:
                    self.strips(at_once, rows[i].many * (rows[i].size // at_once), columns, across, &work)
                if rows[i].size % at_once:
                    self.strips(rows[i].size % at_once, rows[i].many, columns, across, &work)
            # As in the direct kernels: every 14 tiles pay for two loads of weights, fewer do so too
            ms = work.tiles * self.tile + work.steps / (1 + 2.0 / self.pixels) * self.step + work.walks * self.walk
            ms += work.tiles * self.spilled(work.largest)
            return ms + work.waits * self.wait + work.meetings * self.meeting
        for i in range(down):
            height += <double>rows[i].size * rows[i].many
            tall += rows[i].many
            for j in range(across):
                waits += <double>rows[i].many * columns[j].many \
                    / (1.0 + <double>rows[i].size * columns[j].size / 16)
        # A row is cut into pieces of near-equal length; each pays two weight loads beside its pixels.
        for j in range(across):
            width += columns[j].many * (columns[j].size + 2.0 * ((columns[j].size + self.pixels - 1) // self.pixels))
            wide += columns[j].many
        width /= 1 + 2.0 / self.pixels
        return height * width * self.pixel + waits * self.wait + tall * wide * self.meeting

    cdef long cut(self, long tiles) noexcept nogil:
        """Parts that a strip of so many tiles is computed in, each with filters transformed anew."""
        if not self.filters or self.one_pass:
            return self.parts
        return max(self.parts, (tiles + PART // 2) // PART)

    cdef double spilled(self, long tiles) noexcept nogil:
        """Milliseconds a tile for what does not stay in the cache, of strips of so many."""
        cdef int together = 1
        cdef long part = tiles // max(1, self.cut(tiles))
        if not self.one_pass and self.held * tiles > STAYS:
            together = max(1, min(MOST, TOGETHER // max(part, 1)))
        if not self.filters:
            return self.far + self.again if self.held * tiles > self.near else 0
        cdef double hot = self.filters + part * SUMS * together
        cdef double ms = outside(hot + self.held * tiles, self.near) * (self.far + self.again / together)
        return ms + outside(hot + min(self.held, U_STEP) * part, self.near) * self.sums

    cdef int fitting(self, int tall, int wide) noexcept nogil:
        """Tile rows of near-equal strips that stay in the cache, 1 at least; 0: all of a region, or unknown."""
        cdef int down = (tall + 3) // 4
        cdef double row = (self.held + SUMS) * ((wide + 3) // 4)
        if not self.filters or self.filters + row * down <= self.near:
            return 0
        cdef int rows = max(1, <int>((self.near - self.filters) / row))
        rows = (down + rows - 1) // rows  # strips
        return (down + rows - 1) // rows

    cdef int strip(self, const Size *rows, int down, const Size *columns, int across, bint whole,
                   double *ms) noexcept nogil:
        """Tile rows of the faster of two ways, and what it takes: some four of them, or what stays in the cache;
        0: all of a region, always where it has to be `whole`."""
        cdef int tall = largest(rows, down), some = 0 if tall <= 16 or whole else 4, near
        cdef double nearer
        ms[0] = self.over(rows, down, columns, across, some)
        near = 0 if whole else self.fitting(tall, largest(columns, across))
        if near and near != some:
            nearer = self.over(rows, down, columns, across, near)
            if nearer < ms[0]:
                ms[0] = nearer
                return near
        return some

    cdef void strips(self, int rows, int many, const Size *columns, int across, Work *work) noexcept nogil:
        """So many strips of so many rows of outputs, added up."""
        cdef int j, down = (rows + 3) // 4, wide
        cdef long at_once, parts, together
        cdef double times
        for j in range(across):
            wide = (columns[j].size + 3) // 4
            at_once = down * <long>wide
            parts = self.cut(at_once)
            together = self.pixels * parts
            times = <double>many * columns[j].many
            work.tiles += times * at_once
            # A tile of n outputs in a direction takes n + 2 products there
            work.steps += times * ((rows + 2 * down) * <double>(columns[j].size + 2 * wide) / 36
                                 + 2 * parts * ((at_once + together - 1) // together))
            work.walks += times * parts
            work.meetings += 2 * times
            work.waits += times / (1.0 + at_once)
            work.largest = max(work.largest, at_once)

    def ms(self, rows, columns, int strip):
        cdef int down = len(rows), across = len(columns)
        cdef Size *sizes = <Size *>malloc((down + across + 1) * sizeof(Size))
        if sizes == NULL:
            raise MemoryError
        try:
            for number, (size, many) in enumerate([*rows, *columns]):
                sizes[number].size, sizes[number].many = size, many
            return self.over(sizes, down, &sizes[down], across, strip)
        finally:
            free(sizes)
