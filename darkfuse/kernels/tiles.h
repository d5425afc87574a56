/* The micro-kernel of conv_direct and conv_first, and the machinery that makes one function per tile width.
 *
 * A tile of P pixels x NV vectors of output channels stays in registers while rows of the input are walked;
 * each step multiplies one broadcast input value of each pixel by NV vectors of weights.  The order of the
 * sums does not depend on the tile, the strip or the region, nor does where one pass over channels ends and the next
 * begins (conv_direct.c): same bits for any of them. */
#ifndef DF_TILES_H
#define DF_TILES_H

#include <stdbool.h>

#include "lanes.h"
#include "lanes_a53.h"
#include "panel.h"

/* NV vectors x WIDEST pixels: as many accumulators as the registers leave room for beside the weights and
 * one broadcast. */
#if DF_VL == 16
#define NV 2
#define WIDEST 14
#elif DF_BY_LANE
#define NV LANES_VECS
#define WIDEST LANES_PIXELS
#else
#define NV 2
#define WIDEST 6
#endif

/* Where one output row's sums come from.  The packed panel is (blocks, size, taps, run, 32). */
typedef struct {
    const float *w;       /* the panel, at the lanes of this walk */
    const float *bias;    /* of these lanes; NULL while sums are partial */
    int64_t row, block;   /* input floats from slot to slot, from channel block to channel block */
    int64_t out_block;    /* output floats from channel block to channel block */
    int64_t step;         /* input floats from pixel to pixel */
    int64_t tap;          /* input floats from kw to kw + 1 */
    float slope;
    int size, taps;       /* rows kh; runs in a row */
    int run;              /* input floats multiplied at one tap */
    int slot, slots, hop; /* slot of the first row walked; slots to move for the next kh, below `slots` */
    int k0, k1;           /* rows kh inside the map */
    int b0, b1;           /* channel blocks */
} walk;

typedef void tile_fn(const walk *w, const float *in, float *out);

#ifdef DF_IN_ORDER
/* Sums of all of a walk's rows to `out`; false where its weights are not in one piece, or the runs too many. */
static bool sums_in_order(const walk *w, const float *in, float *out, int pixels)
{
    static df_pixel_sums *const sums[] = {df_sums_4x128__a53, df_sums_5x128__a53, df_sums_6x128__a53,
                                          df_sums_7x128__a53, df_sums_8x128__a53};
    const int rows = w->k1 - w->k0, count = (w->b1 - w->b0) * rows * w->taps;
    if (pixels < IN_ORDER_FEWEST || count == 0 || count > IN_ORDER_RUNS || (w->b1 - w->b0 > 1 && rows < w->size))
        return false;
    int64_t runs[IN_ORDER_RUNS], *run = runs;
    for (int b = w->b0; b < w->b1; b++)
        for (int k = 0, slot = w->slot; k < rows; k++) {
            const int64_t at = slot * w->row + b * w->block;
            for (int t = 0; t < w->taps; t++)
                *run++ = (at + t * w->tap) * (int64_t)sizeof(float);
            slot += w->hop;
            slot -= slot >= w->slots ? w->slots : 0;
        }
    const float *weights = w->w + (int64_t)(w->b0 * w->size + w->k0) * w->taps * DF_CB * DF_PANEL;
    in_order_sums(sums[pixels - IN_ORDER_FEWEST], in, runs, 4 * count, weights, out, DF_CB * sizeof(float), w->b0 > 0);
    return true;
}

/* A whole tile of the first layer; false where it has no rows. */
static bool rgb_in_order(const walk *w, const float *in, float *out)
{
    const int rows = w->k1 - w->k0;
    int64_t runs[3];
    for (int k = 0, slot = w->slot; k < rows; k++) {
        runs[k] = slot * w->row * (int64_t)sizeof(float);
        slot += w->hop;
        slot -= slot >= w->slots ? w->slots : 0;
    }
    if (rows > 0)
        df_rgb_sums__a53(in, runs, rows, w->w + (int64_t)w->k0 * 9 * DF_PANEL, out, DF_CB * sizeof(float), w->bias,
                         w->slope);
    return rows > 0;
}
#endif

