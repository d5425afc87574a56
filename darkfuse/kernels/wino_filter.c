/* Filters into the Winograd domain: G g G^T, some input channels at a time. */
#include "wino.h"

#ifdef __aarch64__
/* One dimension of G, for two registers of lanes. ARM's multiply-add overwrites what it adds to, so that a sum used
 * twice costs a move; the rows of +-r at WINO_R_ROW of their size have the odd part p g1 in common with those of +-p:
 * 8 instructions instead of 10. */
typedef struct {
    vf v[2];
} pair;

typedef struct {
    pair odd, p, r;
} points;

DF_INLINE pair pair_load(const float *g) { return (pair){{vf_load(g), vf_load(g + DF_VL)}}; }

#if WINO_VECS == 4
#define MOVED(w, i, step) (w)
/* The six frequencies of a row lie side by side. */
#define pair_store(w, i, step, a) \
    __asm__("stp %q2, %q3, [%1, %4]" /* `w` as all of the row, or GCC works out each address */ \
            : "+m"(*(float (*)[6 * WINO_LANES])(w)) \
            : "r"(w), "w"((a).v[0]), "w"((a).v[1]), "n"((i) * WINO_LANES * 4))
#else
#define MOVED(w, i, step) ((w) + (i) * (step)) /* frequency i of a row */
/* One store of 32 bytes and one addition, where GCC makes two stores. */
#define pair_store(w, i, step, a) \
    do { \
        __asm__("stp %q2, %q3, [%1]" : "=m"(*(pair *)(w)) : "r"(w), "w"((a).v[0]), "w"((a).v[1])); \
        (w) += step; \
        __asm__("" : "+r"(w)); \
    } while (0)
#endif

DF_INLINE pair pair_sum(pair a, pair b) { return (pair){{a.v[0] + b.v[0], a.v[1] + b.v[1]}}; }
DF_INLINE pair pair_difference(pair a, pair b) { return (pair){{a.v[0] - b.v[0], a.v[1] - b.v[1]}}; }

/* r before p: its move leaves p the register of g0. */
DF_INLINE points points_of(pair g0, pair g1, pair g2)
{
    points f;
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        f.odd.v[i] = g1.v[i]; /* times p already, where filters were packed or turned */
        f.r.v[i] = g2.v[i] + WINO_R_ROW * g0.v[i];
    }
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++)
        f.p.v[i] = g0.v[i] + 0.5f * g2.v[i];
    return f;
}

/* One row of G g: its first and last column, and what the four others are sums of.  Two rows are under way at a time,
 * so that no sum waits for the products it adds. */
DF_INLINE points begin_row(pair g0, pair g1, pair g2, float *w, int64_t step)
{
    (void)step;
    float *last = MOVED(w, 5, step);
    pair_store(w, 0, step, g0);
    pair_store(last, 5, step, g2);
    return points_of(g0, g1, g2);
}

DF_INLINE void end_row(points f, float *w, int64_t step)
{
    (void)step;
    w = MOVED(w, 1, step);
    pair_store(w, 1, step, pair_sum(f.p, f.odd));
    pair_store(w, 2, step, pair_difference(f.p, f.odd));
    pair_store(w, 3, step, pair_sum(f.r, f.odd));
    pair_store(w, 4, step, pair_difference(f.r, f.odd));
}

/* One input channel's FILTER_LANES lanes at g, `column` floats from tap to tap. */
#define FILTER_LANES (2 * DF_VL)
DF_INLINE void filter(const float *g, const int64_t column, float *w, int64_t step)
{
    pair taps[9]; /* all loads before the first store, which might change what is at g */
#pragma GCC unroll 9
    for (int i = 0; i < 9; i++)
        taps[i] = pair_load(g + i * column);
    points f[3];
    const points top = begin_row(taps[0], taps[1], taps[2], w, step);
    f[0] = points_of(taps[0], taps[3], taps[6]);
    end_row(top, w, step);
    const points bottom = begin_row(taps[6], taps[7], taps[8], w + 30 * step, step);
    f[1] = points_of(taps[1], taps[4], taps[7]);
    f[2] = points_of(taps[2], taps[5], taps[8]);
    end_row(bottom, w + 30 * step, step);
#define BEGIN(how, a, row) \
    begin_row(how(f[0].a, f[0].odd), how(f[1].a, f[1].odd), how(f[2].a, f[2].odd), w + (row) * 6 * step, step)
    const points plus_p = BEGIN(pair_sum, p, 1), minus_p = BEGIN(pair_difference, p, 2);
    end_row(plus_p, w + 6 * step, step);
    const points plus_r = BEGIN(pair_sum, r, 3);
    end_row(minus_p, w + 12 * step, step);
    const points minus_r = BEGIN(pair_difference, r, 4);
    end_row(plus_r, w + 18 * step, step);
    end_row(minus_r, w + 24 * step, step);
#undef BEGIN
}
#else
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

