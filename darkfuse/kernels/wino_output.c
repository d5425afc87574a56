/* The last third of Winograd: A^T m A of every tile, bias, activation, pooling, and stores that respect the
 * region's edges. */
#include "wino.h"

/* What sums and differences of +-p and of +-r are multiplied by: powers 0 .. 3 of the points, over -3/2 for +-p and over 6
 * for +-r.  Lanes of two registers: of a register each they would leave too few. */
typedef struct {
    vf even, odd; /* powers 0 and 2; 1 and 3 */
} factors;

DF_INLINE factors factors_of_four(void)
{
    const float np = -2.0f / 3, nr = 1.0f / 6 / WINO_R_ROW;
    return (factors){{np, nr, np * 0.5f, nr * 2.0f},
                     {np * WINO_P, nr * WINO_R, np * 0.5f * WINO_P, nr * 2.0f * WINO_R}};
}

/* One dimension of A^T.  Sums carry the even powers, differences the odd ones. */
DF_INLINE void a_column(const factors *n, vf m0, vf m1, vf m2, vf m3, vf m4, vf m5, vf y[4])
{
    vf ps = m1 + m2, pd = m1 - m2, rs = m3 + m4, rd = m3 - m4;
    y[0] = (m0 + n->even[0] * ps) + n->even[1] * rs;
    y[1] = n->odd[0] * pd + n->odd[1] * rd;
    y[2] = n->even[2] * ps + n->even[3] * rs;
    y[3] = (n->odd[2] * pd + m5) + n->odd[3] * rd;
}

/* What to do with a finished tile: y = max(slope * x, x) of every output, the larger of each 2x2 cell where
 * pooled, at the four (two) rows of `to`, 16 floats from column to column. */
typedef struct {
    float *to[4];
    float slope;
    bool pooled;
} finish;

/* m: (36: step, lanes), the first of these `lane` of 16 */
DF_INLINE void tile(const float *m, int64_t step, vf bias, const finish *f, int lane)
{
    __asm__("" : "+r"(m)); /* or GCC keeps 36 running addresses, in memory */
    factors n = factors_of_four();
#ifdef __aarch64__
    __asm__("" : "+w"(n.even), "+w"(n.odd)); /* or each is a register of its own */
#endif
    vf t[4][6];
#pragma GCC unroll 6
    for (int j = 0; j < 6; j++, m += step) {
        vf column[4];
        a_column(&n, vf_load(m), vf_load(m + 6 * step), vf_load(m + 12 * step), vf_load(m + 18 * step),
                 vf_load(m + 24 * step), vf_load(m + 30 * step), column);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            t[i][j] = column[i];
    }
    vf above[2] = {vf_zero(), vf_zero()};
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        vf y[4];
        a_column(&n, t[i][0], t[i][1], t[i][2], t[i][3], t[i][4], t[i][5], y);
        const bool pool_first = DF_POOL_FIRST && f->pooled;
#pragma GCC unroll 4
        for (int j = 0; j < 4 && !pool_first; j++)
            y[j] = act_sloped(y[j] + bias, f->slope);
        if (!f->pooled) {
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++)
                vf_store(f->to[i] + lane + j * DF_CB, y[j]);
        } else if (i % 2 == 0) {
            above[0] = vf_max(y[0], y[1]);
            above[1] = vf_max(y[2], y[3]);
        } else {
#pragma GCC unroll 2
            for (int j = 0; j < 2; j++) {
                const vf most = vf_max(above[j], vf_max(y[2 * j], y[2 * j + 1]));
                if (pool_first)
                    vf_store(f->to[i / 2] + lane + j * DF_CB, act_sloped(most + bias, f->slope));
                else
                    vf_store(f->to[i / 2] + lane + j * DF_CB, most);
            }
        }
    }
}

/* A function of its own: beside the calls for partial tiles GCC would spill more. */
static __attribute__((noinline)) void whole(const float *m, int64_t step, const float *bias, const finish *f)
{
    for (int lane = 0; lane < DF_CB; lane += DF_VL)
        tile(m + lane, step, vf_load(bias + lane), f, lane);
}

/* One dimension of A^T for fewer outputs, of the points they need. */
DF_INLINE void a_fewer(const int outputs, const vf m[6], vf y[4])
{
    if (outputs == 4) {
        const factors n = factors_of_four();
        a_column(&n, m[0], m[1], m[2], m[3], m[4], m[5], y);
    } else if (outputs == 3) {
        const float third = 1.0f / 3, nr = third / WINO_R_ROW;
        vf ps = m[1] + m[2], pd = m[1] - m[2], rs = m[3] + m[4], rd = m[3] - m[4];
        y[0] = (nr * 0.5f * WINO_R) * rd - (third * 2.0f * WINO_P) * pd;
        y[1] = nr * rs - third * ps;
        y[2] = ((nr * WINO_R) * rd - (third * WINO_P) * pd) + m[5];
    } else if (outputs == 2) {
        y[0] = (m[1] + m[2]) - 2.0f * m[0];
        y[1] = WINO_P * (m[1] - m[2]) + m[5];
    } else {
        y[0] = WINO_P * (m[1] - m[2]) + m[5];
    }
}

