/* The last third of Winograd: A^T m A of every tile, bias, activation, pooling, and stores that respect the
 * region's edges. */
#include "wino.h"

/* One dimension of A^T with the divisors N folded in: powers 0 .. 3 of the points, over -3/2 for +-p and over
 * 6 for +-r.  Sums carry the even powers, differences the odd ones. */
DF_INLINE void a_column(vf m0, vf m1, vf m2, vf m3, vf m4, vf m5, vf y[4])
{
    const float np = -2.0f / 3, nr = 1.0f / 6;
    vf ps = m1 + m2, pd = m1 - m2, rs = m3 + m4, rd = m3 - m4;
    y[0] = (m0 + np * ps) + nr * rs;
    y[1] = (np * WINO_P) * pd + (nr * WINO_R) * rd;
    y[2] = (np * 0.5f) * ps + (nr * 2.0f) * rs;
    y[3] = ((np * 0.5f * WINO_P) * pd + m5) + (nr * 2.0f * WINO_R) * rd;
}

/* m: (36: step, lanes) to y: (4, 4) registers */
DF_INLINE void transform_tile(const float *m, int64_t step, vf bias, vf y[16])
{
    vf t[4][6];
#pragma GCC unroll 6
    for (int j = 0; j < 6; j++) {
        const float *f = m + j * step;
        vf column[4];
        a_column(vf_load(f), vf_load(f + 6 * step), vf_load(f + 12 * step), vf_load(f + 18 * step),
                 vf_load(f + 24 * step), vf_load(f + 30 * step), column);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            t[i][j] = column[i];
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        a_column(t[i][0], t[i][1], t[i][2], t[i][3], t[i][4], t[i][5], y + 4 * i);
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++)
            y[4 * i + j] += bias;
    }
}

/* Activations that are not worth a place in the loop.  Padded channels stay zero: logistic(0) is not. */
static __attribute__((noinline)) void curved(vf y[16], int kind, vi real)
{
    for (int i = 0; i < 16; i++)
        y[i] = vf_select(real, act(y[i], kind), vf_zero());
}

/* Where a tile goes: `rows` x `cols` of its 4x4 outputs lie in the region. */
typedef struct {
    float *at[4];
    int rows, cols;
} place;

/* The maximum of each 2x2 cell of the tile, of what lies in the region. */
DF_INLINE void store_pooled(const vf y[16], const place *p)
{
    for (int i = 0; i < p->rows; i += 2)
        for (int j = 0; j < p->cols; j += 2) {
            vf v = y[4 * i + j];
            if (j + 1 < p->cols)
                v = vf_max(v, y[4 * i + j + 1]);
            if (i + 1 < p->rows) {
                v = vf_max(v, y[4 * i + 4 + j]);
                if (j + 1 < p->cols)
                    v = vf_max(v, y[4 * i + 4 + j + 1]);
            }
            vf_store(p->at[i / 2] + j / 2 * DF_CB, v);
        }
}

DF_INLINE void store_tile(const vf y[16], const place *p)
{
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        if (i >= p->rows)
            return;
        vf_store(p->at[i], y[4 * i]);
        if (p->cols > 1)
            vf_store(p->at[i] + DF_CB, y[4 * i + 1]);
        if (p->cols > 2)
            vf_store(p->at[i] + 2 * DF_CB, y[4 * i + 2]);
        if (p->cols > 3)
            vf_store(p->at[i] + 3 * DF_CB, y[4 * i + 3]);
    }
}

void DF_NAME(wino_output)(const df_conv *c, const df_view *out, const df_strip *s, const float *m,
                          const float *bias, int panel, int t0, int t1)
{
    int64_t step = wino_m_step(t1 - t0);
    int pool = c->pool ? 2 : 1, sloped = act_is_slope(c->act);
    float slope = act_slope(c->act);
    for (int half = 0; half < DF_PANEL; half += DF_CB) {
        int oc = panel * DF_PANEL + half, block = oc / DF_CB;
        if (oc >= c->out_c || block >= out->blocks)
            return;
        for (int lane = 0; lane < DF_CB; lane += DF_VL) {
            vf b = vf_load(bias + oc + lane);
            vi real = vi_first(c->out_c - oc - lane);
            for (int t = t0; t < t1; t++) {
                int y = s->y0 + t / s->tiles_x * 4, x = s->x0 + t % s->tiles_x * 4;
                place p = {.rows = s->y1 - y < 4 ? s->y1 - y : 4, .cols = s->x1 - x < 4 ? s->x1 - x : 4};
                for (int i = 0; i < p.rows; i += pool)
                    p.at[i / pool] = df_pixel(out, (y + i) / pool, block, x / pool) + lane;
                vf v[16];
                transform_tile(m + (int64_t)(t - t0) * DF_PANEL + half + lane, step, b, v);
                if (sloped)
#pragma GCC unroll 16
                    for (int i = 0; i < 16; i++)
                        v[i] = act_sloped(v[i], slope);
                else
                    curved(v, c->act, real);
                if (c->pool)
                    store_pooled(v, &p);
                else
                    store_tile(v, &p);
            }
        }
    }
}
