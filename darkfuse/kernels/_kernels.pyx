"""The kernel tables, seen from Python: which instruction sets this CPU runs, and checked calls of single
kernels for tests and benchmarks. The engine calls the tables directly."""
from darkfuse.kernels cimport _kernels as k
from libc.stdint cimport int64_t

ACTIVATIONS = {
    "linear": k.DF_LINEAR, "leaky": k.DF_LEAKY, "relu": k.DF_RELU, "logistic": k.DF_LOGISTIC,
    "mish": k.DF_MISH, "swish": k.DF_SWISH, "relu6": k.DF_RELU6, "tanh": k.DF_TANH, "elu": k.DF_ELU,
    "loggy": k.DF_LOGGY, "selu": k.DF_SELU, "gelu": k.DF_GELU, "relie": k.DF_RELIE, "ramp": k.DF_RAMP,
    "plse": k.DF_PLSE, "stair": k.DF_STAIR, "hardtan": k.DF_HARDTAN, "lhtan": k.DF_LHTAN,
    "hard_mish": k.DF_HARD_MISH,
}
KERNELS = {"direct": k.DF_DIRECT, "first": k.DF_FIRST, "general": k.DF_GENERAL, "winograd": k.DF_WINOGRAD}
DIRECT, FIRST, GENERAL, WINOGRAD = k.DF_DIRECT, k.DF_FIRST, k.DF_GENERAL, k.DF_WINOGRAD


def available() -> list:
    """Instruction sets this CPU can run, slowest first."""
    return [name for name in ("generic", "avx2", "avx512", "neon", "a53") if k.df_kernels(name.encode()) is not NULL]


def active() -> str:
    """The instruction set in use: the best, or the one named by DARKFUSE_ISA."""
    cdef const k.df_table *t = k.df_kernels(NULL)
    if t is NULL:
        raise ValueError("DARKFUSE_ISA names no instruction set this CPU has; use one of "
                         + ", ".join(available()))
    return t.isa.decode()


cdef class Conv:
    """One convolution; see `df_conv`. `conv_h`, `conv_w`: its output's size before pooling."""

    cdef k.df_conv c

    def __init__(self, int in_c, int out_c, int size, int conv_h, int conv_w, *, int stride=1, int pad=0,
                 int dilation=1, int groups=1, str act="linear", int pool=0):
        if min(in_c, out_c, size, stride, dilation, groups) < 1 or pad < 0 or pool not in (0, 2):
            raise ValueError("a convolution's sizes are positive and its pooling is 0 or 2")
        if in_c % groups or out_c % groups or max(in_c, out_c) > 1 << 20 or max(size, stride, dilation) > 1024:
            raise ValueError("channels do not divide into groups, or sizes beyond reason")
        self.c = k.df_conv(in_c=in_c, out_c=out_c, size=size, stride=stride, pad=pad, dilation=dilation,
                           groups=groups, act=ACTIVATIONS[act], pool=pool, conv_h=conv_h, conv_w=conv_w)

    def packed_floats(self, int kernel, int out_channels) -> int:
        return k.df_packed_floats(&self.c, kernel, out_channels)

    def wino_u_floats(self, int tiles) -> int:
        return k.df_wino_u_floats(&self.c, tiles)

    def wino_scratch_floats(self, int tiles) -> int:
        return k.df_wino_scratch_floats(&self.c, tiles)


cdef class View:
    """A map, or a window of one, inside a flat float32 buffer; see `df_view`."""

    cdef k.df_view v
    cdef float[::1] data

    def __init__(self, float[::1] data, *, int64_t offset, int64_t row_stride, int pixel, int cols, int x0,
                 int slots, int blocks, int channels, int height, int width):
        cdef int64_t row = <int64_t>blocks * cols * pixel
        if pixel not in (3, 16) or min(cols, slots, blocks, channels, height, width) < 1:
            raise ValueError("a view's pixel is 3 or 16 floats and its sizes are positive")
        if max(cols, slots, blocks, height, width) > 1 << 20 or not row <= row_stride < 1 << 40:
            raise ValueError("rows of a view overlap, or sizes beyond reason")
        if offset < 0 or offset + (slots - 1) * row_stride + row > data.shape[0]:
            raise ValueError("a view reaches outside its buffer")
        self.data = data
        self.v = k.df_view(base=&data[0] + offset, row_stride=row_stride, pixel=pixel, cols=cols, x0=x0,
                           slots=slots, blocks=blocks, channels=channels, height=height, width=width)


