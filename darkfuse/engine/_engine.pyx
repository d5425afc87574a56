"""The engine: a `Program` copied into C structs, and run frame after frame inside one arena.

`check` has refused whatever could leave its buffers; here remain the sizes only the kernels know. The C behind
it (engine.h) makes no decisions and allocates nothing while a frame runs.
"""
import os

cimport cython
from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int32_t, int64_t, uint8_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset
from posix.unistd cimport close as posix_close

from darkfuse.engine._engine cimport *
from darkfuse.kernels._kernels cimport (
    DF_DIRECT, DF_FIRST, DF_GENERAL, DF_WINOGRAD, df_conv, df_kernels, df_packed_floats, df_wino_scratch_floats,
    df_wino_u_floats,
)

from darkfuse.engine.check import blocks, check, conv_output, fail
from darkfuse.errors import BudgetError, DarkfuseError, WeightsError
from darkfuse.plan.program import slot_bytes

cdef extern from "pages.h":
    size_t df_give_back() nogil

LAYOUTS = {"blocks": (DF_BLOCKS, 16), "image": (DF_IMAGE, 3), "chw": (DF_CHW, 1)}
RESIDENCIES = {"pinned": DF_PINNED, "loaded": DF_LOADED, "streamed": DF_STREAMED}
KERNELS = {"direct": DF_DIRECT, "first": DF_FIRST, "general": DF_GENERAL, "winograd": DF_WINOGRAD}
KINDS = {
    "input": DF_INPUT, "conv": DF_CONV, "maxpool": DF_MAXPOOL, "avgpool": DF_AVGPOOL, "upsample": DF_UPSAMPLE,
    "shortcut": DF_SHORTCUT, "reorg": DF_REORG, "copy": DF_COPY, "export": DF_EXPORT,
    "connected": DF_CONNECTED, "softmax": DF_SOFTMAX, "activate": DF_ACTIVATE,
}
# In the order of enum df_act.
ACTIVATIONS = ("linear", "leaky", "relu", "logistic", "mish", "swish", "relu6", "tanh", "elu")

cdef char *FLOAT32 = b"f"  # buffer format

cdef enum:
    GUARD = 256  # bytes between buffers when guarded
    GUARD_BYTE = 0xA5


def give_back():
    try:
        alone = len(os.listdir("/proc/self/task")) == 1
    except OSError:
        alone = False
    return df_give_back() if alone else 0


cdef int poll_signals(void *engine) noexcept nogil:
    """Nonzero when a signal's handler raised; run() raises it again once the team is home."""
    with gil:
        try:
            PyErr_CheckSignals()
        except BaseException as error:
            (<Engine>engine).raised = error
            return 1
    return 0


cdef class _Arena:
    """The mapping; lives as long as the engine or any output view of it."""

    cdef char *base
    cdef size_t bytes

    def __cinit__(self, size_t bytes, bint small_first=False):
        self.bytes = bytes if bytes > 0 else 1
        self.base = <char *>df_arena_map(self.bytes, small_first)
        if self.base is NULL:
            raise BudgetError(f"the system refuses {bytes} bytes of memory for the network's maps and weights; "
                              "give a smaller --mem or end other programs")

    def __dealloc__(self):
        if self.base is not NULL:
            df_arena_unmap(self.base, self.bytes)


cdef class _Map:
    """Read-only buffer over one output map, (channels, height, width) float32."""

    cdef _Arena arena
    cdef float *values
    cdef Py_ssize_t shape[3]
    cdef Py_ssize_t strides[3]

    def __getbuffer__(self, Py_buffer *view, int flags):
        if flags & PyBUF_WRITABLE:
            raise BufferError("output maps are read-only")
        view.buf = self.values
        view.obj = self
        view.len = self.shape[0] * self.strides[0]
        view.readonly = 1
        view.itemsize = sizeof(float)
        view.format = FLOAT32 if flags & PyBUF_FORMAT else NULL
        view.ndim = 3
        view.shape = self.shape
        view.strides = self.strides
        view.suboffsets = NULL
        view.internal = NULL


