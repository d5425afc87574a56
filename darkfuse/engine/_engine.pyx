"""The engine: a `Program` copied into C structs, and run frame after frame inside one arena.

`check` has refused whatever could leave its buffers; here remain the sizes only the kernels know. The C behind
it (engine.h) makes no decisions and allocates nothing while a frame runs.
"""
import os
import sys

cimport cython
from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.exc cimport PyErr_CheckSignals
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int32_t, int64_t, uint8_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset
from posix.unistd cimport close as posix_close

from darkfuse.engine._engine cimport *
from darkfuse.kernels._kernels cimport (
    DF_DIRECT, DF_FIRST, DF_GENERAL, DF_WINOGRAD, df_conv, df_kernels, df_packed_floats, df_wino_pictures_floats,
    df_wino_scratch_floats, df_wino_u_floats,
)

from darkfuse.engine.check import check
from darkfuse.engine.check_ops import blocks, conv_output, fail, stride_of
from darkfuse.errors import BudgetError, DarkfuseError, WeightsError
from darkfuse.host.files import identity, stamp
from darkfuse.host.quiet import quiet_threads
from darkfuse.plan.program import panels_at_once, pictures_at_once, slot_bytes

cdef extern from "pages.h":
    size_t df_give_back(bint files)

PHOTO_CHANNELS = (1, 3, 4)
MOST_PARTS = 8  # of a map that is computed in parts

cdef char *FLOAT32 = b"f"  # buffer format


def give_back(team=0):
    try:
        alone = len(os.listdir("/proc/self/task")) <= 1 + team + quiet_threads()
    except OSError:
        alone = False
    return df_give_back(alone)


cdef int poll_signals(void *engine) noexcept nogil:
    """Nonzero when a signal's handler raised; run() raises it again once the team is home."""
    with gil:
        try:
            PyErr_CheckSignals()
        except BaseException as error:
            (<Engine>engine).raised = error
            return 1
    return 0


include "buffers.pxi"
include "structs.pxi"
include "guards.pxi"
include "loading.pxi"


