/* Winograd phase 1: B^T d B of every 6x6 input patch of a strip, 16 channels at a time. */
#include "wino.h"

/* One dimension of B^T; pair(q, a) gives the rows of the points +-a, q being the other pair's square. */
DF_INLINE vf bt_single(vf d0, vf d2, vf d4) { return (d0 + d4) - 2.5f * d2; }

DF_INLINE void bt_pair(vf d1, vf d2, vf d3, vf d4, float q, float a, vf *plus, vf *minus)
{
    vf even = d4 - q * d2, odd = d3 - q * d1;
    *plus = even + a * odd;
    *minus = even - a * odd;
}

/* One row of B^T d, then all six columns: frequencies 6 * row + 0 .. 5. */
DF_INLINE void store_row(const vf t[6], float *u, int64_t step)
{
    vf plus, minus;
    vf_store(u, bt_single(t[0], t[2], t[4]));
    bt_pair(t[1], t[2], t[3], t[4], 2.0f, WINO_P, &plus, &minus);
    vf_store(u + step, plus);
    vf_store(u + 2 * step, minus);
    bt_pair(t[1], t[2], t[3], t[4], 0.5f, WINO_R, &plus, &minus);
    vf_store(u + 3 * step, plus);
    vf_store(u + 4 * step, minus);
    vf_store(u + 5 * step, bt_single(t[1], t[3], t[5]));
}

DF_INLINE void single_row(const float *d0, const float *d2, const float *d4, float *u, int64_t step)
{
    vf t[6];
#pragma GCC unroll 6
    for (int j = 0; j < 6; j++)
        t[j] = bt_single(vf_load(d0 + j * DF_CB), vf_load(d2 + j * DF_CB), vf_load(d4 + j * DF_CB));
    store_row(t, u, step);
}

DF_INLINE void pair_of_rows(const float *const d[6], float q, float a, float *u, int64_t step)
{
    vf plus[6], minus[6];
#pragma GCC unroll 6
    for (int j = 0; j < 6; j++) {
        int x = j * DF_CB;
        bt_pair(vf_load(d[1] + x), vf_load(d[2] + x), vf_load(d[3] + x), vf_load(d[4] + x), q, a, &plus[j], &minus[j]);
    }
    store_row(plus, u, step);
    store_row(minus, u + 6 * step, step);
}

/* d: six rows of (6, 16).  Rows are read again for each pair of points: the loads are cheaper than keeping
 * 36 intermediate registers. */
static void transform_patch(const float *const d[6], float *u, int64_t step)
{
    for (int lane = 0; lane < DF_CB; lane += DF_VL) {
        const float *r[6];
        for (int i = 0; i < 6; i++)
            r[i] = d[i] + lane;
        single_row(r[0], r[2], r[4], u + lane, step);
        pair_of_rows(r, 2.0f, WINO_P, u + lane + 6 * step, step);
        pair_of_rows(r, 0.5f, WINO_R, u + lane + 18 * step, step);
        single_row(r[1], r[3], r[5], u + lane + 30 * step, step);
    }
}

/* One dimension of B^T for fewer outputs; d: outputs + 2 inputs, out: those of the points they need. */
DF_INLINE void bt_fewer(const int outputs, const vf *d, vf out[6])
{
    if (outputs == 4) {
        out[0] = bt_single(d[0], d[2], d[4]);
        bt_pair(d[1], d[2], d[3], d[4], 2.0f, WINO_P, &out[1], &out[2]);
        bt_pair(d[1], d[2], d[3], d[4], 0.5f, WINO_R, &out[3], &out[4]);
        out[5] = bt_single(d[1], d[3], d[5]);
    } else if (outputs == 3) {
        bt_pair(d[0], d[1], d[2], d[3], 2.0f, WINO_P, &out[1], &out[2]);
        bt_pair(d[0], d[1], d[2], d[3], 0.5f, WINO_R, &out[3], &out[4]);
        out[5] = bt_single(d[0], d[2], d[4]);
    } else {
        const vf *last = d + outputs - 1;
        if (outputs == 2)
            out[0] = d[2] - 0.5f * d[0];
        out[1] = last[1] + WINO_P * last[0];
        out[2] = last[1] - WINO_P * last[0];
        out[5] = last[2] - 0.5f * last[0];
    }
}

/* d: rows + 2 rows of (cols + 2, 16), of a tile of rows x cols outputs */
DF_INLINE void fewer(const float *const d[6], const int rows, const int cols, float *u, int64_t step)
{
    const int down = wino_points(rows), across = wino_points(cols);
    for (int lane = 0; lane < DF_CB; lane += DF_VL) {
        vf t[6][6], column[6], row[6];
#pragma GCC unroll 6
        for (int j = 0; j < cols + 2; j++) {
#pragma GCC unroll 6
            for (int i = 0; i < rows + 2; i++)
                column[i] = vf_load(d[i] + j * DF_CB + lane);
            bt_fewer(rows, column, row);
#pragma GCC unroll 6
            for (int i = 0; i < 6; i++)
                if (down >> i & 1)
                    t[i][j] = row[i];
        }
#pragma GCC unroll 6
        for (int i = 0; i < 6; i++) {
            if (!(down >> i & 1))
                continue;
            bt_fewer(cols, t[i], row);
#pragma GCC unroll 6
            for (int j = 0; j < 6; j++)
                if (across >> j & 1)
                    vf_store(u + lane + (6 * i + j) * step, row[j]);
        }
    }
}