/* in: first pixel's tap 0 (slot 0, block 0); out: first pixel's first lane */
DF_INLINE void tile(const walk *w, const float *in, float *out, const int pixels, const int nv, const int64_t step,
                    const int run)
{
    vf acc[WIDEST][NV];
#pragma GCC unroll 16
    for (int p = 0; p < pixels; p++)
#pragma GCC unroll 4
        for (int v = 0; v < nv; v++)
            acc[p][v] = vf_zero();
    const int64_t out_block = w->out_block;
#define OUT(p, v) (out + (p) * DF_CB + (v) * DF_VL / DF_CB * out_block + (v) * DF_VL % DF_CB)
#ifdef DF_IN_ORDER
    if (step == 3 && run == DF_RGB_ROW && w->size == 3 && pixels == LANES_PIXELS && rgb_in_order(w, in, out))
        return;
    const bool done = step == DF_CB && run == DF_CB && sums_in_order(w, in, out, pixels);
    if (done && !w->bias)
        return;
#else
    const bool done = false;
#endif

    const int64_t kernel_row = (int64_t)w->taps * run * DF_PANEL;
    for (int b = done ? w->b1 : w->b0; b < w->b1; b++) {
        int slot = w->slot;
        const float *weights = w->w + (b * w->size + w->k0) * kernel_row;
        for (int k = w->k0; k < w->k1; k++) {
            const float *at = in + slot * w->row + b * w->block;
            slot += w->hop;
            slot -= slot >= w->slots ? w->slots : 0;
            for (int t = 0; t < w->taps; t++, at += w->tap) {
#if DF_BY_LANE
                if (run == DF_CB) {
                    add_run(acc, pixels, at, step, weights, DF_PANEL);
                    weights += DF_CB * DF_PANEL;
                    continue;
                }
#endif
#ifdef DF_RGB_ROW
                if (step == 3 && run == DF_RGB_ROW) {
                    add_rgb_row(acc, pixels, at, weights, DF_PANEL);
                    weights += DF_RGB_ROW * DF_PANEL;
                    continue;
                }
#endif
                const float *a = at;
#pragma GCC unroll 1
                for (int c = 0; c < run; c++, a++, weights += DF_PANEL) {
                    /* neighbouring windows overlap: without this the compiler carries loads from turn to
                     * turn and spills */
                    __asm__("" : "+r"(a));
                    vf f[NV];
#pragma GCC unroll 4
                    for (int v = 0; v < nv; v++)
                        f[v] = vf_load(weights + v * DF_VL);
#pragma GCC unroll 16
                    for (int p = 0; p < pixels; p++) {
                        const vf x = vf_set(a[p * step]);
#pragma GCC unroll 4
                        for (int v = 0; v < nv; v++)
                            acc[p][v] += x * f[v];
                    }
                }
            }
        }
    }

    if (done || w->b0) { /* sums of channels before these wait there, or all that was in order */
#pragma GCC unroll 16
        for (int p = 0; p < pixels; p++)
#pragma GCC unroll 4
            for (int v = 0; v < nv; v++)
                acc[p][v] += vf_load(OUT(p, v));
    }
    if (w->bias) { /* all of it before the first store, which might change what `w` points to */
        const float slope = w->slope;
        vf bias[NV];
#pragma GCC unroll 4
        for (int v = 0; v < nv; v++)
            bias[v] = vf_load(w->bias + v * DF_VL);
#pragma GCC unroll 16
        for (int p = 0; p < pixels; p++)
#pragma GCC unroll 4
            for (int v = 0; v < nv; v++)
                acc[p][v] = act_sloped(acc[p][v] + bias[v], slope);
    }
#pragma GCC unroll 16
    for (int p = 0; p < pixels; p++)
#pragma GCC unroll 4
        for (int v = 0; v < nv; v++)
            vf_store(OUT(p, v), acc[p][v]);
#undef OUT
}

