# Mirrors df_kernels.h; the comments are there.
from libc.stdint cimport int32_t, int64_t


cdef extern from "df_kernels.h" nogil:
    enum:
        DF_CB
        DF_PANEL
        DF_WINO_IC

    ctypedef struct df_view:
        float *base
        int64_t row_stride
        int32_t pixel, cols, x0, slots, blocks, channels, height, width

    enum:
        DF_LINEAR, DF_LEAKY, DF_RELU, DF_LOGISTIC, DF_MISH, DF_SWISH, DF_RELU6, DF_TANH, DF_ELU
        DF_LOGGY, DF_SELU, DF_GELU, DF_RELIE, DF_RAMP, DF_PLSE, DF_STAIR, DF_HARDTAN, DF_LHTAN, DF_HARD_MISH
    enum: DF_DIRECT, DF_FIRST, DF_GENERAL, DF_WINOGRAD

    ctypedef struct df_conv:
        int32_t in_c, out_c, size, stride, pad, dilation, groups, act, pool, conv_h, conv_w, stride_x

    ctypedef struct df_strip:
        int32_t y0, y1, x0, x1, tiles_y, tiles_x

    ctypedef struct df_filters:
        const df_filters *next
        const float *packed
        const float *filter[32]
        const float *scale

    ctypedef struct df_table:
        const char *isa
        int32_t vector, wino_channels, wino_outputs
        void (*pack)(const df_conv *c, int kernel, const float *raw, const float *scale, int oc0, int n,
                     int base_oc, float *packed) noexcept nogil
        void (*conv_direct)(const df_conv *c, const df_view *src, const df_view *out, const float *packed,
                            const float *bias, int panel, int y0, int y1, int x0, int x1) noexcept nogil
        void (*conv_first)(const df_conv *c, const df_view *src, const df_view *out, const float *packed,
                           const float *bias, int panel, int y0, int y1, int x0, int x1) noexcept nogil
        void (*conv_general)(const df_conv *c, const df_view *src, const df_view *out, const float *packed,
                             const float *bias, int panel, int y0, int y1, int x0, int x1) noexcept nogil
        void (*wino_input)(const df_conv *c, const df_view *src, const df_strip *s, int b0, int b1,
                           int t0, int t1, float *u) noexcept nogil
        void (*wino_panel)(const df_conv *c, const df_view *out, const df_strip *s, const df_filters *filters,
                           const float *bias, int panel, int panels, const float *u, int t0, int t1,
                           float *scratch) noexcept nogil
        void (*maxpool)(const df_view *src, const df_view *out, int size, int stride, int pad_before,
                        int y0, int y1, int x0, int x1, int b0, int b1) noexcept nogil
        void (*upsample)(const df_view *src, const df_view *out, int stride, float scale,
                         int y0, int y1, int x0, int x1, int b0, int b1) noexcept nogil
        void (*shortcut)(const df_view *a, const df_view *b, const df_view *out, int act,
                         int y0, int y1, int x0, int x1, int b0, int b1) noexcept nogil
        void (*copy)(const df_view *src, const df_view *out, int y0, int y1, int x0, int x1, int b0,
                     int b1) noexcept nogil
        int64_t (*fma_burst)(int64_t rounds) noexcept nogil

    const df_table *df_kernels(const char *isa)
    size_t df_packed_floats(const df_conv *c, int kernel, int out_channels)
    size_t df_wino_u_floats(const df_conv *c, int tiles)
    size_t df_wino_pictures_floats(const df_conv *c, int tiles, int panels, int pictures)
    size_t df_wino_scratch_floats(const df_conv *c, int tiles)
    int df_wino_together(const df_table *k, const df_conv *c, int tiles, size_t scratch_floats)
