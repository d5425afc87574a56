/* Filters into the Winograd domain: G g G^T, some input channels at a time. */
#include "wino.h"

/* One dimension of G: (g0, g0 + p^2 g2 +- p g1, g0 + r^2 g2 +- r g1, g2). */
DF_INLINE void g_pair(vf g0, vf g1, vf g2, float square, float a, vf *plus, vf *minus)
{
    vf even = g0 + square * g2;
    *plus = even + a * g1;
    *minus = even - a * g1;
}

/* One row of G g, then all six columns: frequencies 6 * row + 0 .. 5. */
DF_INLINE void store_row(const vf g[3], float *w, int64_t step)
{
    vf plus, minus;
    vf_store(w, g[0]);
    g_pair(g[0], g[1], g[2], 0.5f, WINO_P, &plus, &minus);
    vf_store(w + step, plus);
    vf_store(w + 2 * step, minus);
    g_pair(g[0], g[1], g[2], 2.0f, WINO_R, &plus, &minus);
    vf_store(w + 3 * step, plus);
    vf_store(w + 4 * step, minus);
    vf_store(w + 5 * step, g[2]);
}

/* g: (3, 3, 16, 32), at one input channel's lanes */
DF_INLINE void filter(const float *g, float *w, int64_t step)
{
    const int64_t column = DF_CB * DF_PANEL, row = 3 * column;
    vf top[3], bottom[3], plus[3], minus[3];

#pragma GCC unroll 3
    for (int j = 0; j < 3; j++)
        top[j] = vf_load(g + j * column);
    store_row(top, w, step);

#pragma GCC unroll 3
    for (int j = 0; j < 3; j++)
        g_pair(vf_load(g + j * column), vf_load(g + row + j * column), vf_load(g + 2 * row + j * column),
               0.5f, WINO_P, &plus[j], &minus[j]);
    store_row(plus, w + 6 * step, step);
    store_row(minus, w + 12 * step, step);

#pragma GCC unroll 3
    for (int j = 0; j < 3; j++)
        g_pair(vf_load(g + j * column), vf_load(g + row + j * column), vf_load(g + 2 * row + j * column),
               2.0f, WINO_R, &plus[j], &minus[j]);
    store_row(plus, w + 18 * step, step);
    store_row(minus, w + 24 * step, step);

#pragma GCC unroll 3
    for (int j = 0; j < 3; j++)
        bottom[j] = vf_load(g + 2 * row + j * column);
    store_row(bottom, w + 30 * step, step);
}

/* blocks is a constant at each call, so that the 36 stores need no registers for addresses. */
DF_INLINE void filters(const float *packed, const int blocks, float *w)
{
    const int channels = blocks * DF_CB;
    for (int b = 0; b < blocks; b++, packed += 9 * DF_CB * DF_PANEL)
        for (int i = 0; i < DF_CB; i++)
            for (int lane = 0; lane < DF_PANEL; lane += DF_VL)
                filter(packed + i * DF_PANEL + lane,
                       w + ((lane / WINO_LANES) * channels + b * DF_CB + i) * WINO_LANES + lane % WINO_LANES,
                       wino_w_step(blocks));
}

void DF_NAME(wino_filter)(const float *packed, int blocks, float *w)
{
    switch (blocks) {
    case 1: filters(packed, 1, w); break;
    case 2: filters(packed, 2, w); break;
    case 3: filters(packed, 3, w); break;
    default: filters(packed, WINO_BLOCKS, w); break;
    }
}
