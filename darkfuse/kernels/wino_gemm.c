/* The matrix products of Winograd's frequencies, in register blocks of tiles x output channels. */
#include "wino.h"
#include "wino_block.h"

#define LINE 16 /* floats in 64 bytes */
#define CHANNELS(blocks) (9 * DF_CB * (blocks)) /* floats of one filter */
#define PRODUCTS (WINO_FREQS * DF_PANEL / WINO_OUTS)

/* Floats that the transforms of a job's filters ahead will read: the n-th of PRODUCTS parts. A transform has nothing to
 * hide memory behind, so that each product before it fetches one part: 1024 channels at 13x13, filters in DRAM, 203 to
 * 247 GFLOP/s. */
static const float *part(const wino_job *j, int f, int *floats)
{
    const df_filters *filters = j->ahead;
    const int n = j->part * WINO_FREQS + f;
    *floats = 0;
    if (!filters)
        return NULL;
    if (filters->packed) {
        *floats = CHANNELS(j->ahead_blocks) * DF_PANEL / PRODUCTS;
        return filters->packed + (int64_t)CHANNELS(j->ahead_b) * DF_PANEL + n * *floats;
    }
    if (n >= DF_PANEL || !filters->filter[n])
        return NULL;
    *floats = CHANNELS(j->ahead_blocks) + DF_CB; /* they begin anywhere within a line */
    return filters->filter[n] + CHANNELS(j->ahead_b);
}

DF_INLINE void near_lines(const float *p)
{
#pragma GCC unroll 4
    for (int line = 0; line < 4; line++)
        __builtin_prefetch(p + line * LINE);
}

/* The f-th part of the filters ahead. */
DF_INLINE void bring_near(const wino_job *j, int f)
{
    int floats;
    const float *ahead = part(j, f, &floats);
    for (int i = 0; i < floats; i += 4 * LINE)
        near_lines(ahead + i);
}

#if WINO_STRAIGHT
/* All products of a job, of a known number of channels. Its fields are copied: assembly that writes memory makes the
 * compiler read them anew. */
DF_INLINE void products(const wino_job *j, const int blocks, const bool add)
{
    const int *first = j->first, *last = j->last;
    const int64_t u_step = j->u_step, w_step = j->w_step, m_step = j->m_step, next = j->next;
    const float *u = j->u, *w = j->w;
    float *m = j->m;
    const bool packed = j->ahead && j->ahead->packed, raw = j->ahead && !packed;
    int floats = 0;
    const float *ahead = packed ? part(j, 0, &floats) : NULL, *end = ahead + WINO_FREQS * floats;
    for (int f = 0; f < WINO_FREQS; f++, u += u_step, m += m_step) {
        const int from = first[f], n = last[f] - from;
        if (n <= 0)
            continue;
        if (raw)
            bring_near(j, f);
        for (int line = 0; line < 8 && ahead != end; line += 4, ahead += 4 * LINE)
            near_lines(ahead);
        tiles_in_blocks(n, u + from * DF_CB, next, blocks, w + wino_w(f, w_step), m + from * DF_PANEL, add);
    }
}

static __attribute__((noinline)) void products_1(const wino_job *j) { products(j, 1, false); }
static __attribute__((noinline)) void products_1_more(const wino_job *j) { products(j, 1, true); }
static __attribute__((noinline)) void products_2(const wino_job *j) { products(j, 2, false); }
static __attribute__((noinline)) void products_2_more(const wino_job *j) { products(j, 2, true); }
static __attribute__((noinline)) void products_4(const wino_job *j) { products(j, 4, false); }
static __attribute__((noinline)) void products_4_more(const wino_job *j) { products(j, 4, true); }

void DF_NAME(wino_products)(const wino_job *j)
{
    wino_job rest = *j;
    switch (j->blocks) {
    case 4: (j->add ? products_4_more : products_4)(j); break;
    case 1: (j->add ? products_1_more : products_1)(j); break;
    default: (j->add ? products_2_more : products_2)(j);
    }
    if (j->blocks == 3) {
        rest.u += 2 * j->next;
        rest.w += wino_w_row(2 * DF_CB);
        rest.ahead = NULL;
        products_1_more(&rest);
    }
}
#else
/* What comes near while a block is multiplied: `lines` of the filters ahead with each 16 channels, WINO_OUTS /
 * WINO_LANES times, and with vectors of 16, for which the second-level cache is too far, what the next frequency
 * multiplies, u and w floats on: 0 where there is none, or where another block has brought it. */
typedef struct {
    const float *filters;
    int lines;
    int64_t u, w;
} coming;

/* Each call sums its own channels from zero before adding to m: over 1280 channels that halves the rounding
 * error of one long sum.
 * u: (blocks: next, tiles, 16), w: (WINO_OUTS / WINO_LANES, 16 * blocks, WINO_LANES), m: (tiles, 32) */
