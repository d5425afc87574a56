/* The native floor's only interface: views of activation maps, and one table of function pointers per
 * instruction set.  Every function works for one thread on one piece of work; teams, arenas and files are
 * the engine's business.  Nothing here allocates. */
#ifndef DF_KERNELS_H
#define DF_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define DF_CB 16     /* channels in one block of an activation row */
#define DF_PANEL 32  /* output channels in one packed panel of weights, on every ISA */
#define DF_WINO_IC 64 /* input channels of one panel of transformed input, and of filters at most */

/* A map, or a window of one.
 *
 * layout "blocks" (pixel == 16): (slots, blocks, cols, 16) floats, channels padded to 16 with zeros
 * layout "image"  (pixel ==  3): (slots, cols, 3) floats, interleaved RGB
 *
 * Row y lives in slot y % slots (a whole map has slots == height, a line buffer fewer).  Column x of a slot
 * is stored column x - x0.  Columns left of 0 and right of width - 1 that are stored are the margin: zeros,
 * kept by the engine, so that a convolution never tests for the edge of a row.  A slice of a concatenation
 * has base moved to its first block and the row_stride of the whole. */
typedef struct {
    float *base;
    int64_t row_stride; /* floats from one slot to the next */
    int32_t pixel;      /* floats from one column to the next: 16, or 3 */
    int32_t cols;       /* stored columns, margins included */
    int32_t x0;         /* column number of stored column 0 */
    int32_t slots;
    int32_t blocks;     /* channel blocks of this view (1 for "image") */
    int32_t channels;   /* real channels */
    int32_t height, width; /* of the whole map */
} df_view;

static inline float *df_pixel(const df_view *v, int y, int block, int x)
{
    return v->base + (int64_t)(y % v->slots) * v->row_stride + ((int64_t)block * v->cols + (x - v->x0)) * v->pixel;
}

enum df_act {
    DF_LINEAR,
    DF_LEAKY,
    DF_RELU,
    DF_LOGISTIC,
    DF_MISH,
    DF_SWISH,
    DF_RELU6,
    DF_TANH,
    DF_ELU,
    DF_LOGGY,
    DF_SELU,
    DF_GELU,
    DF_RELIE,
    DF_RAMP,
    DF_PLSE,
    DF_STAIR,
    DF_HARDTAN,
    DF_LHTAN,
    DF_HARD_MISH
};

enum df_kernel { DF_DIRECT, DF_FIRST, DF_GENERAL, DF_WINOGRAD };

/* One convolution.  Batch norm is already folded (scale into the packed weights, the rest into bias). */
typedef struct {
    int32_t in_c, out_c, size, stride, pad, dilation, groups;
    int32_t act;  /* enum df_act */
    int32_t pool; /* 0; or 2: a following 2x2/2 max pooling (Darknet's: odd maps round up, cells outside
                     ignored) is done in the store, and the out view is the pooled map */
    int32_t conv_h, conv_w; /* size of the convolution's own output, before pooling */
    int32_t stride_x;       /* along a row, where only conv_general may have another than `stride`; 0: the same */
} df_conv;

/* Winograd F(4,3): the output region [y0, y1) x [x0, x1) (of the convolution, before pooling) cut into
 * tiles_y x tiles_x tiles of 4x4 starting at (y0, x0); the last ones may be partial. */
typedef struct {
    int32_t y0, y1, x0, x1, tiles_y, tiles_x;
} df_strip;

/* One panel's filters for Winograd: packed as conv_direct reads them, or as they lie in Darknet's file. */
typedef struct df_filters {
    const struct df_filters *next; /* the panel after this one, to be brought near; or NULL */
    const float *packed;           /* NULL: the others count */
    const float *filter[DF_PANEL]; /* (in_c, 3, 3) each; NULL for zeros and past the layer's last */
    const float *scale;            /* (32,) batch norm's, of the panel */
} df_filters;

