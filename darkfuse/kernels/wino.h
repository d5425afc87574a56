/* Winograd F(4,3): 4x4 outputs of a 3x3 convolution from 6x6 inputs with 36 multiplications instead of 144
 * (Lavin and Gray 2016), by evaluating both as polynomials at the points 0, +-p, +-r, infinity with
 * p = sqrt(2)/2 and r = sqrt(2).  These points keep the transforms' numbers near 1: four to five times less
 * rounding error than 0, +-1, +-2.
 *
 *   y = A^T [ (G g G^T) * (B^T d B) ] A      one frequency is one of the 6x6 products in the middle
 *
 * With m(x) = x (x^2 - p^2)(x^2 - r^2) = x^5 - 5/2 x^3 + x, the row of B^T for point a holds the coefficients
 * of m(x) / (x - a), that for infinity those of m(x).  The row of G is (1, a, a^2), for infinity (0, 0, 1),
 * and the column of A^T (1, a, a^2, a^3) / N(a), where N(a) = product of (a - b) over the other points b:
 * N(0) = p^2 r^2 = 1, N(+-p) = 2 p^2 (p^2 - r^2) = -3/2, N(+-r) = 2 r^2 (r^2 - p^2) = 6.  Dividing in A
 * rather than in G costs the output transform nothing and saves the filter transform a third of its work.
 *
 * So B^T, row by row, for inputs d0 .. d5:
 *   0         d0 - 5/2 d2 + d4
 *   +-p       (d4 - r^2 d2) +- p (d3 - r^2 d1)
 *   +-r       (d4 - p^2 d2) +- r (d3 - p^2 d1)
 *   infinity  d1 - 5/2 d3 + d5
 * Frequencies are numbered 6 * row + column, rows and columns in the order 0, p, -p, r, -r, infinity.
 *
 * Where a region's last row or column of tiles holds fewer than 4 outputs, these are F(3,3), F(2,3) or F(1,3) in that
 * direction, at as many of the same points as they need: the transformed filters serve all, and 13x13 outputs take 441
 * products where whole tiles take 576.  The points are chosen in pairs, with m(x) =
 *   3 outputs  (x^2 - p^2)(x^2 - r^2) at +-p, +-r, infinity; N(+-p) = -+3 p, N(+-r) = +-3 r
 *   2 outputs  x (x^2 - p^2) at 0, +-p, infinity; N(0) = -1/2, N(+-p) = 1
 *   1 output   x^2 - p^2 at +-p, infinity; N(+-p) = +-2 p
 *
 * When it pays: against 288 multiply-adds of vectors a tile, input channel and 32 outputs, Winograd spends 72 in
 * products, 10 * 32 / out_c in the input transform, 320 / in_c in the output transform, and 220 / tiles in the
 * filter transform (cycles of 16 lanes, AVX-512 on Zen 4; AVX2 much the same), the last doubled where filters
 * come from DRAM and few tiles hide it.  With full tiles it breaks even below 4 tiles per filter read, reaches 2x
 * at 8 and 3x at 25 to 50.  Large maps want strips of 50 to 200 tiles:
 * past that m (4.6 KB a tile) leaves the second-level cache, and 32 -> 64 channels at 304x304 lose a quarter. */
#ifndef DF_WINO_H
#define DF_WINO_H

#include <stdbool.h>

#include "isa.h"
#include "lanes.h"
#include "lanes_a53.h"

#define WINO_FREQS 36
#define WINO_P 0.70710678118654752f /* p; p^2 = 1/2 */
#define WINO_R 1.41421356237309505f /* r; r^2 = 2 */
#ifdef __aarch64__
#define WINO_R_ROW 0.5f /* G's rows of +-r are multiplied by this, its columns of A^T divided: a power of 2, exact */
#else
#define WINO_R_ROW 1.0f
#endif

/* Whether products are straight runs of assembly: aarch64 out of order (wino_block.h). */
#if defined(__aarch64__) && DF_BY_LANE && !defined(DF_IN_ORDER)
#define WINO_STRAIGHT 1
#else
#define WINO_STRAIGHT 0
#endif

/* The GEMMs' register block: WINO_TILES tiles times WINO_VECS registers of output channels.  That leaves room
 * for one row of weights and a broadcast in 32 registers (16 on SSE2, AVX2 and armv7), or on aarch64 for four channels
 * of the tiles. */
#define WINO_VECS 2
#if DF_VL == 16
#define WINO_TILES 14
#elif WINO_STRAIGHT
#define WINO_TILES 9
#elif DF_BY_LANE
#define WINO_TILES LANES_PIXELS
#else
#define WINO_TILES 6
#endif
#define WINO_LANES (WINO_VECS * DF_VL)

