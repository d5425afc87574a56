/* The last third of Winograd: A^T m A of every tile, bias, activation, pooling, and stores that respect the
 * region's edges. */
#include "wino.h"

/* One dimension of A^T with the divisors N folded in: powers 0 .. 3 of the points, over -3/2 for +-p and over
 * 6 for +-r.  Sums carry the even powers, differences the odd ones. */
DF_INLINE void a_column(vf m0, vf m1, vf m2, vf m3, vf m4, vf m5, vf y[4])
{
    const float np = -2.0f / 3, nr = 1.0f / 6 / WINO_R_ROW;
    vf ps = m1 + m2, pd = m1 - m2, rs = m3 + m4, rd = m3 - m4;
    y[0] = (m0 + np * ps) + nr * rs;
    y[1] = (np * WINO_P) * pd + (nr * WINO_R) * rd;
    y[2] = (np * 0.5f) * ps + (nr * 2.0f) * rs;
    y[3] = ((np * 0.5f * WINO_P) * pd + m5) + (nr * 2.0f * WINO_R) * rd;
}

/* What to do with a finished tile: y = max(slope * x, x) of every output, the larger of each 2x2 cell where
 * pooled, at the four (two) rows of `to`, 16 floats from column to column. */
typedef struct {
    float *to[4];
    float slope;
    bool pooled;
} finish;

/* m: (36: step, lanes) */
DF_INLINE void tile(const float *m, int64_t step, vf bias, const finish *f)
{
    __asm__("" : "+r"(m)); /* or GCC keeps 36 running addresses, in memory */
    vf t[4][6];
#pragma GCC unroll 6
    for (int j = 0; j < 6; j++, m += step) {
        vf column[4];
        a_column(vf_load(m), vf_load(m + 6 * step), vf_load(m + 12 * step), vf_load(m + 18 * step),
                 vf_load(m + 24 * step), vf_load(m + 30 * step), column);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            t[i][j] = column[i];
    }
    vf above[2] = {vf_zero(), vf_zero()};
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        vf y[4];
        a_column(t[i][0], t[i][1], t[i][2], t[i][3], t[i][4], t[i][5], y);
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++)
            y[j] = act_sloped(y[j] + bias, f->slope);
        if (!f->pooled) {
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++)
                vf_store(f->to[i] + j * DF_CB, y[j]);
        } else if (i % 2 == 0) {
            above[0] = vf_max(y[0], y[1]);
            above[1] = vf_max(y[2], y[3]);
        } else {
            vf_store(f->to[i / 2], vf_max(above[0], vf_max(y[0], y[1])));
            vf_store(f->to[i / 2] + DF_CB, vf_max(above[1], vf_max(y[2], y[3])));
        }
    }
}

/* The rows and columns of a 4x4 tile that lie in the region, from y (4, 4, 16): activations that are not worth
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
                          int panel, int t0, int t1)
{
    int64_t step = wino_m_step(t1 - t0);
    int cell = c->pool ? 2 : 1;
    bool sloped = act_is_slope(c->act);
    float buffer[4][4 * DF_CB];
    finish straight = {.slope = act_slope(c->act), .pooled = c->pool};
    finish buffered = {.to = {buffer[0], buffer[1], buffer[2], buffer[3]}, .slope = 1.0f};

    for (int half = 0; half < DF_PANEL; half += DF_CB) {
        int oc = panel * DF_PANEL + half, block = oc / DF_CB;
        if (oc >= c->out_c || block >= out->blocks)
            return;
        for (int t = t0; t < t1; t++) {
            const float *at = m + (int64_t)(t - t0) * DF_PANEL + half;
            int y = s->y0 + t / s->tiles_x * 4, x = s->x0 + t % s->tiles_x * 4;
            int rows = s->y1 - y < 4 ? s->y1 - y : 4, cols = s->x1 - x < 4 ? s->x1 - x : 4;
            bool fast = sloped && rows == 4 && cols == 4;
            for (int lane = 0; lane < DF_CB; lane += DF_VL) {
                for (int i = 0; i < rows; i += cell)
                    straight.to[i / cell] = df_pixel(out, (y + i) / cell, block, x / cell) + lane;
                vf b = vf_load(bias + oc + lane);
                tile(at + lane, step, b, fast ? &straight : &buffered);
                if (!fast)
                    partial(buffer, rows, cols, c->act, vi_first(c->out_c - oc - lane), c->pool, straight.to);
            }
        }
    }
}
