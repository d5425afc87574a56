/* Any convolution, groups and depthwise included, over either layout.  Weights of a panel: (ic of the group,
 * kh, kw, 32).  Sums run over (kh, ic, kw), rows outside the map skipped. */
#include "panel.h"

#define PIXELS 8

/* How the lanes of one vector of output channels read the input. */
enum reading {
    EACH_ITS_OWN, /* depthwise: lane l reads channel first[0] + l, one vector of one block */
    ALL_THE_SAME, /* one group: one channel, broadcast */
    GATHERED,     /* groups narrower than a vector: lane by lane */
};

typedef struct {
    const df_conv *c;
    const df_view *in;
    const float *w;    /* panel, at these lanes */
    vf bias;
    float slope;
    int per_group;     /* input channels of one group */
    int first[DF_VL];  /* first input channel of each lane's group */
} lanes_job;

/* Floats from a row's start to channel ch of its stored column 0. */
DF_INLINE int64_t channel(const df_view *v, int ch) { return (int64_t)(ch / DF_CB) * v->cols * v->pixel + ch % DF_CB; }

/* `pixels` pixels of DF_VL output channels, from (y, x) on */
DF_INLINE void general_tile(const lanes_job *g, const enum reading how, const int pixels, int y, int x, float *out)
{
    const df_conv *c = g->c;
    const df_view *in = g->in;
    const int stride_x = c->stride_x ? c->stride_x : c->stride;
    const int64_t step = (int64_t)stride_x * in->pixel;
    vf acc[PIXELS];
#pragma GCC unroll 8
    for (int p = 0; p < pixels; p++)
        acc[p] = vf_zero();
    for (int k = 0; k < c->size; k++) {
        const int row = y * c->stride - c->pad + k * c->dilation;
        if (row < 0 || row >= in->height)
            continue;
        const float *from = df_pixel(in, row, 0, x * stride_x - c->pad);
        for (int i = 0; i < g->per_group; i++) {
            const float *f = g->w + (int64_t)(i * c->size + k) * c->size * DF_PANEL;
            const float *a = from + channel(in, g->first[0] + i);
            for (int t = 0; t < c->size; t++, a += c->dilation * in->pixel, f += DF_PANEL) {
                const vf w = vf_load(f);
#pragma GCC unroll 8
                for (int p = 0; p < pixels; p++) {
                    if (how == EACH_ITS_OWN) {
                        acc[p] += vf_load(a + p * step) * w;
                    } else if (how == ALL_THE_SAME) {
                        acc[p] += vf_set(a[p * step]) * w;
                    } else {
                        vf v;
                        for (int l = 0; l < DF_VL; l++)
                            v[l] = from[channel(in, g->first[l] + i) + t * c->dilation * in->pixel + p * step];
                        acc[p] += v * w;
                    }
                }
            }
        }
    }
#pragma GCC unroll 8
    for (int p = 0; p < pixels; p++)
        vf_store(out + p * DF_CB, act_sloped(acc[p] + g->bias, g->slope));
}

DF_INLINE void general_row(const lanes_job *g, const enum reading how, int y, int x0, int x1, float *out)
{
    int x = x0;
    for (; x + PIXELS <= x1; x += PIXELS)
        general_tile(g, how, PIXELS, y, x, out + (int64_t)(x - x0) * DF_CB);
    for (; x < x1; x++)
        general_tile(g, how, 1, y, x, out + (int64_t)(x - x0) * DF_CB);
}

static void general_strip(const panel_job *j, const df_view *dst, int block, int y0, int y1, int x0, int x1)
{
    const df_conv *c = j->c;
    const int out_group = c->out_c / c->groups;
    lanes_job g = {.c = c, .in = j->in, .slope = j->sums ? 1.0f : j->slope, .per_group = c->in_c / c->groups};
    for (int l = 0; l < j->lanes; l += DF_VL) {
        const int oc = j->panel * DF_PANEL + l;
        g.w = j->w + l;
        g.bias = j->sums ? vf_zero() : vf_load(j->bias + l);
        for (int i = 0; i < DF_VL; i++) /* lanes past out_c have zero weights: any channel will do */
            g.first[i] = least(oc + i, c->out_c - 1) / out_group * g.per_group;
        for (int y = y0; y < y1; y++) {
            float *o = df_pixel(dst, y, block + l / DF_CB, x0) + l % DF_CB;
            if (g.first[0] == g.first[DF_VL - 1])
                general_row(&g, ALL_THE_SAME, y, x0, x1, o);
            else if (g.per_group == 1 && out_group == 1 && j->in->pixel == DF_CB)
                general_row(&g, EACH_ITS_OWN, y, x0, x1, o);
            else
                general_row(&g, GATHERED, y, x0, x1, o);
        }
    }
}

void DF_NAME(conv_general)(const df_conv *c, const df_view *in, const df_view *out, const float *packed,
                           const float *bias, int panel, int y0, int y1, int x0, int x1)
{
    run_panel(general_strip, PIXELS, STRIP_WHOLE, c, in, out, packed, bias, panel, y0, y1, x0, x1);
}