/* A function for each shape of a partial tile: [rows - 1][cols - 1]. */
typedef void fewer_fn(const float *const d[6], float *u, int64_t step);
/* clang-format off */
#define FEWER(rows, cols) \
    static void fewer_##rows##x##cols(const float *const d[6], float *u, int64_t step) \
    { \
        fewer(d, rows, cols, u, step); \
    }
#define FEWER_ROW(rows) FEWER(rows, 1) FEWER(rows, 2) FEWER(rows, 3)
FEWER_ROW(1) FEWER_ROW(2) FEWER_ROW(3) FEWER_ROW(4) FEWER(1, 4) FEWER(2, 4) FEWER(3, 4)
#define FEWER_NAMES(rows) fewer_##rows##x1, fewer_##rows##x2, fewer_##rows##x3
static fewer_fn *const fewer_of[4][4] = {
    {FEWER_NAMES(1), fewer_1x4}, {FEWER_NAMES(2), fewer_2x4},
    {FEWER_NAMES(3), fewer_3x4}, {FEWER_NAMES(4), transform_patch}};
/* clang-format on */

/* Columns [from, end) of a row of `count`, and zeros around them. By hand: calls for so few bytes cost more than the
 * rest of the transform. */
DF_INLINE void edge_row(float *to, const float *row, int from, int end, int count)
{
    for (int j = 0; j < count; j++, to += DF_CB)
        for (int lane = 0; lane < DF_CB; lane += DF_VL)
            vf_store(to + lane, j >= from && j < end ? vf_load(row + (j - from) * DF_CB + lane) : vf_zero());
}

static int min_int(int a, int b) { return a < b ? a : b; }
static int max_int(int a, int b) { return a > b ? a : b; }

void DF_NAME(wino_input)(const df_conv *c, const df_view *in, const df_strip *s, int b0, int b1, int t0, int t1,
                         float *u)
{
    DF_NAME(wino_input_from)(c, in, s, b0, b1, t0, t1, 0, u);
}

void DF_NAME(wino_input_from)(const df_conv *c, const df_view *in, const df_strip *s, int b0, int b1, int t0, int t1,
                              int base, float *u)
{
    static const float zeros[6 * DF_CB];
    const wino_order order = wino_order_of(s);
    int tiles = order.all, blocks = (c->in_c + DF_CB - 1) / DF_CB;

    /* What the region's outputs depend on and the view stores; all the rest of a patch is taken as zero, as
     * stale floats there would reach the outputs through rounding. */
    int top = max_int(s->y0 - c->pad, 0), bottom = min_int(s->y1 - c->pad + 2, in->height);
    int left = max_int(s->x0 - c->pad, in->x0);
    int right = min_int(s->x1 - c->pad + 2, in->x0 + in->cols);

    for (int b = b0; b < b1; b++) {
        int64_t step = wino_u_step(b, blocks, tiles);
        float *to = u + wino_u(b, tiles) - wino_u(base, tiles) + (int64_t)t0 * DF_CB; /* (36: step, tiles, 16) */
        int ty, tx, before = -1; /* the row of tiles that `line` is of */
        const float *line[6];
        wino_place(&order, t0, &ty, &tx);
        for (int t = t0; t < t1; t++, to += DF_CB) {
            if (t > t0)
                wino_next(&order, t, &ty, &tx);
            int rows = ty < order.down ? 4 : order.rows, cols = tx < order.across ? 4 : order.cols;
            int y = s->y0 + 4 * ty - c->pad, x = s->x0 + 4 * tx - c->pad;
            int from = max_int(x, left), end = min_int(x + cols + 2, right);
            float edge[6][6 * DF_CB];
            const float *d[6];
            for (int i = 0; i < rows + 2 && ty != before; i++)
                line[i] = y + i >= top && y + i < bottom ? df_pixel(in, y + i, b, in->x0) : NULL;
            before = ty;
            for (int i = 0; i < rows + 2; i++) {
                bool there = line[i] && from < end;
                d[i] = there ? line[i] + (int64_t)(from - in->x0) * DF_CB : zeros;
                if (end - from < cols + 2) {
                    edge_row(edge[i], d[i], there ? from - x : cols + 2, there ? end - x : cols + 2, cols + 2);
                    d[i] = edge[i];
                }
            }
            fewer_of[rows - 1][cols - 1](d, to, step);
        }
    }
}