/* A tile of rows x cols outputs to y, bias added. */
DF_INLINE void fewer(const float *m, int64_t step, const int rows, const int cols, vf bias, float y[4][4 * DF_CB])
{
    const int down = wino_points(rows), across = wino_points(cols);
    vf t[4][6], column[6], out[4];
#pragma GCC unroll 6
    for (int j = 0; j < 6; j++) {
        if (!(across >> j & 1))
            continue;
#pragma GCC unroll 6
        for (int i = 0; i < 6; i++)
            if (down >> i & 1)
                column[i] = vf_load(m + (6 * i + j) * step);
        a_fewer(rows, column, out);
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++)
            t[i][j] = out[i];
    }
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++) {
        a_fewer(cols, t[i], out);
#pragma GCC unroll 4
        for (int j = 0; j < cols; j++)
            vf_store(y[i] + j * DF_CB, out[j] + bias);
    }
}

/* A function for each shape: [rows - 1][cols - 1]. */
typedef void fewer_fn(const float *m, int64_t step, vf bias, float y[4][4 * DF_CB]);
/* clang-format off */
#define FEWER(rows, cols) \
    static void fewer_##rows##x##cols(const float *m, int64_t step, vf bias, float y[4][4 * DF_CB]) \
    { \
        fewer(m, step, rows, cols, bias, y); \
    }
#define FEWER_ROW(rows) FEWER(rows, 1) FEWER(rows, 2) FEWER(rows, 3) FEWER(rows, 4)
FEWER_ROW(1) FEWER_ROW(2) FEWER_ROW(3) FEWER_ROW(4)
#define FEWER_NAMES(rows) {fewer_##rows##x1, fewer_##rows##x2, fewer_##rows##x3, fewer_##rows##x4}
static fewer_fn *const fewer_of[4][4] = {FEWER_NAMES(1), FEWER_NAMES(2), FEWER_NAMES(3), FEWER_NAMES(4)};
/* clang-format on */

/* The outputs of a tile, from y (4, 4, 16): activations that are not worth
 * a place in the fast path, pooling of what there is, stores.  Padded channels stay zero: logistic(0) is not. */
static __attribute__((noinline)) void partial(float y[4][4 * DF_CB], int rows, int cols, int kind, vi real, bool pooled,
                                              float *const to[4])
{
    int cell = pooled ? 2 : 1;
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < cols; j++)
            vf_store(y[i] + j * DF_CB, vf_select(real, act(vf_load(y[i] + j * DF_CB), kind), vf_zero()));
    for (int i = 0; i < rows; i += cell)
        for (int j = 0; j < cols; j += cell) {
            vf v = vf_load(y[i] + j * DF_CB);
            for (int k = 1; k < cell * cell; k++)
                if (i + k / 2 < rows && j + k % 2 < cols)
                    v = vf_max(v, vf_load(y[i + k / 2] + (j + k % 2) * DF_CB));
            vf_store(to[i / cell] + j / cell * DF_CB, v);
        }
}

void DF_NAME(wino_output)(const df_conv *c, const df_view *out, const df_strip *s, const float *m, const float *bias,
                          int first, int channels, int t0, int t1)
{
    const wino_order order = wino_order_of(s);
    int64_t step = wino_m_step(t1 - t0);
    int cell = c->pool ? 2 : 1;
    bool sloped = act_is_slope(c->act);
    float buffer[4][4 * DF_CB];
    finish straight = {
        .to = {buffer[0], buffer[0], buffer[0], buffer[0]}, .slope = act_slope(c->act), .pooled = c->pool};

    for (int oc = first; oc < first + channels; oc += DF_CB) {
        int block = oc / DF_CB;
        if (oc >= c->out_c || block >= out->blocks)
            return;
        int ty, tx, before = -1; /* the row of tiles that `line` is of */
        float *line[4] = {buffer[0], buffer[0], buffer[0], buffer[0]};
        wino_place(&order, t0, &ty, &tx);
        const float *at = m + oc - first;
        for (int t = t0; t < t1; at += DF_PANEL, wino_next(&order, ++t, &ty, &tx)) {
            int rows = ty < order.down ? 4 : order.rows, cols = tx < order.across ? 4 : order.cols;
            int y = s->y0 + 4 * ty, x = (s->x0 + 4 * tx) >> (cell - 1);
            bool fast = sloped && rows == 4 && cols == 4;
            for (int i = 0; i < rows && ty != before; i += cell)
                line[i >> (cell - 1)] = df_pixel(out, (y + i) >> (cell - 1), block, out->x0);
            before = ty;
            for (int i = 0; i < 4; i++)
                straight.to[i] = line[i] + (int64_t)(x - out->x0) * DF_CB;
            if (fast) {
                whole(at, step, bias + oc, &straight);
                continue;
            }
            for (int lane = 0; lane < DF_CB; lane += DF_VL) {
                fewer_of[rows - 1][cols - 1](at + lane, step, vf_load(bias + oc + lane), buffer);
                partial(buffer, rows, cols, c->act, vi_first(c->out_c - oc - lane), c->pool, straight.to);
                for (int i = 0; i < 4; i++)
                    straight.to[i] += DF_VL;
            }
        }
    }
}