/* Filters transformed at a time: of a panel's WINO_STEP channel blocks for WINO_OUTS outputs.  With vectors of four, for
 * the outputs of one register block, 74 KB of them.  Of fewer channels there would be more products, each added to the sums
 * before it, and of more outputs no room beside the sums in a second-level cache of 512 KB. */
#define WINO_STEP WINO_BLOCKS
#if DF_VL == 4
#define WINO_OUTS WINO_LANES
#else
#define WINO_OUTS DF_PANEL
#endif

/* Floats left free after each frequency of u, m and w.  Without them the 36 frequencies tend to lie a
 * multiple of 4096 bytes apart, fall into one set of the first-level cache and evict each other before their lines are
 * full: on Zen 4 the filter transform took 5 times as long.  One 64-byte line is enough. */
#define WINO_GAP 16

/* Transformed input of a strip, cut into panels of DF_WINO_IC input channels:
 * u: (ceil(in_c / 64), 36: wino_u_step, blocks of the panel <= 4, tiles, 16), block b starting at wino_u. */
#define WINO_BLOCKS (DF_WINO_IC / DF_CB)

DF_INLINE int wino_panel_blocks(int b, int blocks)
{
    int left = blocks - b / WINO_BLOCKS * WINO_BLOCKS;
    return left < WINO_BLOCKS ? left : WINO_BLOCKS;
}

DF_INLINE int64_t wino_u_step(int b, int blocks, int tiles)
{
    return (int64_t)wino_panel_blocks(b, blocks) * tiles * DF_CB + WINO_GAP;
}

DF_INLINE int64_t wino_u(int b, int tiles)
{
    int64_t full = (int64_t)WINO_BLOCKS * tiles * DF_CB + WINO_GAP; /* step of the panels before b's */
    return b / WINO_BLOCKS * WINO_FREQS * full + (int64_t)(b % WINO_BLOCKS) * tiles * DF_CB;
}

DF_INLINE int64_t wino_m_step(int tiles) { return (int64_t)tiles * DF_PANEL + WINO_GAP; }
/* Of transformed filters: floats from frequency to frequency; where row `row` of WINO_LANES outputs lies, of one channel;
 * where frequency f does.  For straight runs six frequencies lie side by side: their stores need no addresses
 * of their own. */
DF_INLINE int64_t wino_w_step(int blocks) { return (int64_t)blocks * DF_CB * WINO_OUTS + WINO_GAP; }
#if WINO_STRAIGHT
DF_INLINE int64_t wino_w_row(int row) { return row * 6 * WINO_LANES; }
DF_INLINE int64_t wino_w(int f, int64_t step) { return f / 6 * (6 * step) + f % 6 * WINO_LANES; }
#else
DF_INLINE int64_t wino_w_row(int row) { return row * WINO_LANES; }
DF_INLINE int64_t wino_w(int f, int64_t step) { return f * step; }
#endif

/* How many outputs a direction's last tile has, and which of the six points it needs: bit i is the i-th. */
DF_INLINE int wino_outputs(int from, int to, int tiles) { return to - from - 4 * (tiles - 1); }

DF_INLINE int wino_points(int outputs)
{
    static const int points[5] = {0, 046, 047, 076, 077};
    return points[outputs];
}

/* The order of a strip's tiles: so that those that need one frequency follow each other.  First the partial ones of the
 * last column, then the whole ones row by row, then the partial ones of the last row, and the corner. */
typedef struct {
    int rows, cols; /* outputs of the last row of tiles from top to bottom, of the last column from left to right */
    int down, across; /* whole tiles in a column, in a row */
    int right, whole; /* partial tiles of the last column above the corner; whole ones */
    int bottom, all; /* partial tiles of the last row left of the corner; all */
} wino_order;

DF_INLINE wino_order wino_order_of(const df_strip *s)
{
    wino_order o = {.rows = wino_outputs(s->y0, s->y1, s->tiles_y), .cols = wino_outputs(s->x0, s->x1, s->tiles_x)};
    o.down = s->tiles_y - (o.rows < 4);
    o.across = s->tiles_x - (o.cols < 4);
    o.right = o.down * (s->tiles_x - o.across);
    o.whole = o.down * o.across;
    o.bottom = o.across * (s->tiles_y - o.down);
    o.all = s->tiles_y * s->tiles_x;
    return o;
}

/* Row and column of tile t, in tiles. */
DF_INLINE void wino_place(const wino_order *o, int t, int *ty, int *tx)
{
    if (t < o->right) {
        *ty = t;
        *tx = o->across;
    } else if (t < o->right + o->whole) {
        *ty = (t - o->right) / o->across;
        *tx = (t - o->right) % o->across;
    } else {
        *ty = o->down;
        *tx = t - o->right - o->whole;
    }
}