DF_INLINE void block(const int tiles, const float *u, int64_t next, int blocks, const float *w, float *m, bool add,
                     const coming *near)
{
    const float *ahead = near->filters;
    const int lines = near->lines;
    const int64_t u_coming = near->u, w_coming = near->w;
    for (int lane = 0; lane < WINO_OUTS; lane += WINO_LANES) {
        const float *from = u;
        vf acc[WINO_TILES][WINO_VECS];
#pragma GCC unroll 16
        for (int t = 0; t < tiles; t++)
#pragma GCC unroll 4
            for (int v = 0; v < WINO_VECS; v++)
                acc[t][v] = vf_zero();

        int b = 0;
#ifdef __aarch64__
        run_of(acc, tiles, from, DF_CB, w, WINO_LANES, true);
        w += DF_CB * WINO_LANES;
        from += next;
        b++;
        for (int i = 0; i < lines; i++, ahead += LINE)
            __builtin_prefetch(ahead);
#endif
        for (; b < blocks; b++, from += next) {
            for (int i = 0; i < lines; i++, ahead += LINE)
                __builtin_prefetch(ahead);
#if DF_BY_LANE
            add_run(acc, tiles, from, DF_CB, w, WINO_LANES);
            w += DF_CB * WINO_LANES;
#else
            for (int i = 0; i < DF_CB; i++, w += WINO_LANES) {
                if (DF_VL == 16 && tiles > 6) { /* with fewer, loads are what bounds it */
                    __builtin_prefetch(w + w_coming);
                    __builtin_prefetch(w + w_coming + LINE);
                    __builtin_prefetch(from + u_coming + i * DF_CB); /* of one tile after another */
                }
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

typedef void block_fn(const float *u, int64_t next, int blocks, const float *w, float *m, bool add, const coming *near);

/* clang-format off */
#define BLOCK(n) \
    static void block_##n(const float *u, int64_t next, int blocks, const float *w, float *m, bool add, \
                          const coming *near) \
    { \
        block(n, u, next, blocks, w, m, add, near); \
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
void DF_NAME(wino_products)(const wino_job *j)
{
    static df_pixel_sums *const sums[] = {df_sums_4x32__a53, df_sums_5x32__a53, df_sums_6x32__a53, df_sums_7x32__a53,
                                          df_sums_8x32__a53};
    const float *u = j->u, *w = j->w;
    float *m = j->m;
    int64_t runs[WINO_BLOCKS]; /* where each block begins, in bytes from u */
    for (int b = 0; b < j->blocks; b++)
        runs[b] = b * j->next * (int64_t)sizeof(float);
    for (int f = 0; f < WINO_FREQS; f++, u += j->u_step, w += j->w_step, m += j->m_step) {
        const int first = j->first[f];
        bring_near(j, f);
        for (int n = j->last[f] - first, t = first; n > 0;) {
            const int tiles = wino_tiles(n);
            if (tiles < IN_ORDER_FEWEST)
                block_of[tiles](u + t * DF_CB, j->next, j->blocks, w, m + t * DF_PANEL, j->add, &(coming){NULL});
            else
                in_order_sums(sums[tiles - IN_ORDER_FEWEST], u + t * DF_CB, runs, 4 * j->blocks, w, m + t * DF_PANEL,
                              DF_PANEL * sizeof(float), j->add);
            t += tiles;
            n -= tiles;
        }
    }
}
#else
static void gemm(const float *u, int64_t next, int blocks, int tiles, const float *w, float *m, bool add, coming *near,
                 int floats)
{
    const int parts = (tiles + WINO_TILES - 1) / WINO_TILES; /* of nearly equal size: `longer` of them by one tile */
    const int part = tiles / parts, longer = tiles % parts;
    const int steps = WINO_OUTS / WINO_LANES * blocks;
    const int lines = floats > 0 ? (floats / LINE + parts * steps - 1) / (parts * steps) : 0;
    for (int p = 0; p < parts; p++) {
        const int n = part + (p < longer);
        near->lines = floats > 0 ? lines : 0;
        block_of[n](u, next, blocks, w, m, add, near);
        u += n * DF_CB;
        m += n * DF_PANEL;
        near->filters += lines * LINE * steps;
        near->w = 0;
        floats -= lines * LINE * steps;
    }
}

void DF_NAME(wino_products)(const wino_job *j)
{
    for (int f = 0; f < WINO_FREQS; f++) {
        const int first = j->first[f], n = j->last[f] - first;
        if (n <= 0)
            continue;
        int floats;
        coming near = {.filters = part(j, f, &floats)};
        if (f + 1 < WINO_FREQS) {
            near.u = j->u_step;
            near.w = wino_w(f + 1, j->w_step) - wino_w(f, j->w_step);
        }
        gemm(j->u + f * j->u_step + first * DF_CB, j->next, j->blocks, n, j->w + wino_w(f, j->w_step),
             j->m + f * j->m_step + first * DF_PANEL, j->add, &near, floats);
    }
}
#endif
#endif
