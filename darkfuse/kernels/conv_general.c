/* Any convolution, groups and depthwise included, over either layout.  Weights of a panel: (ic of the group,
 * kh, kw, 32).  Sums run over (ic, kh, kw), rows outside the map skipped. */
#include "panel.h"

#define PIXELS 4

typedef struct {
    const df_conv *c;
    const df_view *in;
    const float *w; /* panel, at these lanes */
    int per_group;  /* input channels of one group */
    int first[DF_VL]; /* first input channel of each lane's group */
    int one_group;  /* all lanes read the same group */
    int depthwise;  /* lane l reads channel first[0] + l: one vector of one block */
} lanes_job;

/* Float of channel ch at (row y, column x); y inside the map, x inside what is stored. */
DF_INLINE const float *channel_at(const df_view *v, int y, int ch, int x)
{
    return df_pixel(v, y, ch / DF_CB, x) + ch % DF_CB;
}

/* n <= PIXELS pixels of DF_VL output channels */
static void general_tile(const lanes_job *g, int y, int x, int n, vf acc[PIXELS])
{
    const df_conv *c = g->c;
    const df_view *in = g->in;
    const int64_t step = (int64_t)c->stride * in->pixel;
    for (int p = 0; p < n; p++)
        acc[p] = vf_zero();
    for (int i = 0; i < g->per_group; i++)
        for (int k = 0; k < c->size; k++) {
            const int row = y * c->stride - c->pad + k * c->dilation;
            if (row < 0 || row >= in->height)
                continue;
            for (int t = 0; t < c->size; t++) {
                const int col = x * c->stride - c->pad + t * c->dilation;
                const vf f = vf_load(g->w + ((int64_t)(i * c->size + k) * c->size + t) * DF_PANEL);
                const float *a = channel_at(in, row, g->first[0] + i, col);
                if (g->depthwise) {
                    for (int p = 0; p < n; p++)
                        acc[p] += vf_load(a + p * step) * f;
                } else if (g->one_group) {
                    for (int p = 0; p < n; p++)
                        acc[p] += vf_set(a[p * step]) * f;
                } else {
                    for (int p = 0; p < n; p++) {
                        vf v;
                        for (int l = 0; l < DF_VL; l++)
                            v[l] = channel_at(in, row, g->first[l] + i, col)[p * step];
                        acc[p] += v * f;
                    }
                }
            }
        }
}

static void general_strip(const panel_job *j, const df_view *dst, int block, int y0, int y1, int x0, int x1)
{
    const df_conv *c = j->c;
    const int out_group = c->out_c / c->groups;
    lanes_job g = {.c = c, .in = j->in, .per_group = c->in_c / c->groups};
    for (int l = 0; l < j->lanes; l += DF_VL) {
        const int oc = j->panel * DF_PANEL + l;
        g.w = j->w + l;
        for (int i = 0; i < DF_VL; i++) /* lanes past out_c have zero weights: any channel will do */
            g.first[i] = least(oc + i, c->out_c - 1) / out_group * g.per_group;
        g.one_group = g.first[0] == g.first[DF_VL - 1];
        g.depthwise = g.per_group == 1 && out_group == 1 && j->in->pixel == DF_CB;
        const vf bias = vf_load(j->bias + l);
        for (int y = y0; y < y1; y++)
            for (int x = x0; x < x1; x += PIXELS) {
                vf acc[PIXELS];
                const int n = least(PIXELS, x1 - x);
                general_tile(&g, y, x, n, acc);
                float *o = df_pixel(dst, y, block + l / DF_CB, x) + l % DF_CB;
                for (int p = 0; p < n; p++)
                    vf_store(o + p * DF_CB, act_sloped(acc[p] + bias, j->slope));
            }
    }
}

void DF_NAME(conv_general)(const df_conv *c, const df_view *in, const df_view *out, const float *packed,
                  const float *bias, int panel, int y0, int y1, int x0, int x1)
{
    run_panel(general_strip, PIXELS, STRIP_WHOLE, c, in, out, packed, bias, panel, y0, y1, x0,
              x1);
}
