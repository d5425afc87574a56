/* Filters into the Winograd domain: G g G^T, some input channels at a time. */
#include "wino.h"

#if WINO_STRAIGHT
/* Filters of 8 outputs in assembly, for all of a frequency's registers and stores in an order that keeps the multipliers
 * and the stores of cores that issue out of order busy at once.  The rows of +-r at WINO_R_ROW of their size have the odd
 * part p g1 in common with those of +-p: 7 instructions a row and column instead of 10.
 *
 * v0-v5: the taps of the upper row, then what the rows of +-p are sums of; v6-v11: of the lower row, then those of +-r;
 * v12-v17: of the middle row, times p already; two registers each. */
/* clang-format off */
#define TAP(a, b, i) \
    "ldr q" #a ", [%[g], #" #i " * %c[column]]\n ldr q" #b ", [%[g], #" #i " * %c[column] + 16]\n"
#define COPY(a, b, c, d) "mov v" #a ".16b, v" #c ".16b\n mov v" #b ".16b, v" #d ".16b\n"
#define SUM(a, b, c, d, e, f) \
    "fadd v" #a ".4s, v" #c ".4s, v" #e ".4s\n fadd v" #b ".4s, v" #d ".4s, v" #f ".4s\n"
#define DIFFERENCE(a, b, c, d, e, f) \
    "fsub v" #a ".4s, v" #c ".4s, v" #e ".4s\n fsub v" #b ".4s, v" #d ".4s, v" #f ".4s\n"
#define ADD_HALF(a, b, c, d) \
    "fmla v" #a ".4s, v" #c ".4s, %[half].4s\n fmla v" #b ".4s, v" #d ".4s, %[half].4s\n"
#define PUT(row, f, a, b) "stp q" #a ", q" #b ", [%[row" #row "], #32 * " #f "]\n"
/* The six frequencies of a row of G g: g0 (a, b), g1 (c, d) and g2 (e, f), which end here unless KEPT. */
#define FOUR(row, c, d, p, q, r, s, x, y) \
    SUM(x, y, r, s, c, d) PUT(row, 3, x, y) DIFFERENCE(r, s, r, s, c, d) PUT(row, 4, r, s) \
    SUM(x, y, p, q, c, d) PUT(row, 1, x, y) DIFFERENCE(p, q, p, q, c, d) PUT(row, 2, p, q)
#define BOTH_ENDS(row, a, b, e, f, r, s) \
    COPY(r, s, e, f) PUT(row, 0, a, b) ADD_HALF(r, s, a, b) PUT(row, 5, e, f)
#define ROW(row, a, b, c, d, e, f) \
    BOTH_ENDS(row, a, b, e, f, 24, 25) ADD_HALF(a, b, e, f) FOUR(row, c, d, a, b, 24, 25, e, f)
#define ROW_KEPT(row, a, b, c, d, e, f) \
    BOTH_ENDS(row, a, b, e, f, 24, 25) COPY(18, 19, a, b) ADD_HALF(18, 19, e, f) \
    FOUR(row, c, d, 18, 19, 24, 25, 20, 21)
#define COLUMN(a, b, e, f) /* g0 to that of +-p, g2 to that of +-r */ \
    COPY(18, 19, e, f) ADD_HALF(e, f, a, b) ADD_HALF(a, b, 18, 19)
#define ROWS(plus, minus, a, b, c, d, e, f) \
    SUM(22, 23, e, f, 16, 17) SUM(18, 19, a, b, 12, 13) SUM(20, 21, c, d, 14, 15) \
    ROW(plus, 18, 19, 20, 21, 22, 23) \
    DIFFERENCE(e, f, e, f, 16, 17) DIFFERENCE(a, b, a, b, 12, 13) DIFFERENCE(c, d, c, d, 14, 15) \
    ROW(minus, a, b, c, d, e, f)
#define NEXT(row) "add %[row" #row "], %[row" #row "], #192\n"

/* 16 input channels' filters at g, `channel` and `column` floats from channel to channel and from tap to tap, to w: rows
 * of frequencies 6 * step floats apart. */
DF_INLINE void filters(const float *g, const int64_t channel, const int64_t column, float *w, int64_t step)
{
    const vf half = vf_set(0.5f);
    float *row0 = w, *row1 = w + 6 * step, *row2 = w + 12 * step, *row3 = w + 18 * step, *row4 = w + 24 * step,
          *row5 = w + 30 * step;
    int64_t left = DF_CB;
    __asm__ volatile("b 2f\n1:\n"
                     TAP(0, 1, 0) TAP(2, 3, 1) TAP(4, 5, 2) TAP(6, 7, 6) TAP(8, 9, 7) TAP(10, 11, 8)
                     ROW_KEPT(0, 0, 1, 2, 3, 4, 5) ROW_KEPT(5, 6, 7, 8, 9, 10, 11)
                     TAP(12, 13, 3) TAP(14, 15, 4) TAP(16, 17, 5)
                     COLUMN(0, 1, 6, 7) COLUMN(2, 3, 8, 9) COLUMN(4, 5, 10, 11)
                     ROWS(1, 2, 0, 1, 2, 3, 4, 5) ROWS(3, 4, 6, 7, 8, 9, 10, 11)
                     NEXT(0) NEXT(1) NEXT(2) NEXT(3) NEXT(4) NEXT(5)
                     "add %[g], %[g], %[channel]\n"
                     "2: subs %[left], %[left], #1\n b.pl 1b\n"
                     : [g] "+r"(g), [left] "+r"(left), [row0] "+r"(row0), [row1] "+r"(row1), [row2] "+r"(row2),
                       [row3] "+r"(row3), [row4] "+r"(row4), [row5] "+r"(row5)
                     : [channel] "r"(channel * sizeof(float)), [column] "i"(column * sizeof(float)), [half] "w"(half)
                     : "cc", "memory", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12",
                       "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25");
}
/* clang-format on */
#elif defined(__aarch64__)
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

/* One store of 32 bytes and one addition, where GCC makes two stores. */
#define pair_store(w, step, a) \
    do { \
        __asm__("stp %q2, %q3, [%1]" : "=m"(*(pair *)(w)) : "r"(w), "w"((a).v[0]), "w"((a).v[1])); \
        (w) += step; \
        __asm__("" : "+r"(w)); \
    } while (0)

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
    float *last = w + 5 * step;
    pair_store(w, step, g0);
    pair_store(last, step, g2);
    return points_of(g0, g1, g2);
}

DF_INLINE void end_row(points f, float *w, int64_t step)
{
    w += step;
    pair_store(w, step, pair_sum(f.p, f.odd));
    pair_store(w, step, pair_difference(f.p, f.odd));
    pair_store(w, step, pair_sum(f.r, f.odd));
    pair_store(w, step, pair_difference(f.r, f.odd));
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
#if WINO_STRAIGHT
    filters(g, channel, column, w + wino_w_row(k * DF_CB), wino_w_step(blocks));
#else
    for (int i = 0; i < DF_CB; i++)
        for (int lane = 0; lane < WINO_OUTS; lane += FILTER_LANES)
            filter(g + i * channel + lane, column,
                   w + wino_w_row(lane / WINO_LANES * blocks * DF_CB + k * DF_CB + i) + lane % WINO_LANES,
                   wino_w_step(blocks));
#endif
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