typedef struct {
    const char *isa;  /* "generic", "avx2", "avx512", "neon", "a53" */
    int32_t vector;   /* floats in one register */
    int32_t wino_channels, wino_outputs; /* filters transformed at a time: at most DF_WINO_IC, DF_PANEL */

    /* Pack filters [oc0, oc0 + n) of the layer from Darknet's order, raw: (n, in_c/groups, size, size),
     * multiplied by scale[oc] (scale: (out_c,), already 1 where there is no batch norm), into a packed
     * area whose first panel holds output channels from `base_oc` (a multiple of 32).  oc0 and n are
     * arbitrary inside that; multiples of 16 are the fast path.  Lanes past out_c are zeroed by the call
     * that packs filter out_c - 1.
     * Packed size: df_packed_floats(). Layout inside is the ISA's own. */
    void (*pack)(const df_conv *c, int kernel, const float *raw, const float *scale, int oc0, int n, int base_oc,
                 float *packed);

    /* Convolve one panel: output channels [32*panel, min(32*panel + 32, out_c)) over the out view's region
     * [y0, y1) x [x0, x1).  Rows of the input outside [0, in->height) are zeros (skipped).  `packed` is that
     * panel's own start, `bias` the layer's bias (out_c rounded up to 32 floats, zero filled).
     * Accumulation order over (in_c, kh, kw) is fixed per ISA: same bits for any region and thread. */
    void (*conv_direct)(const df_conv *c, const df_view *in, const df_view *out, const float *packed, const float *bias,
                        int panel, int y0, int y1, int x0, int x1);
    void (*conv_first)(const df_conv *c, const df_view *in, const df_view *out, const float *packed, const float *bias,
                       int panel, int y0, int y1, int x0, int x1);
    void (*conv_general)(const df_conv *c, const df_view *in, const df_view *out, const float *packed,
                         const float *bias, int panel, int y0, int y1, int x0, int x1);

    /* Winograd phase 1: transform channel blocks [b0, b1) of tiles [t0, t1) of the strip's input into
     * u: (in_c/16, 36, tiles, 16) or any order of the same size that wino_panel understands. */
    void (*wino_input)(const df_conv *c, const df_view *in, const df_strip *s, int b0, int b1, int t0, int t1,
                       float *u);
    /* Winograd phase 2: panels [panel, panel + panels) of output channels (all tiles of the strip): per wino_channels
     * input channels and wino_outputs transform `filters` into scratch, 36 GEMMs into scratch; then output transform +
     * bias + activation (+ pooling) into out.  Several panels read the transformed input once together.
     * Tiles [t0, t1) only, so that a layer with few panels still splits over threads.
     * scratch: df_wino_scratch_floats(c, t1 - t0), good for at least one panel; df_wino_together says how many. */
    void (*wino_panel)(const df_conv *c, const df_view *out, const df_strip *s, const df_filters *filters,
                       const float *bias, int panel, int panels, const float *u, int t0, int t1, float *scratch);
    /* Both phases for one strip of some pictures, in (pictures,) and out (pictures,), and some panels from `panel`
     * on, filters (panels,): 64 input channels at a time are transformed and multiplied with every panel, so that
     * neither a whole transformed input nor any filter transformed twice is needed. The sums are those of
     * wino_panel, in the same order: same bits.
     * scratch: df_wino_pictures_floats(c, tiles, panels, pictures). */
    void (*wino_pictures)(const df_conv *c, const df_view *in, const df_view *out, int pictures, const df_strip *s,
                          const df_filters *filters, int panels, const float *bias, int panel, float *scratch);

    /* Layer operations over region [y0, y1) x [x0, x1) of out and channel blocks [b0, b1) of out. */
    void (*maxpool)(const df_view *in, const df_view *out, int size, int stride, int pad_before, int y0, int y1, int x0,
                    int x1, int b0, int b1);
    void (*upsample)(const df_view *in, const df_view *out, int stride, float scale, int y0, int y1, int x0, int x1,
                     int b0, int b1);
    /* out = act(a + b); out has a's shape.  Where b's differs, Darknet's: overlapping channels only, the
     * larger map sampled at stride width / width (whole b rows in view, then). */
    void (*shortcut)(const df_view *a, const df_view *b, const df_view *out, int act, int y0, int y1, int x0, int x1,
                     int b0, int b1);
    void (*copy)(const df_view *in, const df_view *out, int y0, int y1, int x0, int x1, int b0, int b1);

    /* `rounds` turns of independent multiply-adds in registers; returns the floating point operations done.
     * What benchmarks call this core's peak. */
    int64_t (*fma_burst)(int64_t rounds);
} df_table;

/* The best table this CPU can run, or the one named ("generic", "avx2", ...; NULL: DARKFUSE_ISA from the
 * environment, else the best).  NULL when the name is unknown or the CPU lacks it. */
const df_table *df_kernels(const char *isa);

/* ISA-independent sizes, in floats; 0 when they overflow. */
static inline size_t df_round(size_t n, size_t to) { return (n + to - 1) / to * to; }
size_t df_packed_floats(const df_conv *c, int kernel, int out_channels);
/* direct: round32(oc) * round16(in_c) * size^2 ; first: round32(oc) * in_c * size^2 ;
 * general: round32(oc) * (in_c / groups) * size^2 */
size_t df_wino_u_floats(const df_conv *c, int tiles);        /* 36 * (tiles * round16(in_c) + 16 * ceil(in_c / 64)) */
size_t df_wino_scratch_floats(const df_conv *c, int tiles);  /* 36 * 32 * (tiles + min(64, round16(in_c)) + 3) */
/* Panels whose sums over that many tiles such a scratch holds beside their filters; 0: not one's. */
int df_wino_together(const df_table *k, const df_conv *c, int tiles, size_t scratch_floats);
/* 36 * (pictures * (tiles * n + 16) + 32 * n + 16 + panels * pictures * (32 * tiles + 16)); n: min(64, round16(in_c)) */
size_t df_wino_pictures_floats(const df_conv *c, int tiles, int panels, int pictures);

#endif
