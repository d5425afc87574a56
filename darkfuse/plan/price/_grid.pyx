"""A convolution over a grid of regions: the loops of `plan.price.cost`. See _grid.pyi."""
from libc.stdlib cimport free, malloc


cdef class ConvCost:

    def __init__(self, bint winograd, double pixel=0.0, double tile=0.0, double step=0.0, double walk=0.0,
                 double far=0.0, double wait=0.0, double meeting=0.0, double held=0.0, double near=0.0,
                 int parts=1, int pixels=1):
        self.winograd = winograd
        self.pixel, self.tile, self.step, self.walk, self.far = pixel, tile, step, walk, far
        self.wait, self.meeting, self.held, self.near = wait, meeting, held, near
        self.parts, self.pixels = parts, pixels

    cdef double over(self, const Size *rows, int down, const Size *columns, int across,
                     int strip) noexcept nogil:
        cdef double ms, height = 0, width = 0, waits = 0, tall = 0, wide = 0
        cdef double tiles = 0, steps = 0, walks = 0
        cdef long largest = 0
        cdef int i, j, at_once
        if self.winograd:
            for i in range(down):
                at_once = 4 * strip if strip else max(rows[i].size, 1)
                if rows[i].size >= at_once:
                    self.strips(at_once, rows[i].many * (rows[i].size // at_once), columns, across, &tiles, &steps,
                                &walks, &waits, &largest)
                if rows[i].size % at_once:
                    self.strips(rows[i].size % at_once, rows[i].many, columns, across, &tiles, &steps, &walks,
                                &waits, &largest)
            # As in the direct kernels: every 14 tiles pay for two loads of weights, fewer do so too
            ms = tiles * self.tile + steps / (1 + 2.0 / self.pixels) * self.step + walks * self.parts * self.walk
            if self.held * largest > self.near:
                ms += tiles * self.far
            return ms + waits * self.wait + 2 * walks * self.meeting
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

    cdef void strips(self, int rows, int many, const Size *columns, int across, double *tiles, double *steps,
                     double *walks, double *waits, long *largest) noexcept nogil:
        """So many strips of so many rows of outputs, added up."""
        cdef int j, down = (rows + 3) // 4, wide
        cdef long at_once, together = self.pixels * self.parts
        cdef double times
        for j in range(across):
            wide = (columns[j].size + 3) // 4
            at_once = down * <long>wide
            times = <double>many * columns[j].many
            tiles[0] += times * at_once
            # A tile of n outputs in a direction takes n + 2 products there
            steps[0] += times * ((rows + 2 * down) * <double>(columns[j].size + 2 * wide) / 36
                                 + 2 * self.parts * ((at_once + together - 1) // together))
            walks[0] += times
            waits[0] += times / (1.0 + at_once)
            largest[0] = max(largest[0], at_once)

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