@cython.no_gc_clear  # __dealloc__ frees what `owned` lists
cdef class Engine:
    """Runs a program on one frame at a time; see _engine.pyi for its methods."""

    cdef df_engine e
    cdef _Arena arena
    cdef object program, path, lock, raised
    cdef list owned      # addresses from calloc, freed with the engine
    cdef list places     # bytes from the arena's start to each buffer
    cdef bint guarded
    cdef double latency

    def __cinit__(self):
        self.e.reader.fd = self.e.reader.direct = -1
        self.owned = []

    def __init__(self, program, weights_path, int threads, isa=None, bint guard=False, bint cached=False):
        if self.arena is not None:
            raise DarkfuseError("an engine is made once; make another one for another program")
        check(program, threads)
        self.program, self.path, self.guarded = program, os.fspath(weights_path), guard
        wanted = (isa or "").encode()
        self.e.table = df_kernels(<const char *>wanted if isa else NULL)
        if self.e.table is NULL:
            name = isa or os.environ.get("DARKFUSE_ISA", "")
            raise DarkfuseError(f"this processor has no instruction set {name!r}; leave it out for the best it has")
        self.e.threads = threads
        self.e.reader.cached = cached
        self._open()
        self._map_arena()
        self._convert()
        self._load()

    # -- construction ---------------------------------------------------------------------------------

    def _open(self):
        try:
            self.e.reader.fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            size = os.fstat(self.e.reader.fd).st_size
        except OSError as error:
            raise WeightsError(f"{self.path}: {error.strerror}") from None
        if not self.e.reader.cached:
            try:
                self.e.reader.direct = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT)
            except (AttributeError, OSError):
                pass  # not Linux, or a file system without direct reads: through the page cache, then
        for w in self.program.weights:
            if w.file_offset < 0:
                continue
            ends = [w.file_offset + w.filters * w.per_filter * 4, w.params_offset + w.filters * 4]
            if w.batch_normalize:
                norm = w.norm_offset if w.norm_offset >= 0 else w.params_offset + w.filters * 4
                ends.append(norm + 3 * w.filters * 4)
            if w.params_offset < 0 or max(ends) > size:
                raise WeightsError(f"{self.path}: ends {max(ends) - size} bytes before the weights of layer "
                                   f"{w.node} do; it was cut short or belongs to another network")

    def _map_arena(self):
        self.places = [buffer.offset for buffer in self.program.buffers]
        total = self.program.arena_bytes
        if self.guarded:
            # Every buffer gets its own place: an overrun shows in the guards, a stale read in the NaNs.
            self.places, total = [], GUARD
            for buffer in self.program.buffers:
                self.places.append(total)
                total += (buffer.bytes + 63) // 64 * 64 + GUARD
        # Small pages where fewer reads land: those take longer into memory in pieces
        rest = total % DF_HUGE_PAGE
        reads = [read.offset for w in self.program.weights for read in w.reads]
        low, high = sum(at < rest for at in reads), sum(at >= total - rest for at in reads)
        self.arena = _Arena(total, low < high)
        if self.guarded:
            memset(self.arena.base, GUARD_BYTE, self.arena.bytes)
            self._poison(True)

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
        e.tensors = <df_tensor *>self._new(len(program.tensors), sizeof(df_tensor))
        for n in range(len(program.tensors)):
            self._tensor(program.tensors[n], &e.tensors[n])
        e.n_weights = len(program.weights)
        e.weights = <df_weights *>self._new(e.n_weights, sizeof(df_weights))
        for n in range(e.n_weights):
            self._weights(program.weights[n], &e.weights[n])
        e.n_stages = len(program.stages)
        e.stages = <df_stage *>self._new(e.n_stages, sizeof(df_stage))
        for n in range(e.n_stages):
            self._stage(program.stages[n], &e.stages[n])
        if not df_reader_plan(e):
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
        w.batch_normalize, w.transposed = source.batch_normalize, source.transposed
        w.scale, w.bias = self._at(source.scale, 0), self._at(source.bias, 0)
        if source.packed >= 0:
            w.packed = self._at(source.packed, 0)
            w.packed_bytes = self.program.buffers[source.packed].bytes
        if w.residency != DF_PINNED:
            w.slot_bytes = slot_bytes(source.raw_filters, source.per_filter)
            w.kept = source.kept
            if w.kept:
                w.kept_raw = self._pages(source.kept_raw)
            self._slots(source, w)
        return 0

    cdef int _slots(self, source, df_weights *w) except -1:
        cdef Py_ssize_t n
        cdef int64_t at
        w.slots = <char **>self._new(len(source.reads), sizeof(char *))
        for n in range(len(source.reads)):
            if self.guarded:  # between the guards of the layer's own slots
                w.slots[n] = self._pages(source.raw) + n % <int64_t>source.slots * w.slot_bytes
            else:
                at = source.reads[n].offset
                w.slots[n] = <char *>self.arena.base + at
        w.slot_step = self._ints([read.step for read in source.reads])
        return 0

    cdef int _stage(self, source, df_stage *s) except -1:
        cdef Py_ssize_t n
        cdef int loaded = 0
        s.rows, s.cols = source.grid
        s.first, s.last = source.first, source.last
        s.n_ops = len(source.ops)
        s.ops = <df_op *>self._new(s.n_ops, sizeof(df_op))
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
        s.n_loaded = loaded
        return 0

    cdef int _op(self, source, df_op *op) except -1:
        cdef Py_ssize_t n
        options = source.options
        op.kind, op.node = KINDS[source.kind], source.node
        for n in range(len(source.inputs)):
            op.inputs[n] = &self.e.tensors[<int>source.inputs[n]]
        op.out = &self.e.tensors[<int>source.output]
        op.y, op.x = self._spans(source.y), self._spans(source.x)
        op.stride, op.size = getattr(options, "stride", 1), getattr(options, "size", 1)
        op.pad = getattr(options, "padding", 0) // 2
        op.act = ACTIVATIONS.index(getattr(options, "activation", "linear"))
        op.groups = getattr(options, "groups", 1)
        op.scale = getattr(options, "temperature", getattr(options, "scale", 1.0))
        op.from_channel, op.to_channel = source.block_offset, source.dest_channel
        if source.kind == "copy":
            op.channels = source.channels or self.program.tensors[source.inputs[0]].channels
        if source.kind in ("conv", "connected"):
            self._weighted(source, options, op)
        return 0

    cdef int _weighted(self, source, options, df_op *op) except -1:
        """Tie an operation to its weights, and check the packed size the kernels ask for."""
        cdef df_weights *w = &self.e.weights[<int>source.weights]
        cdef size_t need
        op.weights = w
        at_once = w.block if w.residency == DF_STREAMED else w.filters
        if source.kind == "connected":
            w.connected = True
            need = <size_t>min(at_once, w.filters) * <size_t>w.per_filter
        else:
            before = self.program.tensors[source.inputs[0]]
            op.kernel, op.strip = KERNELS[source.kernel], source.strip
            op.conv = df_conv(
                in_c=before.channels, out_c=w.filters, size=options.size, stride=options.stride, pad=options.pad,
                dilation=options.dilation, groups=options.groups, act=op.act, pool=source.pool,
                conv_h=conv_output(options, before.height), conv_w=conv_output(options, before.width))
            w.conv, w.kernel = op.conv, op.kernel
            if op.kernel == DF_WINOGRAD and w.residency == DF_STREAMED:
                return 0  # from the reader's slots
            need = df_packed_floats(&op.conv, op.kernel, min(at_once, w.filters))
        if need == 0 or need * 4 > w.packed_bytes:
            fail(f"the packed weights of layer {w.node} reach past their buffer")
        return 0

    cdef int _check_scratch(self, source, df_op *op, df_stage *s) except -1:
        """Winograd's transformed input of the largest strip, and room for one tile a thread."""
        pool = 2 if source.pool else 1
        down = max([min(y[1] * pool, op.conv.conv_h) - y[0] * pool for y in source.y])
        across = max([min(x[1] * pool, op.conv.conv_w) - x[0] * pool for x in source.x])
        down = min(op.strip or down, (down + 3) // 4) if down > 0 else 0
        tiles = down * ((max(across, 0) + 3) // 4)
        if df_wino_u_floats(&op.conv, tiles) * 4 > s.shared_bytes \
                or (tiles and df_wino_scratch_floats(&op.conv, 1) * 4 > s.thread_bytes):
            fail(f"the scratch of layer {op.node} reaches past its buffer")
        return 0

    def _load(self):
        """Fold batch norm and pack what stays, reading through whatever the arena has not in use yet."""
        cdef int node = 0, failed
        cdef df_weights *w
        need = 0
        for n in range(self.e.n_weights):
            w = &self.e.weights[n]
            if w.residency == DF_PINNED:
                need = max(need, w.filters if w.transposed else w.per_filter)
        start, size = self._gap()
        cdef _Arena aside = None
        cdef float *through
        if size < need * 4 * 8:
            size = max(need * 4, min(need * 4 * 16, 1 << 20))
            aside = _Arena(size)
            through = <float *>aside.base
        else:
            through = <float *>(self.arena.base + <int64_t>start)
        cdef size_t room = size
        self._listen()
        with nogil:
            failed = df_load_weights(&self.e, through, room, &node)
        if failed == DF_POLLED:
            self._raise()
        if failed:
            self._read_error(node, failed if failed > 0 else 0)
        if self.guarded:
            self._poison(False)

    def _gap(self):
        """The largest part of the arena that nothing keeps over frames: (start, bytes)."""
        if self.guarded:
            return 0, 0
        kept = sorted((b.offset, b.offset + b.bytes) for b in self.program.buffers if b.first < 0)
        best, at = (0, 0), 0
        for start, end in [*kept, (self.program.arena_bytes, 0)]:
            if start - at > best[1]:
                best = at, start - at
            at = max(at, (end + 63) // 64 * 64)
        return best

    # -- frames ---------------------------------------------------------------------------------------

    def run_image(self, pixels, int width, int height, bint letterbox=True):
        if self.program.input_channels != 3:
            raise DarkfuseError(f"the network takes {self.program.input_channels} channels, a photo has 3")
        if width < 1 or height < 1:
            raise DarkfuseError(f"a photo of {width}x{height} pixels")
        self._run(pixels, "B", <int64_t>width * height * 3, width, height, letterbox)

    def run_chw(self, data):
        p = self.program
        self._run(data, "f", p.input_channels * p.input_height * p.input_width * 4, 0, 0, False)

    def _run(self, data, kind, int64_t nbytes, int width, int height, bint letterbox):
        cdef Py_buffer view
        cdef int stopped
        if self.arena is None:
            raise DarkfuseError("the engine is closed")
        PyObject_GetBuffer(data, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
        try:
            form = (<bytes>view.format).decode().lstrip("<=@") if view.format is not NULL else "B"
            if form not in (kind, "B", "b", "c") or view.len != nbytes:
                raise DarkfuseError(f"the frame has {view.len} bytes of {form!r}; {nbytes} of {kind!r} are needed")
            if self.lock is not None:
                raise DarkfuseError("the engine is running a frame already; each thread needs one of its own")
            self.lock = self
            try:
                if self.guarded:
                    self._poison(False)
                self.e.frame.pixels = <const uint8_t *>view.buf if kind == "B" else NULL
                self.e.frame.chw = <const float *>view.buf if kind == "f" else NULL
                self.e.frame.width, self.e.frame.height = width, height
                self.e.frame.letterbox = letterbox
                self._listen()
                with nogil:
                    self.latency = df_now_ms()
                    stopped = df_run(&self.e)
                    self.latency = df_now_ms() - self.latency
            finally:
                self.lock = None
        finally:
            PyBuffer_Release(&view)
        if self.raised is not None:  # whatever else went wrong meanwhile
            self._raise()
        if stopped == DF_READ_FAILED:
            self._read_error(self.e.reader.failed_node, self.e.reader.failed_errno)
        if stopped == DF_NO_THREAD:
            raise DarkfuseError("the system refuses a thread to read weights with; end other programs")
        if self.guarded:
            self._check_guards()

    def _listen(self):
        """Only the main thread handles signals: others need not take the GIL to look for them."""
        import threading

        self.e.poll = NULL
        if threading.current_thread() is threading.main_thread():
            self.e.poll, self.e.poll_arg = poll_signals, <void *>self

    def _raise(self):
        error, self.raised = self.raised, None
        raise error

    def _read_error(self, int node, int number):
        why = os.strerror(number) if number else "the file ends there; it was cut short while in use"
        raise WeightsError(f"{self.path}: cannot read the weights of layer {node}: {why}")

    def output(self, int node):
        if self.arena is None:
            raise DarkfuseError("the engine is closed")
        for layer, number in self.program.outputs:
            if layer == node:
                return memoryview(self._map(number))
        raise DarkfuseError(f"layer {node} is not among this program's outputs: "
                            + ", ".join(str(layer) for layer, _ in self.program.outputs))

    cdef _Map _map(self, int number):
        cdef df_tensor *t = &self.e.tensors[number]
        cdef _Map made = _Map()
        made.arena, made.values = self.arena, t.base
        made.shape[0], made.shape[1], made.shape[2] = t.channels, t.height, t.width
        made.strides[2] = sizeof(float)
        made.strides[1] = made.strides[2] * t.width
        made.strides[0] = made.strides[1] * t.height
        return made

    def stats(self):
        return {
            "latency_ms": self.latency,
            "arena_bytes": self.program.arena_bytes,
            "bytes_read": self.e.reader.bytes,
            "macs": self.e.macs,
            "stages_ms": [self.e.stages[n].ms for n in range(self.e.n_stages)],
            "wait_ms": self.e.reader.wait_ms / self.e.threads,
            "isa": self.e.table.isa.decode(),
        }

    def close(self):
        if self.lock is not None:
            raise DarkfuseError("the engine is running a frame; close it afterwards")
        self._free()

    cdef void _free(self):
        if self.e.reader.fd >= 0:
            posix_close(self.e.reader.fd)
            self.e.reader.fd = -1
        if self.e.reader.direct >= 0:
            posix_close(self.e.reader.direct)
            self.e.reader.direct = -1
        free(self.e.reader.chunks)
        free(self.e.reader.done)
        free(self.e.reader.here)
        self.e.reader.chunks, self.e.reader.done, self.e.reader.here = NULL, NULL, NULL
        for address in self.owned:
            free(<void *><uintptr_t>address)
        self.owned = []
        self.e.n_stages = self.e.n_weights = 0
        self.arena = None

    def __dealloc__(self):
        self._free()

    # -- tests' eyes ----------------------------------------------------------------------------------

    cdef int _poison(self, bint kept) except -1:
        """NaN into every buffer that lives within a frame (and, before loading, those that stay)."""
        for buffer, place in zip(self.program.buffers, self.places):
            if buffer.first >= 0 or kept:
                memset(self.arena.base + <int64_t>place, 0xFF, <size_t>buffer.bytes)
        return 0

    cdef int _check_guards(self) except -1:
        cdef uint8_t *base = <uint8_t *>self.arena.base
        cdef size_t at, end
        ends = [0] + [place + buffer.bytes for buffer, place in zip(self.program.buffers, self.places)]
        starts = [*self.places, self.arena.bytes]
        names = ["", *(buffer.name for buffer in self.program.buffers)]
        for name, start, stop in zip(names, ends, starts):
            at, end = start, stop
            while at < end:
                if base[at] != GUARD_BYTE:
                    raise DarkfuseError(f"something wrote {at - <size_t>start} bytes past buffer {name!r}")
                at += 1
        return 0
