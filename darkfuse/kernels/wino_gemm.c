/* The matrix product of one Winograd frequency, in register blocks of tiles x output channels. */
#include "wino.h"

#define LINE 16 /* floats in 64 bytes */

/* Each call sums its own channels from zero before adding to m: over 1280 channels that halves the rounding
 * error of one long sum.
 * `lines` cache lines from `ahead` are fetched for each block of channels, 32 / WINO_LANES times.
 * u: (blocks: next, tiles, 16), w: (32 / WINO_LANES, 16 * blocks, WINO_LANES), m: (tiles, 32) */
DF_INLINE void block(const int tiles, const float *u, int64_t next, int blocks, const float *w, float *m, bool add,
                     const float *ahead, int lines)
{
    for (int lane = 0; lane < DF_PANEL; lane += WINO_LANES) {
        const float *from = u;
        vf acc[WINO_TILES][WINO_VECS];
#pragma GCC unroll 16
        for (int t = 0; t < tiles; t++)
#pragma GCC unroll 4
            for (int v = 0; v < WINO_VECS; v++)
                acc[t][v] = vf_zero();

        for (int b = 0; b < blocks; b++, from += next) {
            for (int i = 0; i < lines; i++, ahead += LINE)
                __builtin_prefetch(ahead);
#if DF_BY_LANE
            add_run(acc, tiles, from, DF_CB, w, WINO_LANES);
            w += DF_CB * WINO_LANES;
#else
            for (int i = 0; i < DF_CB; i++, w += WINO_LANES) {
                vf row[WINO_VECS];
#pragma GCC unroll 4
                for (int v = 0; v < WINO_VECS; v++)
                    row[v] = vf_load(w + v * DF_VL);
#pragma GCC unroll 16
                for (int t = 0; t < tiles; t++) {
                    vf x = vf_set(from[t * DF_CB + i]);
#pragma GCC unroll 4
                    for (int v = 0; v < WINO_VECS; v++)
                        acc[t][v] += row[v] * x;
                }
            }
#endif
        }

#pragma GCC unroll 16
        for (int t = 0; t < tiles; t++)
#pragma GCC unroll 4
            for (int v = 0; v < WINO_VECS; v++) {
                float *to = m + lane + t * DF_PANEL + v * DF_VL;
                if (add)
                    acc[t][v] += vf_load(to);
                vf_store(to, acc[t][v]);
            }
    }
}

typedef void block_fn(const float *u, int64_t next, int blocks, const float *w, float *m, bool add, const float *ahead,
                      int lines);

/* clang-format off */
#define BLOCK(n) \
    static void block_##n(const float *u, int64_t next, int blocks, const float *w, float *m, bool add, \
                          const float *ahead, int lines) \
    { \
        block(n, u, next, blocks, w, m, add, ahead, lines); \
    }
BLOCK(1) BLOCK(2) BLOCK(3) BLOCK(4)
#if WINO_TILES > 4
BLOCK(5) BLOCK(6)
#endif
#if WINO_TILES > 6
BLOCK(7) BLOCK(8)
#endif
#if WINO_TILES > 8
BLOCK(9) BLOCK(10) BLOCK(11) BLOCK(12) BLOCK(13) BLOCK(14)
#endif

static block_fn *const block_of[WINO_TILES + 1] = {
    NULL, block_1, block_2, block_3, block_4,
#if WINO_TILES > 4
    block_5, block_6,
#endif
#if WINO_TILES > 6
    block_7, block_8,
#endif
#if WINO_TILES > 8
    block_9, block_10, block_11, block_12, block_13, block_14,
#endif
};
/* clang-format on */

#ifdef DF_IN_ORDER
static df_pixel_sums *const in_order[] = {df_sums_4x32__a53, df_sums_5x32__a53, df_sums_6x32__a53, df_sums_7x32__a53,
                                          df_sums_8x32__a53};

/* runs: where each block begins, in bytes from u */
static bool block_in_order(int tiles, const float *u, const int64_t *runs, int blocks, const float *w, float *m,
                           bool add, const float *ahead, int lines)
{
    if (tiles < IN_ORDER_FEWEST)
        return false;
    for (int lane = 0; lane < DF_PANEL; lane += WINO_LANES, w += blocks * DF_CB * WINO_LANES) {
        for (int i = 0; i < lines * blocks; i++, ahead += LINE)
            __builtin_prefetch(ahead);
        in_order_sums(in_order[tiles - IN_ORDER_FEWEST], u, runs, 4 * blocks, w, m + lane, DF_PANEL * sizeof(float),
                      add);
    }
    return true;
}
#else
#define block_in_order(...) false
#endif

void DF_NAME(wino_gemm)(const float *u, int64_t next, int blocks, int tiles, const float *w, float *m, bool add,
                        const float *ahead, int floats)
{
    const int parts = (tiles + WINO_TILES - 1) / WINO_TILES; /* of nearly equal size: `longer` of them by one tile */
    const int part = tiles / parts, longer = tiles % parts;
    const int steps = DF_PANEL / WINO_LANES * blocks;
    const int lines = floats > 0 ? (floats / LINE + parts * steps - 1) / (parts * steps) : 0;
#ifdef DF_IN_ORDER
    int64_t runs[WINO_BLOCKS];
    for (int b = 0; b < blocks; b++)
        runs[b] = b * next * (int64_t)sizeof(float);
#endif
    for (int p = 0; p < parts; p++) {
        const int n = part + (p < longer);
        if (!block_in_order(n, u, runs, blocks, w, m, add, ahead, floats > 0 ? lines : 0))
            block_of[n](u, next, blocks, w, m, add, ahead, floats > 0 ? lines : 0);
        u += n * DF_CB;
        m += n * DF_PANEL;
        ahead += lines * LINE * steps;
        floats -= lines * LINE * steps;
    }
}
