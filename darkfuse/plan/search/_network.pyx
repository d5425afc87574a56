"""The arrays of `_network.pxd`, from the lists that `plan.search.tiled` makes."""
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free


cdef class Network:

    def __cinit__(self, list pieces, list leaves, list roots, int entry, int input_root, int64_t near,
                  int threads, double far_ms, double input_ms, double input_tile, int batch):
        cdef int n, m = 0, k = 0, way
        self.entry, self.input_root, self.near, self.threads = entry, input_root, near, threads
        self.batch = batch
        self.far_ms, self.input_ms, self.input_tile = far_ms, input_ms, input_tile
        self.leaf_count, self.root_count = len(leaves), len(roots)
        sources = [source for _, _, some in leaves for source in some]
        lists = [run for piece in pieces for run in piece[15:19]] + [source[1] for source in sources]
        self.pieces = <Piece *>calloc(len(pieces) + 1, sizeof(Piece))
        self.leaves = <Leaf *>calloc(self.leaf_count + 1, sizeof(Leaf))
        self.sources = <Source *>calloc(len(sources) + 1, sizeof(Source))
        self.roots = <Root *>calloc(self.root_count + 1, sizeof(Root))
        self.numbers = <int64_t *>calloc(sum(map(len, lists)) + 1, sizeof(int64_t))
        self.chosen = <int *>calloc(len(pieces) + 1, sizeof(int))
        self.dying = <int *>calloc(self.root_count + 1, sizeof(int))
        self.born = <int *>calloc(self.root_count + 1, sizeof(int))
        self.sums = <int *>calloc(len(pieces) + 1, sizeof(int))
        self.weighted = <int *>calloc(len(pieces) + 1, sizeof(int))
        self.plain_ms = <double *>calloc(len(pieces) + 1, sizeof(double))
        self.chosen_ms = <double *>calloc(len(pieces) + 1, sizeof(double))
        if NULL in (self.pieces, self.leaves, self.sources, self.roots, self.numbers, self.chosen, self.dying,
                    self.born, self.sums, self.weighted, self.plain_ms, self.chosen_ms):
            raise MemoryError
        self.direct, self.winograd = [piece[7] for piece in pieces], [piece[8] for piece in pieces]
        for n, piece in enumerate(pieces):
            p = &self.pieces[n]
            p.leaf, p.root, p.tiles, p.layers, p.sum, p.pools, p.conv = piece[:7]
            p.packed, p.reader, p.loading, p.whole, p.meeting, (p.u, p.u_tile, p.t, p.t_tile) = piece[9:15]
            p.maps, m = self._run(piece[15], m)
            p.beginning, m = self._run(piece[16], m)
            p.ending, m = self._run(piece[17], m)
            p.operands, m = self._run(piece[18], m)
            for way, (slots, block, reading, turning) in enumerate(piece[19]):
                p.stripes[way] = Stripe(slots, block, reading, turning)
        for n, (height, width, some) in enumerate(leaves):
            leaf = &self.leaves[n]
            leaf.height, leaf.width, leaf.first = height, width, k
            for storage, read, rows, columns in some:
                source = &self.sources[k]
                source.storage = storage
                source.leaves, m = self._run(read, m)
                source.rows.factor, source.rows.start, source.rows.end, source.rows.done = rows
                source.columns.factor, source.columns.start, source.columns.end, source.columns.done = columns
                k += 1
            leaf.last = k
        for n, storage in enumerate(roots):
            r = &self.roots[n]
            r.whole, r.row, r.pixel, r.width, r.height, r.first, r.last, r.exported, r.blocks = storage

    def __dealloc__(self):
        free(self.pieces)
        free(self.leaves)
        free(self.sources)
        free(self.roots)
        free(self.numbers)
        free(self.chosen)
        free(self.dying)
        free(self.born)
        free(self.sums)
        free(self.weighted)
        free(self.plain_ms)
        free(self.chosen_ms)

    cdef tuple _run(self, numbers, int at):
        cdef int begin = at
        for number in numbers:
            self.numbers[at] = number
            at += 1
        return Run(begin, at), at
