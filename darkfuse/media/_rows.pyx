"""Rows of pictures: read from JPEG and PNG files, scaled to a network's input, written. See _rows.pyi."""
import os

from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.pycapsule cimport PyCapsule_New
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdio cimport FILE, fflush
from libc.stdlib cimport free, malloc

from darkfuse.errors import ImageError
from darkfuse.media.picture import TooLarge

cdef extern from "<stdio.h>" nogil:
    FILE *fdopen(int, const char *)

cdef extern from "<stdbool.h>" nogil:
    ctypedef bint c_bool "bool"

cdef extern from "source.h" nogil:
    enum: DF_PICTURE_GOOD, DF_PICTURE_DAMAGED, DF_PICTURE_TOO_LARGE, DF_PICTURE_NO_MEMORY

    ctypedef struct df_source:
        FILE *file
        int32_t width, height, next
        c_bool whole
        int64_t limit, held, most
        int status
        char *message
        c_bool (*start)(df_source *) noexcept nogil

    c_bool df_jpeg_open(df_source *, FILE *, int64_t, c_bool)
    c_bool df_png_open(df_source *, FILE *, int64_t)
    c_bool df_raw_open(df_source *, FILE *, int32_t, int32_t)
    void df_source_close(df_source *)

    ctypedef struct df_turn:
        c_bool swap

    df_turn df_turn_of(int)
    c_bool df_band(df_source *, df_turn, int32_t, int32_t, uint8_t *, uint8_t *)

    enum df_shape: DF_SHAPE_STRETCH, DF_SHAPE_LETTERBOX, DF_SHAPE_CROP

    ctypedef struct df_fit:
        int32_t down, top, to

    ctypedef struct df_rows:
        df_fit fit
        int32_t most, columns
        const float *(*row)(void *, int32_t) noexcept nogil
        int (*prepare)(void *, int32_t, int32_t) noexcept nogil

    ctypedef struct df_block:
        df_rows rows

    ctypedef struct df_net:
        int32_t width, height, channels
        df_shape shape
        c_bool centres

    c_bool df_block_open(df_block *, df_source *, df_turn, df_net, int64_t)
    void df_block_close(df_block *)
    const char *DF_ROWS_CAPSULE

    ctypedef struct df_sink:
        FILE *file
        int32_t width, height
        char *message
        c_bool (*write)(df_sink *, const uint8_t *) noexcept nogil
        c_bool (*finish)(df_sink *) noexcept nogil

    c_bool df_jpeg_create(df_sink *, FILE *, int32_t, int32_t, int)
    c_bool df_png_create(df_sink *, FILE *, int32_t, int32_t)
    void df_sink_close(df_sink *)

    const bint DF_JPEG_HERE
    const bint DF_PNG_HERE

FORMATS = tuple(name for name, there in (("jpeg", DF_JPEG_HERE), ("png", DF_PNG_HERE)) if there)
SHAPES = {"stretch": DF_SHAPE_STRETCH, "letterbox": DF_SHAPE_LETTERBOX, "crop": DF_SHAPE_CROP}
cdef int64_t NO_LIMIT = <int64_t>1 << 62


cdef FILE *_stream(int descriptor, const char *mode) except NULL:
    """A copy of the descriptor as a stream, from its start on."""
    cdef int copy = os.dup(descriptor)
    cdef FILE *file = fdopen(copy, mode)
    if file is NULL:
        os.close(copy)
        raise ImageError("the system refuses another open file")
    return file


