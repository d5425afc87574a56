# Part of _engine.pyx: a `Program` as the C structs of engine.h.

LAYOUTS = {"blocks": (DF_BLOCKS, 16), "image": (DF_IMAGE, 3), "chw": (DF_CHW, 1)}
RESIDENCIES = {"pinned": DF_PINNED, "loaded": DF_LOADED, "streamed": DF_STREAMED}
KERNELS = {"direct": DF_DIRECT, "first": DF_FIRST, "general": DF_GENERAL, "winograd": DF_WINOGRAD}
KINDS = {
    "input": DF_INPUT, "conv": DF_CONV, "maxpool": DF_MAXPOOL, "avgpool": DF_AVGPOOL, "upsample": DF_UPSAMPLE,
    "shortcut": DF_SHORTCUT, "reorg": DF_REORG, "copy": DF_COPY, "export": DF_EXPORT,
    "connected": DF_CONNECTED, "softmax": DF_SOFTMAX, "activate": DF_ACTIVATE, "local": DF_LOCAL,
    "local_avgpool": DF_LOCAL_AVGPOOL, "reorg3d": DF_REORG3D, "crop": DF_CROP, "batchnorm": DF_BATCHNORM,
    "sam": DF_SAM, "scale_channels": DF_SCALE_CHANNELS,
}
WEIGHTINGS = {"": DF_UNWEIGHTED, "feature": DF_BY_MAP, "channel": DF_BY_CHANNEL}
# In the order of enum df_act.
ACTIVATIONS = ("linear", "leaky", "relu", "logistic", "mish", "swish", "relu6", "tanh", "elu", "loggy", "selu", "gelu",
               "relie", "ramp", "plse", "stair", "hardtan", "lhtan", "hard_mish")


