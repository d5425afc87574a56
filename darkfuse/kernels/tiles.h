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

/* Rows of 13 or 16 pixels, cut into tiles each for itself, leave many registers idle.  Where a tile may run from one
 * row into the next, at an address register for each pixel, nearly all tiles are as wide as can be.  With vectors of 16
 * there are too few addresses for the widest tiles, and only rows are walked so that leave no room for two tiles. */
#if defined(__x86_64__) && WIDEST == 6
#define ACROSS 6
#define ACROSS_ROW STRIP
#elif defined(__x86_64__) && WIDEST == 14
#define ACROSS 10
#define ACROSS_ROW 16
#else
#define ACROSS 0
#define ACROSS_ROW 0
#endif

/* Whether a tile brings the next one's input near: that of a 1x1 kernel has not been used before.  Fourteen lines at
 * once would take nearly all the buffers that a core has for lines on their way, so that wide tiles ask for one line with
 * each row of weights; in narrow ones that would be more than they need, with few multiply-adds between. */
#ifdef __x86_64__
#define NEAR(run) (__builtin_constant_p(run) && (run) == DF_CB)
#else
#define NEAR(run) false
#endif
#define ONE_BY_ONE (WIDEST > 8)

#define LINE 16 /* floats in 64 bytes */
#define RUNS 128 /* of one list: an 11x11 kernel's; what has more is summed list by list */

/* Where the sums of output pixels that lie alike come from: runs of input values, each value times a row of 32
 * weights, which lie one after another. */
typedef struct {
    const float *w;           /* of the first run */
    const float *bias;        /* NULL while sums are partial */
    int lanes;                /* output channels */
    int64_t out_block;        /* output floats from channel block to channel block */
    int64_t step;             /* input floats from pixel to pixel */
    float slope;
    int run, count;           /* values of a run; runs */
    bool add;                 /* the sums of runs before these wait in the output */
    int64_t runs[RUNS];       /* bytes from a pixel's window to where each begins */
    const float *ahead, *end; /* weights after these, as far as they are not near yet */
    int lines;                /* of them that come near with each run */
    int pixels;               /* of the row */
    int64_t below;            /* input floats from its first pixel to that of the row below */
    const int64_t *from, *to; /* where the pixels of several rows lie, in floats from the first one's, in and out */
} walk;

/* `tiles` tiles from the x-th pixel on; in, out: of the first pixel */
typedef void tile_fn(walk *w, const float *in, float *out, int x, int tiles);

#ifdef DF_IN_ORDER
/* Sums of all of a walk's runs to `out`; false where there are too many of them, or none. */
static bool sums_in_order(const walk *w, const float *in, float *out, int lane, int pixels)
{
    static df_pixel_sums *const sums[] = {df_sums_4x128__a53, df_sums_5x128__a53, df_sums_6x128__a53,
                                          df_sums_7x128__a53, df_sums_8x128__a53};
    if (pixels < IN_ORDER_FEWEST || w->count == 0 || w->count > IN_ORDER_RUNS)
        return false;
    in_order_sums(sums[pixels - IN_ORDER_FEWEST], in, w->runs, 4 * w->count, w->w + lane, out, DF_CB * sizeof(float),
                  w->add);
    return true;
}
#endif

DF_INLINE const float *bytes_on(const float *p, int64_t bytes) { return (const float *)((const char *)p + bytes); }

/* acc += `run` input values of each pixel, `step` floats apart, each times a row of weights. Meanwhile pixels from
 * `next` on come near, where there is one. */
DF_INLINE void add_row(vf acc[WIDEST][NV], const int pixels, const int nv, const float *in, const int64_t step,
                       const int run, const float *weights, const float *next)
{
#pragma GCC unroll 1
    for (int c = 0; c < run; c++, in++, weights += DF_PANEL) {
        /* neighbouring windows overlap: without this the compiler carries loads from turn to turn and spills */
        __asm__("" : "+r"(in));
        if (next) {
            __builtin_prefetch(next);
            next += step;
        }
        vf f[NV];
#pragma GCC unroll 4
        for (int v = 0; v < nv; v++)
            f[v] = vf_load(weights + v * DF_VL);
#pragma GCC unroll 16
        for (int p = 0; p < pixels; p++) {
            const vf x = vf_set(in[p * step]);
#pragma GCC unroll 4
            for (int v = 0; v < nv; v++)
                acc[p][v] += x * f[v];
        }
    }
}

