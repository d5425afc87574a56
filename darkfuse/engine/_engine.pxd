# Mirrors engine.h; the comments are there.
from darkfuse.kernels._kernels cimport df_conv, df_table
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t


cdef extern from "<stdbool.h>" nogil:
    ctypedef bint c_bool "bool"


cdef extern from "engine.h" nogil:
    ctypedef int atomic_int
    ctypedef long atomic_long

    enum: DF_BLOCKS, DF_IMAGE, DF_CHW
    enum: DF_PINNED, DF_LOADED, DF_STREAMED
    enum:
        DF_INPUT, DF_CONV, DF_MAXPOOL, DF_AVGPOOL, DF_UPSAMPLE, DF_SHORTCUT, DF_REORG, DF_COPY, DF_EXPORT
        DF_CONNECTED, DF_SOFTMAX, DF_ACTIVATE, DF_LOCAL, DF_LOCAL_AVGPOOL, DF_REORG3D, DF_CROP, DF_BATCHNORM
        DF_SAM, DF_SCALE_CHANNELS
    enum: DF_UNWEIGHTED, DF_BY_MAP, DF_BY_CHANNEL
    enum: DF_RUNNING, DF_INTERRUPTED, DF_READ_FAILED, DF_NO_THREAD, DF_PICTURE_FAILED
    enum: DF_POLLED
    enum: DF_PAGE, DF_HUGE_PAGE

    ctypedef struct df_span:
        int32_t start "from"
        int32_t end "to"

    ctypedef struct df_keep:
        float *base
        int32_t slots, cols, x0
        c_bool columns
        const int32_t *top
        const int32_t *left

    ctypedef struct df_tensor:
        float *base
        int64_t row_stride
        int layout
        int32_t pixel, channels, blocks, height, width, cols, slots
        c_bool moves
        const int32_t *x0
        const df_keep *keep

    ctypedef struct df_weights:
        int residency
        int32_t node, filters, block, raw_filters, resident
        int64_t per_filter
        int64_t file_offset, params_offset, norm_offset
        double epsilon_in_root, epsilon_beside
        c_bool batch_normalize, transposed, connected
        int32_t kernel
        df_conv conv
        float *scale
        float *bias
        float *packed
        size_t packed_bytes
        int64_t slot_bytes
        char *resident_raw
        char **slots
        const int32_t *slot_step
        int32_t n_slots, rounds
        int32_t *first_read

    ctypedef struct df_region:
        int y0, y1, x0, x1

    ctypedef struct df_op:
        int kind
        int32_t node
        df_tensor **inputs "in"
        df_tensor *out
        int32_t n_in
        const df_span *y
        const df_span *x
        df_weights *weights
        df_conv conv
        int32_t kernel, strip, pictures, panels, size, stride, pad, act, groups, stride_x, top, left, weighting
        c_bool relu_weights, softmax_weights
        float scale, shift
        int32_t from_channel, to_channel, channels
        df_region *parts
        int32_t n_parts
        c_bool some_parts, keep_in, keep_out

    ctypedef struct df_stage:
        df_op *ops
        df_weights **loaded
        int32_t n_ops, n_loaded, rows, cols, first, last
        char *shared
        size_t shared_bytes, thread_bytes
        c_bool streams
        double ms

    ctypedef struct df_chunk:
        pass

    ctypedef struct df_reader:
        int fd, direct, threads
        c_bool cached, doubt, running
        double rate
        df_chunk *chunks
        int32_t *inside
        int32_t *order
        uint8_t *here
        uint32_t *used
        int64_t bytes
        double wait_ms
        int32_t failed_node, failed_errno

    enum df_shape: DF_SHAPE_STRETCH, DF_SHAPE_LETTERBOX, DF_SHAPE_CROP

    ctypedef struct df_fit:
        int32_t to

    df_fit df_fit_picture(int32_t width, int32_t height, int32_t from_, int32_t net_width, int32_t net_height,
                          int32_t to, df_shape shape, c_bool centres)

    ctypedef struct df_rows:
        df_fit fit
        double ms

    const char *DF_ROWS_CAPSULE

    ctypedef struct df_frame:
        const uint8_t *pixels
        df_rows *rows
        const float *chw
        df_fit fit

    ctypedef struct df_engine:
        const df_table *table
        df_tensor *tensors
        df_weights *weights
        df_stage *stages
        int32_t n_weights, n_stages, threads, alone
        df_reader reader
        df_frame frame
        int32_t picture
        c_bool more, come
        int (*poll)(void *) noexcept nogil
        void *poll_arg
        int64_t macs

    bint df_reader_plan(df_engine *e, const char *base, size_t bytes)
    int df_load_weights(df_engine *e, float *through, size_t through_bytes, int *node)
    int df_run(df_engine *e)
    void df_reader_stop(df_engine *e)
    double df_now_ms()
    void *df_arena_map(size_t bytes, c_bool small_first)
    void df_arena_unmap(void *arena, size_t bytes)
    void df_arena_forbid(void *start, size_t bytes, c_bool forbidden)
    void df_expect_frame(const void *frame, size_t bytes)