/* The place of tile t, from that of the one before it: without a division for each. */
DF_INLINE void wino_next(const wino_order *o, int t, int *ty, int *tx)
{
    if (t > o->right + o->whole) {
        ++*tx;
    } else if (t == o->right + o->whole) {
        *ty = o->down;
        *tx = 0;
    } else if (t < o->right) {
        ++*ty;
    } else if (t == o->right) {
        *ty = *tx = 0;
    } else if (++*tx == o->across) {
        *tx = 0;
        ++*ty;
    }
}

/* Tiles [*from, *to) have frequency f. */
DF_INLINE void wino_range(const wino_order *o, int f, int *from, int *to)
{
    const bool down = wino_points(o->rows) >> f / 6 & 1, across = wino_points(o->cols) >> f % 6 & 1;
    *from = across ? 0 : o->right;
    *to = !down ? o->right + o->whole : across ? o->all : o->right + o->whole + o->bottom;
}

/* The same, of tiles [t0, t1) and counted from t0, of every frequency. */
DF_INLINE void wino_ranges(const wino_order *o, int t0, int t1, int first[WINO_FREQS], int last[WINO_FREQS])
{
    for (int f = 0; f < WINO_FREQS; f++) {
        wino_range(o, f, &first[f], &last[f]);
        first[f] = first[f] > t0 ? first[f] - t0 : 0;
        last[f] = last[f] < t1 ? last[f] - t0 : t1 - t0;
    }
}

/* Channel blocks whose filters are transformed at a time, from b on. */
DF_INLINE int wino_step_blocks(int b, int blocks) { return blocks - b < WINO_STEP ? blocks - b : WINO_STEP; }

/* The filters transformed after some: of the panel after that one or, `last` of those that take turns, of the next
 * channel blocks of the first; at the end those of the next call.  `from` NULL: there are none, or nobody knows. */
typedef struct {
    const df_filters *from;
    int b, blocks;
} wino_following;

DF_INLINE wino_following wino_after(const df_filters *filters, int p, int panels, int b, int blocks)
{
    const int next = b + wino_step_blocks(b, blocks);
    if (p + 1 < panels)
        return (wino_following){&filters[p + 1], b, next - b};
    if (next < blocks)
        return (wino_following){filters, next, wino_step_blocks(next, blocks)};
    return (wino_following){filters[p].next, 0, wino_step_blocks(0, blocks)};
}

/* Tiles of the next block, of n that are left: the last two blocks share theirs. */
DF_INLINE int wino_tiles(int n) { return n > 2 * WINO_TILES ? WINO_TILES : n > WINO_TILES ? (n + 1) / 2 : n; }

#pragma GCC visibility push(hidden)

/* The input transform, where u begins with channel block `base`, the first of its panel. */
void DF_NAME(wino_input_from)(const df_conv *c, const df_view *in, const df_strip *s, int b0, int b1, int t0, int t1,
                              int base, float *u);

/* Channel blocks [b, b + blocks) of one panel's filters, at most WINO_STEP, of its outputs [out, out + WINO_OUTS), to
 * w: (36: wino_w_step, WINO_OUTS / WINO_LANES, 16 * blocks, WINO_LANES). */
void DF_NAME(wino_filter)(const df_filters *filters, int in_c, int b, int blocks, int out, float *w);

/* Products of all frequencies with the same filters.  Frequency f: m (tiles, 32), WINO_OUTS of each, = or += u
 * (blocks, tiles, 16) times w (WINO_OUTS / WINO_LANES, 16 * blocks, WINO_LANES), of tiles [first[f], last[f]).
 * Meanwhile the filters `ahead`, of channel blocks [ahead_b, ahead_b + ahead_blocks), are brought near, `part` of
 * DF_PANEL / WINO_OUTS parts of them; NULL: nobody knows any. */
typedef struct {
    const float *u;       /* tile 0 of frequency 0 */
    int64_t u_step, next; /* floats from frequency to frequency, from channel block to channel block */
    const float *w;
    int64_t w_step;
    float *m;
    int64_t m_step;
    const int *first, *last;
    int blocks;
    bool add;
    const df_filters *ahead;
    int ahead_b, ahead_blocks, part;
} wino_job;
void DF_NAME(wino_products)(const wino_job *j);

/* Tiles [t0, t1) of the strip's order, output channels [first, first + channels), multiples of 16: A^T m A, bias,
 * activation and pooling of m (36: wino_m_step, t1 - t0, 32), whose channels begin with the first, into out. */
void DF_NAME(wino_output)(const df_conv *c, const df_view *out, const df_strip *s, const float *m, const float *bias,
                          int first, int channels, int t0, int t1);

#pragma GCC visibility pop

#endif