/* acc += the c-th input value of each pixel times a row of weights. */
DF_INLINE void add_apart(vf acc[WIDEST][NV], const int pixels, const int nv, const float *const at[WIDEST],
                         const int64_t c, const float *weights)
{
    vf f[NV];
#pragma GCC unroll 4
    for (int v = 0; v < nv; v++)
        f[v] = vf_load(weights + v * DF_VL);
#pragma GCC unroll 16
    for (int p = 0; p < pixels; p++) {
        const vf x = vf_set(at[p][c]);
#pragma GCC unroll 4
        for (int v = 0; v < nv; v++)
            acc[p][v] += x * f[v];
    }
}

/* add_row with pixels from[p] floats on.  With vectors of 16 a run is so short that mispredicting where it ends costs
 * 2 %: it is one straight piece of code then. */
DF_INLINE void add_row_apart(vf acc[WIDEST][NV], const int pixels, const int nv, const float *in, const int64_t *from,
                             const int run, const float *weights)
{
    const float *at[WIDEST];
#pragma GCC unroll 16
    for (int p = 0; p < pixels; p++)
        at[p] = in + from[p];
    if (ONE_BY_ONE) {
#pragma GCC unroll 16
        for (int i = 0; i < DF_CB; i++) {
            __builtin_prefetch(in + from[pixels + i]);
            add_apart(acc, pixels, nv, at, i, weights + i * DF_PANEL);
        }
        return;
    }
#pragma GCC unroll 1
    for (int64_t c = 0; c < run; c++, weights += DF_PANEL) {
        __asm__("" : "+r"(c)); /* or each of the addresses is counted up */
        add_apart(acc, pixels, nv, at, c, weights);
    }
}

/* One tile of the lanes from `lane` on. in: first pixel's window, the next tile's `next` floats on; out: first pixel's
 * first lane; from, to: NULL, or where the pixels lie */
DF_INLINE void tile(walk *w, const float *in, int64_t next, float *out, int lane, const int64_t *from,
                    const int64_t *to, const int pixels, const int nv, const int64_t step, const int run)
{
    vf acc[WIDEST][NV];
#pragma GCC unroll 16
    for (int p = 0; p < pixels; p++)
#pragma GCC unroll 4
        for (int v = 0; v < nv; v++)
            acc[p][v] = vf_zero();
    const int64_t out_block = w->out_block;
#define OUT(p, v) (out + (to ? to[p] : (p) * DF_CB) + (v) * DF_VL / DF_CB * out_block + (v) * DF_VL % DF_CB)
#ifdef DF_IN_ORDER
    if (step == 3 && run == DF_RGB_ROW && w->count <= 3 && w->count > 0 && pixels == LANES_PIXELS) {
        df_rgb_sums__a53(in, w->runs, w->count, w->w + lane, out, DF_CB * sizeof(float), w->bias + lane, w->slope);
        return;
    }
    const bool done = step == DF_CB && run == DF_CB && sums_in_order(w, in, out, lane, pixels);
    if (done && !w->bias)
        return;
#else
    const bool done = false;
#endif

    const float *weights = w->w + lane;
    for (const int64_t *r = w->runs, *end = done ? r : r + w->count; r != end; r++) {
        const float *a = bytes_on(in, *r);
#if DF_BY_LANE
        if (run == DF_CB) {
            add_run(acc, pixels, a, step, weights, DF_PANEL);
            weights += DF_CB * DF_PANEL;
            continue;
        }
#endif
#ifdef DF_RGB_ROW
        if (step == 3 && run == DF_RGB_ROW) {
            add_rgb_row(acc, pixels, a, weights, DF_PANEL);
            weights += DF_RGB_ROW * DF_PANEL;
            continue;
        }
#endif
#ifdef __x86_64__
        for (int i = 0; i < w->lines && w->ahead < w->end; i++, w->ahead += LINE)
            __builtin_prefetch(w->ahead, 0, 2);
#endif
        if (NEAR(run) && !ONE_BY_ONE)
#pragma GCC unroll 16
            for (int p = 0; p < pixels; p++)
                __builtin_prefetch(a + (from ? from[pixels + p] : next + p * step));
        if (from)
            add_row_apart(acc, pixels, nv, a, from, run, weights);
        else
            add_row(acc, pixels, nv, a, step, run, weights, NEAR(run) && ONE_BY_ONE ? a + next : NULL);
        weights += run * DF_PANEL;
    }

    if (done || w->add) {
#pragma GCC unroll 16
        for (int p = 0; p < pixels; p++)
#pragma GCC unroll 4
            for (int v = 0; v < nv; v++)
                acc[p][v] += vf_load(OUT(p, v));
    }
    if (!w->bias) {
#pragma GCC unroll 16
        for (int p = 0; p < pixels; p++)
#pragma GCC unroll 4
            for (int v = 0; v < nv; v++)
                vf_store(OUT(p, v), acc[p][v]);
        return;
    }
    const vf slope = vf_set(w->slope);
    vf bias[NV];
#pragma GCC unroll 4
    for (int v = 0; v < nv; v++)
        bias[v] = vf_load(w->bias + lane + v * DF_VL);
#pragma GCC unroll 16
    for (int p = 0; p < pixels; p++)
#pragma GCC unroll 4
        for (int v = 0; v < nv; v++) {
            const vf y = acc[p][v] + bias[v];
            vf_store(OUT(p, v), vf_max(y * slope, y));
            __asm__ volatile("" ::: "memory"); /* one after another, or the registers do not hold them */
        }
#undef OUT
}