/* TILES(V, S, STEP, RUN) defines functions of V vectors and 1 .. WIDEST pixels, TILE_NAMES(V, S) lists them;
 * TILES_4 and NAMES_4 stop at 4 pixels. */
/* clang-format off */
#define TILE(P, V, S, STEP, RUN) \
    static void tile_##P##x##V##_##S(const walk *w, const float *in, float *out) \
    { \
        tile(w, in, out, P, V, STEP, RUN); \
    }
#define TILES_4(V, S, STEP, RUN) \
    TILE(1, V, S, STEP, RUN) TILE(2, V, S, STEP, RUN) TILE(3, V, S, STEP, RUN) TILE(4, V, S, STEP, RUN)
#define TILES_5(V, S, STEP, RUN) TILES_4(V, S, STEP, RUN) TILE(5, V, S, STEP, RUN)
#define TILES_6(V, S, STEP, RUN) TILES_5(V, S, STEP, RUN) TILE(6, V, S, STEP, RUN)
#define TILES_8(V, S, STEP, RUN) TILES_6(V, S, STEP, RUN) TILE(7, V, S, STEP, RUN) TILE(8, V, S, STEP, RUN)
#define TILES_14(V, S, STEP, RUN) \
    TILES_8(V, S, STEP, RUN) TILE(9, V, S, STEP, RUN) TILE(10, V, S, STEP, RUN) TILE(11, V, S, STEP, RUN) \
    TILE(12, V, S, STEP, RUN) TILE(13, V, S, STEP, RUN) TILE(14, V, S, STEP, RUN)
#define NAMES_4(V, S) tile_1x##V##_##S, tile_2x##V##_##S, tile_3x##V##_##S, tile_4x##V##_##S
#define NAMES_5(V, S) NAMES_4(V, S), tile_5x##V##_##S
#define NAMES_6(V, S) NAMES_5(V, S), tile_6x##V##_##S
#define NAMES_8(V, S) NAMES_6(V, S), tile_7x##V##_##S, tile_8x##V##_##S
#define NAMES_14(V, S) \
    NAMES_8(V, S), tile_9x##V##_##S, tile_10x##V##_##S, \
        tile_11x##V##_##S, tile_12x##V##_##S, tile_13x##V##_##S, tile_14x##V##_##S
/* clang-format on */
#define CAT_(a, b) a##b
#define CAT(a, b) CAT_(a, b)
#define TILES CAT(TILES_, WIDEST)
#define TILE_NAMES CAT(NAMES_, WIDEST)

/* Rows [y0, y1) of channel blocks [b0, b1), all lanes of each tile in turn so that its input is read from L1
 * after the first; in_x is where in a slot the first pixel's tap 0 lies, in floats.  Sums are partial while
 * `last` is false. */
DF_INLINE void walk_rows(walk *w, tile_fn *const *fn, const int widest, const panel_job *j, int64_t in_x,
                         const df_view *dst, int block, bool last, int y0, int y1, int x0, int x1)
{
    const df_conv *c = j->c;
    const df_view *in = j->in;
    const int tiles = tile_count(x1 - x0, widest), lanes = least(j->lanes, NV * DF_VL);
    for (int y = y0; y < y1; y++) {
        const int top = y * c->stride - c->pad, d = c->dilation;
        w->k0 = top < 0 ? (-top + d - 1) / d : 0;
        w->k1 = least(c->size, in->height > top ? (in->height - top + d - 1) / d : 0);
        w->slot = w->k0 < w->k1 ? (top + w->k0 * d) % in->slots : 0;
        float *out = df_pixel(dst, y, block, x0);
        for (int t = 0; t < tiles; t++) {
            const int from = tile_start(x1 - x0, tiles, t), to = tile_start(x1 - x0, tiles, t + 1);
            for (int l = 0; l < j->lanes; l += lanes) {
                w->w = j->w + l;
                w->bias = last ? j->bias + l : NULL;
                fn[to - from - 1](w, in->base + in_x + from * w->step,
                                  out + l / DF_CB * w->out_block + l % DF_CB + (int64_t)from * DF_CB);
            }
        }
    }
}

#endif
