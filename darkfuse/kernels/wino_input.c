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

static int min_int(int a, int b) { return a < b ? a : b; }
static int max_int(int a, int b) { return a > b ? a : b; }

void DF_NAME(wino_input)(const df_conv *c, const df_view *in, const df_strip *s, int b0, int b1, float *u)
{
    static const float zeros[6 * DF_CB];
    int tiles = s->tiles_y * s->tiles_x, blocks = (c->in_c + DF_CB - 1) / DF_CB;

    /* What the region's outputs depend on and the view stores; all the rest of a patch is taken as zero, as
     * stale floats there would reach the outputs through rounding. */
    int top = max_int(s->y0 - c->pad, 0), bottom = min_int(s->y1 - c->pad + 2, in->height);
    int left = max_int(s->x0 - c->pad, in->x0);
    int right = min_int(s->x1 - c->pad + 2, in->x0 + in->cols);

    for (int b = b0; b < b1; b++) {
        int64_t step = wino_u_step(b, blocks, tiles);
        float *to = u + wino_u(b, tiles); /* (36: step, tiles, 16) */
        for (int ty = 0; ty < s->tiles_y; ty++) {
            int y = s->y0 + 4 * ty - c->pad;
            const float *row[6]; /* at column `left`; NULL: zeros */
            for (int i = 0; i < 6; i++)
                row[i] = y + i >= top && y + i < bottom ? df_pixel(in, y + i, b, left) : NULL;

            for (int tx = 0; tx < s->tiles_x; tx++, to += DF_CB) {
                int x = s->x0 + 4 * tx - c->pad, from = max_int(x, left), end = min_int(x + 6, right);
                int64_t offset = (int64_t)(from - left) * DF_CB;
                float edge[6][6 * DF_CB];
                const float *d[6];
                for (int i = 0; i < 6; i++)
                    d[i] = row[i] ? row[i] + offset : zeros;
                if (end - from < 6)
                    for (int i = 0; i < 6; i++) {
                        memset(edge[i], 0, sizeof edge[i]);
                        if (row[i] && from < end)
                            memcpy(edge[i] + (from - x) * DF_CB, d[i], (size_t)(end - from) * DF_CB * sizeof(float));
                        d[i] = edge[i];
                    }
                transform_patch(d, to, step);
            }
        }
    }
}