/* All lanes of each tile in turn, so that its input is read from L1 after the first. step: 0 where the pixels are at
 * w->from and w->to */
DF_INLINE void tiles_of(walk *w, const float *in, float *out, int x, int tiles, const int pixels, const int nv,
                        const int64_t step, const int run)
{
    for (; tiles > 0; tiles--, x += pixels)
        for (int lane = 0; lane < w->lanes; lane += nv * DF_VL) {
            float *to = out + lane / DF_CB * w->out_block + lane % DF_CB;
            const int64_t next = x + pixels < w->pixels ? pixels * step : w->below - x * step;
            if (step)
                tile(w, in + x * step, next, to + (int64_t)x * DF_CB, lane, NULL, NULL, pixels, nv, step, run);
            else
                tile(w, in, 0, to, lane, w->from + x, w->to + x, pixels, nv, step, run);
        }
}

/* TILES(V, S, STEP, RUN) defines functions of V vectors and 1 .. WIDEST pixels, TILE_NAMES(V, S) lists them;
 * TILES_4 and NAMES_4 stop at 4 pixels. */
/* clang-format off */
#define TILE(P, V, S, STEP, RUN) \
    static void tile_##P##x##V##_##S(walk *w, const float *in, float *out, int x, int tiles) \
    { \
        tiles_of(w, in, out, x, tiles, P, V, STEP, RUN); \
    }
#define TILES_4(V, S, STEP, RUN) \
    TILE(1, V, S, STEP, RUN) TILE(2, V, S, STEP, RUN) TILE(3, V, S, STEP, RUN) TILE(4, V, S, STEP, RUN)
#define TILES_5(V, S, STEP, RUN) TILES_4(V, S, STEP, RUN) TILE(5, V, S, STEP, RUN)
#define TILES_6(V, S, STEP, RUN) TILES_5(V, S, STEP, RUN) TILE(6, V, S, STEP, RUN)
#define TILES_8(V, S, STEP, RUN) TILES_6(V, S, STEP, RUN) TILE(7, V, S, STEP, RUN) TILE(8, V, S, STEP, RUN)
#define TILES_10(V, S, STEP, RUN) TILES_8(V, S, STEP, RUN) TILE(9, V, S, STEP, RUN) TILE(10, V, S, STEP, RUN)
#define TILES_14(V, S, STEP, RUN) \
    TILES_10(V, S, STEP, RUN) TILE(11, V, S, STEP, RUN) TILE(12, V, S, STEP, RUN) TILE(13, V, S, STEP, RUN) \
    TILE(14, V, S, STEP, RUN)
#define NAMES_4(V, S) tile_1x##V##_##S, tile_2x##V##_##S, tile_3x##V##_##S, tile_4x##V##_##S
#define NAMES_5(V, S) NAMES_4(V, S), tile_5x##V##_##S
#define NAMES_6(V, S) NAMES_5(V, S), tile_6x##V##_##S
#define NAMES_8(V, S) NAMES_6(V, S), tile_7x##V##_##S, tile_8x##V##_##S
#define NAMES_10(V, S) NAMES_8(V, S), tile_9x##V##_##S, tile_10x##V##_##S
#define NAMES_14(V, S) \
    NAMES_10(V, S), tile_11x##V##_##S, tile_12x##V##_##S, tile_13x##V##_##S, tile_14x##V##_##S
/* clang-format on */
#define CAT_(a, b) a##b
#define CAT(a, b) CAT_(a, b)
#define TILES CAT(TILES_, WIDEST)
#define TILE_NAMES CAT(NAMES_, WIDEST)

#endif