/* One input channel's lanes at g, `column` floats from tap to tap. */
#define FILTER_LANES DF_VL
DF_INLINE void filter(const float *g, const int64_t column, float *w, int64_t step)
{
    const int64_t row = 3 * column;
    vf top[3], bottom[3], plus[3], minus[3];

#pragma GCC unroll 3
    for (int j = 0; j < 3; j++)
        top[j] = vf_load(g + j * column);
    store_row(top, w, step);

#pragma GCC unroll 3
    for (int j = 0; j < 3; j++)
        g_pair(vf_load(g + j * column), vf_load(g + row + j * column), vf_load(g + 2 * row + j * column), 0.5f, WINO_P,
               &plus[j], &minus[j]);
    store_row(plus, w + 6 * step, step);
    store_row(minus, w + 12 * step, step);

#pragma GCC unroll 3
    for (int j = 0; j < 3; j++)
        g_pair(vf_load(g + j * column), vf_load(g + row + j * column), vf_load(g + 2 * row + j * column), 2.0f, WINO_R,
               &plus[j], &minus[j]);
    store_row(plus, w + 18 * step, step);
    store_row(minus, w + 24 * step, step);

#pragma GCC unroll 3
    for (int j = 0; j < 3; j++)
        bottom[j] = vf_load(g + 2 * row + j * column);
    store_row(bottom, w + 30 * step, step);
}
#endif

/* Input channels [ic, ic + n), n <= 16, of a panel as Darknet's file has them, outputs [out, out + WINO_OUTS), to g: (16, 3, 3,
 * WINO_OUTS). A block at a time this stays in the first-level cache; a whole panel packed first goes to memory and back. */
static void turn(const df_filters *f, int ic, int n, int out, float *g)
{
    static const float zeros[9 * DF_CB];
    const int len = 9 * n;
    for (int lane = 0; lane < WINO_OUTS; lane += DF_VL) {
        const vf scale = vf_load(f->scale + out + lane);
        const float *from[DF_VL];
        for (int i = 0; i < DF_VL; i++)
            from[i] = f->filter[out + lane + i] ? f->filter[out + lane + i] + 9 * (int64_t)ic : zeros;
        int j = 0;
        for (; j + DF_VL <= len; j += DF_VL) {
            vf r[DF_VL];
#pragma GCC unroll 16
            for (int i = 0; i < DF_VL; i++)
                r[i] = vf_load(from[i] + j);
            vf_transpose(r);
#pragma GCC unroll 16
            for (int i = 0; i < DF_VL; i++)
                vf_store(g + (j + i) * WINO_OUTS + lane, WINO_TAP(r[i] * scale, (j + i) % 9));
        }
        for (; j < len; j++)
            for (int i = 0; i < DF_VL; i++)
                g[j * WINO_OUTS + lane + i] = WINO_TAP(from[i][j] * f->scale[out + lane + i], j % 9);
    }
    memset(g + len * WINO_OUTS, 0, (size_t)(9 * DF_CB - len) * WINO_OUTS * sizeof(float));
}

/* 16 input channels' filters at g, `channel` and `column` floats from channel to channel and from tap to tap, to
 * channels k * 16 on of w. */
DF_INLINE void transform(const float *g, const int64_t channel, const int64_t column, const int k, const int blocks,
                         float *w)
{
    for (int i = 0; i < DF_CB; i++)
        for (int lane = 0; lane < WINO_OUTS; lane += FILTER_LANES)
            filter(g + i * channel + lane, column,
                   w + wino_w_row(lane / WINO_LANES * blocks * DF_CB + k * DF_CB + i) + lane % WINO_LANES,
                   wino_w_step(blocks));
}

/* blocks is a constant at each call, so that the 36 stores need no registers for addresses. */
DF_INLINE void filters_of(const df_filters *f, int in_c, int b, const int blocks, int out, float *w)
{
    const int64_t size = 9 * DF_CB * DF_PANEL;
    if (f->packed) { /* (in_c / 16, 3, 3, 16, 32) */
        for (int k = 0; k < blocks; k++)
            transform(f->packed + (b + k) * size + out, DF_PANEL, DF_CB * DF_PANEL, k, blocks, w);
        return;
    }
    float turned[9 * DF_CB * WINO_OUTS]; /* (16, 3, 3, WINO_OUTS) */
    for (int k = 0; k < blocks; k++) {
        int left = in_c - (b + k) * DF_CB;
        turn(f, (b + k) * DF_CB, left < DF_CB ? left : DF_CB, out, turned);
        transform(turned, 9 * WINO_OUTS, WINO_OUTS, k, blocks, w);
    }
}

void DF_NAME(wino_filter)(const df_filters *filters, int in_c, int b, int blocks, int out, float *w)
{
    switch (blocks) {
    case 1: filters_of(filters, in_c, b, 1, out, w); break;
    case 2: filters_of(filters, in_c, b, 2, out, w); break;
    case 3: filters_of(filters, in_c, b, 3, out, w); break;
    default: filters_of(filters, in_c, b, WINO_BLOCKS, out, w); break;
    }
}