@cython.no_gc_clear
cdef class _Structs:
    """The structs, and all they point to."""

    cdef df_engine e
    cdef _Arena arena
    cdef object program
    cdef list owned      # addresses from calloc, freed with the engine
    cdef list places     # bytes from the arena's start to each buffer
    cdef bint guarded

    def __cinit__(self):
        self.owned = []

    cdef float *_at(self, int buffer, int64_t offset) except? NULL:
        cdef int64_t place = self.places[buffer]
        return <float *>(self.arena.base + place + offset)

    cdef char *_pages(self, int buffer) except? NULL:
        """Where a buffer's first whole page begins."""
        return <char *>((<uintptr_t>self._at(buffer, 0) + DF_PAGE - 1) // DF_PAGE * DF_PAGE)

    cdef void *_new(self, size_t count, size_t size) except NULL:
        cdef void *made = calloc(count if count > 0 else 1, size)
        if made is NULL:
            raise MemoryError()
        self.owned.append(<uintptr_t>made)
        return made

    cdef const int32_t *_ints(self, values) except NULL:
        cdef int32_t *made = <int32_t *>self._new(len(values), sizeof(int32_t))
        cdef Py_ssize_t n
        for n in range(len(values)):
            made[n] = values[n]
        return made

    cdef const df_span *_spans(self, values) except NULL:
        cdef df_span *made = <df_span *>self._new(len(values), sizeof(df_span))
        cdef Py_ssize_t n
        for n in range(len(values)):
            made[n].start = values[n][0]
            made[n].end = values[n][1]
        return made

    def _convert(self):
        program = self.program
        cdef Py_ssize_t n
        cdef df_engine *e = &self.e
        cdef Py_ssize_t picture, count = len(program.tensors)
        e.tensors = <df_tensor *>self._new(count * program.batch, sizeof(df_tensor))
        for n in range(count):
            self._tensor(program.tensors[n], &e.tensors[n])
            for picture in range(1, program.batch):
                e.tensors[picture * count + n] = e.tensors[n]
                e.tensors[picture * count + n].base = self._at(
                    program.tensors[n].buffer, program.tensors[n].offset + picture * program.tensors[n].apart)
        e.n_weights = len(program.weights)
        e.weights = <df_weights *>self._new(e.n_weights, sizeof(df_weights))
        for n in range(e.n_weights):
            self._weights(program.weights[n], &e.weights[n])
        e.n_stages, e.alone = len(program.stages), program.alone
        e.stages = <df_stage *>self._new(e.n_stages, sizeof(df_stage))
        for n in range(e.n_stages):
            self._stage(program.stages[n], &e.stages[n])
        if not df_reader_plan(e, self.arena.base, self.arena.bytes):
            raise MemoryError()

    cdef int _tensor(self, source, df_tensor *t) except -1:
        t.base = self._at(source.buffer, source.offset)
        t.layout, t.pixel = LAYOUTS[source.layout]
        t.row_stride = source.row_stride
        t.channels, t.height, t.width = source.channels, source.height, source.width
        t.blocks = blocks(source.channels)
        t.cols, t.slots = source.cols, source.slots
        t.x0 = self._ints(source.x0)
        t.moves = len(source.x0) > 1
        if source.keep is not None:
            t.keep = self._keep(source.keep)
        return 0

    cdef const df_keep *_keep(self, source) except NULL:
        cdef df_keep *k = <df_keep *>self._new(1, sizeof(df_keep))
        if source.buffer >= 0:
            k.base = self._at(source.buffer, 0)
            k.slots = source.slots
        k.cols, k.x0, k.columns = source.cols, source.x0, source.columns
        k.top, k.left = self._ints(source.top), self._ints(source.left)
        return k

    cdef int _weights(self, source, df_weights *w) except -1:
        w.residency = RESIDENCIES[source.residency]
        w.node, w.filters, w.per_filter = source.node, source.filters, source.per_filter
        w.block = min(source.block, (source.filters + 31) // 32 * 32)  # the threads share out what is there
        w.raw_filters = source.raw_filters
        w.file_offset, w.params_offset = source.file_offset, source.params_offset
        w.norm_offset = source.norm_offset
        w.epsilon_in_root, w.epsilon_beside = source.epsilons
        w.batch_normalize, w.transposed = source.batch_normalize, source.transposed
        w.scale, w.bias = self._at(source.scale, 0), self._at(source.bias, 0)
        if source.packed >= 0:
            w.packed = self._at(source.packed, 0)
            w.packed_bytes = self.program.buffers[source.packed].bytes
        if w.residency != DF_PINNED:
            w.slot_bytes = slot_bytes(source.raw_filters, source.per_filter)
            w.resident = source.resident
            if w.resident:
                w.resident_raw = self._pages(source.resident_raw)
            self._slots(source, w)
        return 0

    cdef int _slots(self, source, df_weights *w) except -1:
        cdef Py_ssize_t n
        cdef int64_t at
        # Between guards, the layer's own slots alone
        landings = source.landings[:source.slots] if self.guarded else source.landings
        w.n_slots = len(landings)
        w.slots = <char **>self._new(w.n_slots, sizeof(char *))
        for n in range(w.n_slots):
            if self.guarded:
                w.slots[n] = self._pages(source.raw) + n * w.slot_bytes
            else:
                at = landings[n].offset
                w.slots[n] = <char *>self.arena.base + at
        w.slot_step = self._ints([landing.step for landing in landings])
        return 0

    cdef int _stage(self, source, df_stage *s) except -1:
        cdef Py_ssize_t n
        cdef int loaded = 0
        s.rows, s.cols = source.grid
        s.first, s.last = source.first, source.last
        s.n_ops = len(source.ops)
        s.ops = <df_op *>self._new(s.n_ops * self.program.batch, sizeof(df_op))
        s.loaded = <df_weights **>self._new(s.n_ops, sizeof(df_weights *))
        s.shared_bytes, s.thread_bytes = source.shared_bytes, source.thread_bytes
        if source.scratch >= 0:
            s.shared = <char *>self._at(source.scratch, 0)
        outputs = [op.output for op in source.ops]
        for n in range(s.n_ops):
            self._op(source.ops[n], &s.ops[n])
            s.ops[n].keep_in = outputs[n] not in outputs[:n]
            s.ops[n].keep_out = outputs[n] not in outputs[n + 1:]
            if s.ops[n].weights is not NULL and s.ops[n].weights.residency == DF_LOADED:
                s.loaded[loaded] = s.ops[n].weights
                loaded += 1
            if s.ops[n].kernel == DF_WINOGRAD and s.ops[n].kind == DF_CONV:
                self._check_scratch(source.ops[n], &s.ops[n], s)
            if s.ops[n].weights is not NULL and s.ops[n].weights.residency != DF_PINNED:
                s.ops[n].weights.first_read = <int32_t *>self._new(s.rows * s.cols, sizeof(int32_t))
                s.streams = s.streams or s.ops[n].weights.residency == DF_STREAMED
        s.n_loaded = loaded
        for n in range(s.n_ops, s.n_ops * self.program.batch):
            self._same_op(&s.ops[n % s.n_ops], &s.ops[n], n // s.n_ops)
        return 0

    cdef int _same_op(self, const df_op *first, df_op *op, Py_ssize_t picture) except -1:
        """The operation on another picture of the batch: it names that picture's maps."""
        cdef Py_ssize_t n, skipped = picture * len(self.program.tensors)
        op[0] = first[0]
        op.out = first.out + skipped
        op.inputs = <df_tensor **>self._new(op.n_in, sizeof(df_tensor *))
        for n in range(op.n_in):
            op.inputs[n] = first.inputs[n] + skipped
        return 0

    cdef int _op(self, source, df_op *op) except -1:
        cdef Py_ssize_t n
        options = source.options
        op.kind, op.node = KINDS[source.kind], source.node
        op.n_in = len(source.inputs)
        op.inputs = <df_tensor **>self._new(op.n_in, sizeof(df_tensor *))
        for n in range(op.n_in):
            op.inputs[n] = &self.e.tensors[<int>source.inputs[n]]
        op.out = &self.e.tensors[<int>source.output]
        op.y, op.x = self._spans(source.y), self._spans(source.x)
        op.stride, op.size = getattr(options, "stride", 1), getattr(options, "size", 1)
        op.stride_x = stride_of(options, True)
        op.pad = getattr(options, "padding", 0) // 2
        if source.kind == "local":
            op.pad = 1 if options.pad else 0
        op.top, op.left = getattr(options, "top", 0), getattr(options, "left", 0)
        op.weighting = WEIGHTINGS[getattr(options, "weighting", "")]
        normalization = getattr(options, "normalization", "")
        op.relu_weights, op.softmax_weights = normalization == "relu", normalization == "softmax"
        op.act = ACTIVATIONS.index(getattr(options, "activation", "linear"))
        op.groups = getattr(options, "groups", 1)
        op.scale = getattr(options, "temperature", getattr(options, "scale", 1.0))
        if source.kind == "crop" and not options.noadjust:
            op.scale, op.shift = 2.0, -1.0
        op.from_channel, op.to_channel = source.block_offset, source.dest_channel
        if source.kind == "copy":
            op.channels = source.channels or self.program.tensors[source.inputs[0]].channels
        if source.kind in ("conv", "connected", "local"):
            self._weighted(source, options, op)
        elif source.weights >= 0:
            op.weights = &self.e.weights[<int>source.weights]
        return 0

    cdef int _weighted(self, source, options, df_op *op) except -1:
        """Tie an operation to its weights, and check the packed size the kernels ask for."""
        cdef df_weights *w = &self.e.weights[<int>source.weights]
        cdef size_t need
        op.weights = w
        at_once = w.block if w.residency == DF_STREAMED else w.filters
        if source.kind != "conv":
            w.connected = True
            need = <size_t>min(at_once, w.filters) * <size_t>w.per_filter
        else:
            before = self.program.tensors[source.inputs[0]]
            op.kernel, op.strip = KERNELS[source.kernel], source.strip
            op.conv = df_conv(
                in_c=before.channels, out_c=w.filters, size=options.size, stride=options.stride, pad=options.pad,
                dilation=options.dilation, groups=options.groups, act=op.act, pool=source.pool,
                conv_h=conv_output(options, before.height), conv_w=conv_output(options, before.width, True),
                stride_x=op.stride_x)
            w.conv, w.kernel = op.conv, op.kernel
            if op.kernel == DF_WINOGRAD and w.residency == DF_STREAMED:
                return 0  # from the reader's slots
            need = df_packed_floats(&op.conv, op.kernel, min(at_once, w.filters))
        if need == 0 or need * 4 > w.packed_bytes:
            fail(f"the packed weights of layer {w.node} reach past their buffer")
        return 0

    cdef int _check_scratch(self, source, df_op *op, df_stage *s) except -1:
        """Winograd's transformed input of the largest strip, and room for one tile a thread; or for what a thread
        computes at a time in a batch."""
        pool = 2 if source.pool else 1
        down = max([min(y[1] * pool, op.conv.conv_h) - y[0] * pool for y in source.y])
        across = max([min(x[1] * pool, op.conv.conv_w) - x[0] * pool for x in source.x])
        down = min(op.strip or down, (down + 3) // 4) if down > 0 else 0
        tiles = down * ((max(across, 0) + 3) // 4)
        if self.program.batch > 1 and op.weights.residency == DF_STREAMED:
            op.panels = panels_at_once(self.program.batch, self.program.threads, op.weights.block)
            op.pictures = pictures_at_once(self.program.batch, self.program.threads, tiles, op.panels)
            rows = 4 * op.strip or op.conv.conv_h
            op.weights.rounds = -(-self.program.batch // op.pictures) * -(-op.conv.conv_h // rows)
            if df_wino_pictures_floats(&op.conv, tiles, op.panels, op.pictures) * 4 > s.thread_bytes:
                fail(f"the scratch of layer {op.node} reaches past its buffer")
            return 0
        if df_wino_u_floats(&op.conv, tiles) * 4 > s.shared_bytes \
                or (tiles and df_wino_scratch_floats(&op.conv, 1) * 4 > s.thread_bytes):
            fail(f"the scratch of layer {op.node} reaches past its buffer")
        return 0