cdef int inside(View view, int y0, int y1, int x0, int x1, int b0, int b1) except -1:
    """Region and blocks within what the view stores."""
    if not (0 <= y0 <= y1 <= view.v.height and b0 >= 0 and b0 <= b1 <= view.v.blocks):
        raise ValueError("rows or channel blocks outside the view")
    if not (view.v.x0 <= x0 <= x1 <= view.v.x0 + view.v.cols):
        raise ValueError("columns outside the view")
    return 0


cdef class Kernels:
    """One instruction set's kernels, each call checked against the buffers it touches.

    Parameters
    ----------
    isa : str or None
        "generic", "avx2", ...; None for the best (or DARKFUSE_ISA).

    Raises
    ------
    ValueError
        Unknown or unsupported instruction set; from the methods, work that does not fit its buffers.
    """

    cdef const k.df_table *t

    def __init__(self, isa=None):
        cdef bytes name
        if isa is None:
            isa = active()
        name = isa.encode()
        self.t = k.df_kernels(name)
        if self.t is NULL:
            raise ValueError(f"instruction set {isa!r} is not one of {', '.join(available())}")

    @property
    def isa(self) -> str:
        return self.t.isa.decode()

    @property
    def vector(self) -> int:
        """Floats in one register."""
        return self.t.vector

    def fma_burst(self, int64_t rounds) -> int:
        """Spend `rounds` of multiply-adds in registers; returns the floating point operations done."""
        with nogil:
            rounds = self.t.fma_burst(rounds)
        return rounds

    def pack(self, Conv conv, int kernel, const float[::1] raw, const float[::1] scale, int oc0, int n,
             int base_oc, float[::1] packed) -> None:
        cdef int64_t one = <int64_t>(conv.c.in_c // conv.c.groups) * conv.c.size * conv.c.size
        cdef int64_t need
        if oc0 < base_oc or base_oc < 0 or base_oc % 32 or n < 1 or oc0 + n > conv.c.out_c:
            raise ValueError("filters outside the layer or before the packed area")
        if raw.shape[0] < n * one or scale.shape[0] < conv.c.out_c:
            raise ValueError("fewer weights or scales than filters")
        need = <int64_t>k.df_packed_floats(&conv.c, kernel, oc0 + n - base_oc)
        if need == 0 or packed.shape[0] < need:
            raise ValueError("packed area too small")
        with nogil:
            self.t.pack(&conv.c, kernel, &raw[0], &scale[0], oc0, n, base_oc, &packed[0])

    def conv(self, int kernel, Conv conv, View src, View out, const float[::1] packed,
             const float[::1] bias, int panel, int y0, int y1, int x0, int x1) -> None:
        cdef k.df_conv *c = &conv.c
        cdef int64_t a = x0, b = x1
        if c.pool:
            a, b = 2 * a, min(2 * b, c.conv_w)
        inside(out, y0, y1, x0, x1, 0, 0)
        if (c.pool or 1) * (y1 - 1) >= c.conv_h or b > c.conv_w or a < 0:
            raise ValueError("region outside the convolution")
        if a * c.stride - c.pad < src.v.x0 or (
                (b - 1) * c.stride - c.pad + (c.size - 1) * c.dilation >= src.v.x0 + src.v.cols):
            raise ValueError("the region needs columns the input does not store")
        if out.v.pixel != 16 or src.v.channels < c.in_c or src.v.blocks * src.v.pixel < c.in_c:
            raise ValueError("maps do not have the convolution's channels")
        self._packed(conv, kernel, packed, bias, panel)
        if kernel == k.DF_DIRECT and src.v.pixel == 16 and c.groups == 1:
            with nogil:
                self.t.conv_direct(c, &src.v, &out.v, &packed[0], &bias[0], panel, y0, y1, x0, x1)
        elif kernel == k.DF_FIRST and src.v.pixel == 3 and c.in_c == 3 and c.groups == c.dilation == 1:
            with nogil:
                self.t.conv_first(c, &src.v, &out.v, &packed[0], &bias[0], panel, y0, y1, x0, x1)
        elif kernel == k.DF_GENERAL:
            with nogil:
                self.t.conv_general(c, &src.v, &out.v, &packed[0], &bias[0], panel, y0, y1, x0, x1)
        else:
            raise ValueError("that kernel does not do that convolution")

    cdef int _packed(self, Conv conv, int kernel, const float[::1] packed, const float[::1] bias,
                     int panel) except -1:
        cdef int64_t need = <int64_t>k.df_packed_floats(&conv.c, kernel, 32)
        if need == 0 or packed.shape[0] < need:
            raise ValueError("packed area smaller than a panel")
        if panel < 0 or panel * 32 >= conv.c.out_c or bias.shape[0] < (conv.c.out_c + 31) // 32 * 32:
            raise ValueError("no such panel, or bias not padded to whole panels")
        return 0

    def wino_input(self, Conv conv, View src, strip, int b0, int b1, float[::1] u, int cut=0) -> None:
        """`cut`: tiles of a first call, the others in a second."""
        cdef k.df_strip s
        s.y0, s.y1, s.x0, s.x1, s.tiles_y, s.tiles_x = strip
        self._strip(conv, &s)
        inside(src, 0, 0, src.v.x0, src.v.x0, b0, b1)
        if u.shape[0] < <int64_t>k.df_wino_u_floats(&conv.c, s.tiles_y * s.tiles_x) or src.v.pixel != 16:
            raise ValueError("transformed input does not fit")
        if b1 * 16 > (conv.c.in_c + 15) // 16 * 16:
            raise ValueError("blocks the convolution does not read")
        if not 0 <= cut <= s.tiles_y * s.tiles_x:
            raise ValueError("no such tile")
        with nogil:
            self.t.wino_input(&conv.c, &src.v, &s, b0, b1, 0, cut, &u[0])
            self.t.wino_input(&conv.c, &src.v, &s, b0, b1, cut, s.tiles_y * s.tiles_x, &u[0])

    def wino_panel(self, Conv conv, View out, strip, const float[::1] packed, const float[::1] bias,
                   int panel, const float[::1] u, int t0, int t1, float[::1] scratch, more=()) -> None:
        """`more`: packed filters of the panels after this one, at most three, that are computed together with it."""
        cdef k.df_filters filters[4]
        cdef const float[::1] one
        cdef int n = 1
        if len(more) > 3:
            raise ValueError("more panels than can be computed together")
        self._packed(conv, k.DF_WINOGRAD, packed, bias, panel)
        filters[0].packed = &packed[0]
        for one in more:
            self._packed(conv, k.DF_WINOGRAD, one, bias, panel + n)
            filters[n].packed = &one[0]
            n += 1
        filters[n - 1].next = NULL
        self._wino_panel(conv, out, strip, filters, bias, panel, n, u, t0, t1, scratch)

    def wino_panel_raw(self, Conv conv, View out, strip, const float[:, ::1] raw, const float[::1] scale,
                       const float[::1] bias, int panel, const float[::1] u, int t0, int t1,
                       float[::1] scratch) -> None:
        cdef k.df_filters filters
        cdef int i, padded = (conv.c.out_c + 31) // 32 * 32
        if raw.shape[0] < conv.c.out_c or raw.shape[1] != 9 * conv.c.in_c:
            raise ValueError("filters are (out_c, in_c * 9)")
        if panel < 0 or panel * 32 >= conv.c.out_c or bias.shape[0] < padded or scale.shape[0] < padded:
            raise ValueError("no such panel, or bias or scale not padded to whole panels")
        filters.next = NULL
        filters.packed = NULL
        filters.scale = &scale[panel * 32]
        for i in range(32):
            filters.filter[i] = &raw[panel * 32 + i, 0] if panel * 32 + i < conv.c.out_c else NULL
        self._wino_panel(conv, out, strip, &filters, bias, panel, 1, u, t0, t1, scratch)

    cdef int _wino_panel(self, Conv conv, View out, strip, const k.df_filters *filters, const float[::1] bias,
                         int panel, int panels, const float[::1] u, int t0, int t1,
                         float[::1] scratch) except -1:
        cdef k.df_strip s
        s.y0, s.y1, s.x0, s.x1, s.tiles_y, s.tiles_x = strip
        self._strip(conv, &s)
        if not 0 <= t0 < t1 <= s.tiles_y * s.tiles_x or out.v.pixel != 16:
            raise ValueError("no such tiles")
        if u.shape[0] < <int64_t>k.df_wino_u_floats(&conv.c, s.tiles_y * s.tiles_x) or (
                k.df_wino_together(self.t, &conv.c, t1 - t0, <size_t>scratch.shape[0]) < panels):
            raise ValueError("transformed input or scratch too small")
        if conv.c.pool:
            inside(out, s.y0 // 2, (s.y1 + 1) // 2, s.x0 // 2, (s.x1 + 1) // 2, 0, 0)
        else:
            inside(out, s.y0, s.y1, s.x0, s.x1, 0, 0)
        with nogil:
            self.t.wino_panel(&conv.c, &out.v, &s, filters, &bias[0], panel, panels, &u[0], t0, t1,
                              &scratch[0])
        return 0

    cdef int _strip(self, Conv conv, const k.df_strip *s) except -1:
        if conv.c.size != 3 or conv.c.stride != 1 or conv.c.dilation != 1 or conv.c.groups != 1:
            raise ValueError("Winograd is for 3x3 convolutions of stride 1")
        if not (0 <= s.y0 < s.y1 <= conv.c.conv_h and 0 <= s.x0 < s.x1 <= conv.c.conv_w):
            raise ValueError("strip outside the convolution")
        if s.tiles_y != (s.y1 - s.y0 + 3) // 4 or s.tiles_x != (s.x1 - s.x0 + 3) // 4:
            raise ValueError("tiles do not cover the strip")
        return 0

    def maxpool(self, View src, View out, int size, int stride, int pad_before, int y0, int y1, int x0,
                int x1, int b0, int b1) -> None:
        inside(out, y0, y1, x0, x1, b0, b1)
        inside(src, 0, 0, 0, src.v.width, b0, b1)
        if x0 < 0 or size < 1 or stride < 1:
            raise ValueError("pooling outside the map")
        with nogil:
            self.t.maxpool(&src.v, &out.v, size, stride, pad_before, y0, y1, x0, x1, b0, b1)

    def upsample(self, View src, View out, int stride, float scale, int y0, int y1, int x0, int x1, int b0,
                 int b1) -> None:
        inside(out, y0, y1, x0, x1, b0, b1)
        if x0 < 0 or stride < 1:
            raise ValueError("columns outside the map")
        if y1 > y0 and x1 > x0:
            inside(src, y0 // stride, (y1 - 1) // stride + 1, x0 // stride, (x1 - 1) // stride + 1, b0, b1)
        with nogil:
            self.t.upsample(&src.v, &out.v, stride, scale, y0, y1, x0, x1, b0, b1)

    def shortcut(self, View a, View b, View out, str act, int y0, int y1, int x0, int x1, int b0,
                 int b1) -> None:
        cdef int kind = ACTIVATIONS[act]
        inside(out, y0, y1, x0, x1, b0, b1)
        inside(a, y0, y1, x0, x1, b0, b1)
        inside(b, 0, 0, 0, b.v.width, 0, 0)
        if a.v.width == b.v.width and a.v.height == b.v.height and a.v.channels == b.v.channels:
            inside(b, y0, y1, x0, x1, b0, b1)
        with nogil:
            self.t.shortcut(&a.v, &b.v, &out.v, kind, y0, y1, x0, x1, b0, b1)

    def copy(self, View src, View out, int y0, int y1, int x0, int x1, int b0, int b1) -> None:
        inside(out, y0, y1, x0, x1, b0, b1)
        inside(src, y0, y1, x0, x1, b0, b1)
        if src.v.pixel != 16 or out.v.pixel != 16:
            raise ValueError("copies are of channel blocks")
        with nogil:
            self.t.copy(&src.v, &out.v, y0, y1, x0, x1, b0, b1)