cdef class Source:
    cdef df_source s
    cdef readonly str path
    cdef bint made, busy

    def __init__(self, str path, int descriptor, str kind, limit=None, int width=0, int height=0,
                 bint as_stb=False):
        if self.made:
            raise ImageError(f"{path}: is open already")
        if kind == "raw" and not (0 < width < 1 << 24 and 0 < height < 1 << 24):
            raise ImageError(f"{path}: {width}x{height} is no size of a picture")
        cdef int64_t most = NO_LIMIT if limit is None else max(0, min(limit, NO_LIMIT))
        cdef FILE *file = _stream(descriptor, b"rb")
        cdef bint good
        self.path, self.made = path, True
        if kind == "jpeg":
            with nogil:
                good = df_jpeg_open(&self.s, file, most, as_stb)
        elif kind == "png":
            with nogil:
                good = df_png_open(&self.s, file, most)
        else:
            good = df_raw_open(&self.s, file, width, height)
        if not good:
            if self.s.status == DF_PICTURE_DAMAGED:
                raise ImageError(f"{path}: not a picture that can be read: {self._why()}")
            self._raise()

    def __dealloc__(self):
        self._close()

    def close(self):
        self._claim()
        self.busy = False
        self._close()

    cdef void _close(self) noexcept:
        if self.made:
            df_source_close(&self.s)

    @property
    def size(self):
        return self.s.width, self.s.height

    @property
    def whole(self):
        return self.s.whole

    @property
    def held(self):
        return self.s.most

    def limit(self, bytes):
        self._claim()
        self.busy = False
        self.s.limit = NO_LIMIT if bytes is None else max(0, min(bytes, NO_LIMIT))

    def start(self):
        cdef bint good
        self._claim()
        with nogil:
            good = self.s.start(&self.s)
        self.s.next = 0 if good else -1
        self.busy = False
        if not good:
            self._raise()

    def band(self, int orientation, int top, int bottom, into):
        cdef df_turn turn = df_turn_of(orientation)
        cdef int32_t wide = self.s.height if turn.swap else self.s.width
        cdef int32_t tall = self.s.width if turn.swap else self.s.height
        cdef Py_buffer view
        cdef uint8_t *spare
        cdef bint good
        if not 0 <= top < bottom <= tall:
            raise ImageError(f"{self.path}: has no rows {top}..{bottom}")
        self._claim()
        spare = NULL
        try:
            PyObject_GetBuffer(into, &view, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
            try:
                if view.len != <Py_ssize_t>(bottom - top) * wide * 3:
                    raise ImageError(f"{self.path}: {view.len} bytes do not hold rows {top}..{bottom}")
                spare = <uint8_t *>malloc(<size_t>self.s.width * 3)
                if spare is NULL:
                    raise MemoryError
                with nogil:
                    good = df_band(&self.s, turn, top, bottom, <uint8_t *>view.buf, spare)
            finally:
                free(spare)
                PyBuffer_Release(&view)
        finally:
            self.busy = False
        if not good:
            self._raise()

    def rows(self, int orientation, net, shape, bint centres, bytes):
        return Rows(self, orientation, net, shape, centres, bytes)

    cdef int _claim(self) except -1:
        if self.busy or not self.made or self.s.file is NULL:
            raise ImageError(f"{self.path}: is closed, or being read by another thread")
        self.busy = True
        return 0

    cdef str _why(self):
        return " ".join((<bytes>self.s.message).decode("utf-8", "replace").split()) or "unknown"

    def _raise(self):
        width, height = self.size
        if self.s.status == DF_PICTURE_TOO_LARGE:
            self.s.status = DF_PICTURE_GOOD  # with a higher limit it may go
            raise TooLarge(self.path, (width, height), self.s.most)
        if self.s.status == DF_PICTURE_NO_MEMORY:
            raise ImageError(f"{self.path}: not enough memory to decode {width}x{height} pixels")
        raise ImageError(f"{self.path}: the picture is damaged: {self._why()}")


cdef class Rows:
    cdef df_block b
    cdef Source source
    cdef readonly object capsule, net

    def __init__(self, Source source not None, int orientation, net, shape, bint centres, bytes):
        cdef int64_t most = NO_LIMIT if bytes is None else max(0, min(bytes, NO_LIMIT))
        cdef df_net n
        n.width, n.height, n.channels = net
        n.shape, n.centres = SHAPES[shape], centres
        if self.source is not None or not (0 < n.width < 1 << 20 and 0 < n.height < 1 << 20 and n.channels in (1, 3, 4)):
            raise ImageError(f"{source.path}: cannot be scaled to a network of {net}")
        source._claim()
        self.source, self.net = source, (n.width, n.height, n.channels)  # it reads for this one from here on
        if not df_block_open(&self.b, &source.s, df_turn_of(orientation), n, most):
            source._raise()
        self.capsule = PyCapsule_New(&self.b.rows, DF_ROWS_CAPSULE, NULL)

    def __dealloc__(self):
        df_block_close(&self.b)
        if self.source is not None:
            self.source.busy = False

    @property
    def most(self):
        return self.b.rows.most

    def prepare(self):
        cdef int bad
        cdef int32_t first = min(max(0, -self.b.rows.fit.top), self.b.rows.fit.down - 1)
        with nogil:
            bad = self.b.rows.prepare(&self.b, first, min(first + self.b.rows.most, self.b.rows.fit.down))
        if bad:
            self.source._raise()

    def read(self, int y):
        cdef int bad
        if not 0 <= y < self.b.rows.fit.down:
            raise ImageError(f"{self.source.path}: the scaled picture has no row {y}")
        with nogil:
            bad = self.b.rows.prepare(&self.b, y, y + 1)
        if bad:
            self.source._raise()
        return (<const char *>self.b.rows.row(&self.b, y))[: self.b.rows.columns * self.b.rows.fit.to * sizeof(float)]

    def check(self):
        if self.source.s.status != DF_PICTURE_GOOD:
            self.source._raise()


cdef class Sink:
    cdef df_sink s
    cdef readonly str path
    cdef bint made

    def __init__(self, str path, int descriptor, str kind, int width, int height, int quality=90):
        if self.made or not (0 < width < 1 << 24 and 0 < height < 1 << 24):
            raise ImageError(f"{path}: cannot write a picture of {width}x{height}")
        cdef FILE *file = _stream(descriptor, b"wb")
        cdef bint good
        self.path, self.made = path, True
        with nogil:
            if kind == "jpeg":
                good = df_jpeg_create(&self.s, file, width, height, quality)
            else:
                good = df_png_create(&self.s, file, width, height)
        if not good:
            self._raise()

    def __dealloc__(self):
        if self.made:
            df_sink_close(&self.s)

    def write(self, rows):
        cdef Py_buffer view
        cdef Py_ssize_t line = <Py_ssize_t>self.s.width * 3, at = 0
        cdef bint good = True
        PyObject_GetBuffer(rows, &view, PyBUF_C_CONTIGUOUS)
        try:
            if view.len % line:
                raise ImageError(f"{self.path}: {view.len} bytes are not whole rows")
            with nogil:
                while good and at < view.len:
                    good = self.s.write(&self.s, <const uint8_t *>view.buf + at)
                    at += line
        finally:
            PyBuffer_Release(&view)
        if not good:
            self._raise()

    def finish(self):
        cdef bint good
        cdef int flushed
        with nogil:
            good = self.s.finish(&self.s)
            flushed = fflush(self.s.file)
        if not good or flushed:
            self._raise()

    def _raise(self):
        why = (<bytes>self.s.message).decode("utf-8", "replace") or "the disk may be full"
        raise ImageError(f"{self.path}: cannot write the picture: {why}")