@cython.no_gc_clear  # __dealloc__ frees what `owned` lists
cdef class Engine(_Loaded):
    """Runs a program on one frame at a time; see _engine.pyi for its methods."""

    cdef object begun, lock, raised
    cdef double latency
    cdef int waiting  # pictures of the batch whose first stage is done
    cdef int owner    # the process they are in

    def __cinit__(self):
        self.e.reader.fd = self.e.reader.direct = -1

    def __init__(self, program, weights_path, int threads, isa=None, bint guard=False, bint cached=False,
                 known=None, int64_t read_rate=0):
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
        self.e.reader.rate = read_rate / 1e3
        self.known = known
        self._open()
        self._map_arena()
        self._convert()
        self._load()

    # -- frames ---------------------------------------------------------------------------------------

    def run_image(self, pixels, int width, int height, bint letterbox=True, int channels=3, bint centres=False,
                  bint crop=False, bint more=False):
        if self.program.input_channels not in PHOTO_CHANNELS or channels not in PHOTO_CHANNELS:
            raise DarkfuseError(f"the network takes {self.program.input_channels} channels, the photo has {channels}; "
                                "both must be 1 (grey), 3 (RGB) or 4 (RGBA)")
        if width < 1 or height < 1:
            raise DarkfuseError(f"a photo of {width}x{height} pixels")
        p = self.program
        shape = DF_SHAPE_CROP if crop else DF_SHAPE_LETTERBOX if letterbox else DF_SHAPE_STRETCH
        self._run(pixels, "B", <int64_t>width * height * channels,
                  df_fit_picture(width, height, channels, p.input_width, p.input_height, p.input_channels, shape,
                                 centres), more)

    def run_rows(self, rows, bint more=False):
        p = self.program
        if tuple(rows.net) != (p.input_width, p.input_height, p.input_channels):
            raise DarkfuseError(f"rows for a network of {rows.net}")
        cdef df_rows *made = <df_rows *>PyCapsule_GetPointer(rows.capsule, DF_ROWS_CAPSULE)
        self._claim()
        try:
            made.ms = 0
            self.e.frame.rows, self.e.frame.fit = made, made.fit
            self._run_frame(more)
        finally:
            self._release()
            rows.check()  # what went wrong with the picture comes before what that led to
        self.latency -= made.ms

    def run_chw(self, data, bint more=False):
        p = self.program
        cdef df_fit none
        memset(&none, 0, sizeof(none))
        self._run(data, "f", p.input_channels * p.input_height * p.input_width * 4, none, more)

    def only(self, parts):
        cdef Py_ssize_t number, n, k
        cdef df_op *op
        if self.lock is not None or self.waiting or self.arena is None:
            raise DarkfuseError("parts of maps are chosen between frames")
        for number in range(self.e.n_stages):
            for n in range(self.e.stages[number].n_ops):
                op = &self.e.stages[number].ops[n]
                op.some_parts = False
                if parts is None:
                    continue
                rects = parts[number][n]
                if len(rects) > MOST_PARTS:
                    raise DarkfuseError(f"{len(rects)} parts of a map, {MOST_PARTS} at most")
                if op.parts is NULL:
                    op.parts = <df_region *>self._new(MOST_PARTS, sizeof(df_region))
                for k, (y0, y1, x0, x1) in enumerate(rects):
                    if not (0 <= y0 <= y1 <= op.y[0].end and 0 <= x0 <= x1 <= op.x[0].end):
                        raise DarkfuseError("a part outside its map")
                    op.parts[k] = df_region(y0, y1, x0, x1)
                op.n_parts, op.some_parts = len(rects), True

    def finish(self):
        if not self.waiting:
            raise DarkfuseError("no picture of a batch waits to be finished")
        self._claim()
        try:
            self._run_frame(False, False)
        finally:
            self._release()

    cdef _run(self, data, kind, int64_t nbytes, df_fit fit, bint more):
        cdef Py_buffer view
        PyObject_GetBuffer(data, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
        try:
            form = (<bytes>view.format).decode().lstrip("<=@") if view.format is not NULL else "B"
            if form not in (kind, "B", "b", "c") or view.len != nbytes:
                raise DarkfuseError(f"the frame has {view.len} bytes of {form!r}; {nbytes} of {kind!r} are needed")
            self._claim()
            try:
                self.e.frame.pixels = <const uint8_t *>view.buf if kind == "B" else NULL
                self.e.frame.chw = <const float *>view.buf if kind == "f" else NULL
                self.e.frame.fit = fit
                df_expect_frame(view.buf, <size_t>view.len)
                self._run_frame(more)
            finally:
                self._release()
        finally:
            PyBuffer_Release(&view)

    def _claim(self):
        if self.arena is None:
            raise DarkfuseError("the engine is closed")
        if self.lock is not None:
            raise DarkfuseError("the engine is running a frame already; each thread needs one of its own")
        if self.waiting and self.owner != os.getpid():
            self._abandon()
            raise DarkfuseError("this process was forked in the middle of a batch of pictures; begin with its first again")
        self.lock = self

    def _release(self):
        self.e.frame.pixels = NULL
        self.e.frame.rows = NULL
        self.e.frame.chw = NULL
        self.lock = None

    def _run_frame(self, bint more, bint come=True):
        cdef int stopped
        cdef double began
        if come and self.waiting >= self.program.batch:
            raise DarkfuseError(f"the program is laid out for {self.program.batch} pictures at a time")
        self.e.picture, self.e.more, self.e.come = self.waiting - (not come), more, come
        if not self.waiting:
            if self.guarded:
                self._poison(False)
            self.begun, self.latency, self.owner = stamp(self.e.reader.fd), 0, os.getpid()
            self.e.reader.doubt = self.begun != self.stamp
        self._listen()
        self.waiting = 0  # whatever goes wrong ends the batch
        with nogil:
            began = df_now_ms()
            stopped = df_run(&self.e)
            self.latency += df_now_ms() - began
        if self.raised is not None:  # whatever else went wrong meanwhile
            self._raise()
        if stopped == DF_READ_FAILED:
            self._read_error(self.e.reader.failed_node, self.e.reader.failed_errno)
        if more and stopped in (DF_RUNNING, DF_PICTURE_FAILED):
            self.waiting = self.e.picture + (stopped == DF_RUNNING)
            return
        # An unlinked or replaced file stays what it was while it is open; one written to may have changed again
        # behind what was compared
        if self.e.reader.bytes and stamp(self.e.reader.fd) != self.begun:
            raise self._changed()
        self.stamp = self.begun
        if stopped == DF_NO_THREAD:
            raise DarkfuseError("the system refuses the threads to run a frame with; end other programs or give fewer --threads")
        if self.guarded:
            self._check_guards()

    def abandon(self):
        if self.lock is None:
            self._abandon()

    cdef void _abandon(self):
        """Forget the pictures of a batch that is not finished, and stop reading for it."""
        if self.e.reader.running and self.owner == os.getpid():
            df_reader_stop(&self.e)
        self.e.reader.running = False  # in a forked child there are no such threads
        self.waiting = 0

    @property
    def readers(self):
        return self.e.reader.threads if self.e.reader.running else 0

    def _listen(self):
        """Only the main thread handles signals: others need not take the GIL to look for them."""
        threading = sys.modules.get("threading")  # nobody has imported it: there is no other (saves 100 kB)
        self.e.poll = NULL
        if threading is None or threading.current_thread() is threading.main_thread():
            self.e.poll, self.e.poll_arg = poll_signals, <void *>self

    def _raise(self):
        error, self.raised = self.raised, None
        raise error

    def _changed(self):
        return WeightsError(f"{self.path}: the file was changed while it was in use; load the network again")

    def _read_error(self, int node, int number):
        if number < 0:
            raise self._changed()
        why = os.strerror(number) if number else "the file ends there; it was cut short while in use"
        raise WeightsError(f"{self.path}: cannot read the weights of layer {node}: {why}")

    def output(self, int node, int picture=0):
        if self.arena is None:
            raise DarkfuseError("the engine is closed")
        if not 0 <= picture <= self.e.picture:
            raise DarkfuseError(f"the last batch had {self.e.picture + 1} pictures, 0..{self.e.picture}")
        for layer, number in self.program.outputs:
            if layer == node:
                return memoryview(self._map(number + picture * len(self.program.tensors)))
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
        self._abandon()
        if self.e.reader.fd >= 0:
            posix_close(self.e.reader.fd)
            self.e.reader.fd = -1
        if self.e.reader.direct >= 0:
            posix_close(self.e.reader.direct)
            self.e.reader.direct = -1
        free(self.e.reader.chunks)
        free(self.e.reader.inside)
        free(self.e.reader.here)
        free(self.e.reader.order)
        free(self.e.reader.used)
        self.e.reader.chunks, self.e.reader.inside = NULL, NULL
        self.e.reader.here, self.e.reader.order, self.e.reader.used = NULL, NULL, NULL
        for address in self.owned:
            free(<void *><uintptr_t>address)
        self.owned = []
        self.e.n_stages = self.e.n_weights = 0
        self.arena = None

    def __dealloc__(self):
        self._free()
