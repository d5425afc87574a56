/* What the convolution kernels share: one panel over a region, cut into strips that stay in cache, with the
 * activations too long for a store and the 2x2 pooling done while the strip is still there. */
#ifndef DF_PANEL_H
#define DF_PANEL_H

#include <assert.h>
#include <stdbool.h>

#include "isa.h"

/* Pixels of one strip.  Where sums are partial (128 bytes a pixel) they wait in L2 while each group of channel
 * blocks' weights, held in L1, is walked over the strip; where they are whole, a pooled strip waits in L1.
 * It bounds the scratch of a pooled convolution, which is on the stack: 48 KiB. */
#define STRIP 384
#define STRIP_WHOLE 128

/* Convolve rows [y0, y1) x columns [x0, x1) into blocks [block, block + lanes/16) of dst: bias and
 * max(slope * x, x) included. */
typedef struct {
    const df_conv *c;
    const df_view *in;
    const float *w;    /* the panel */
    const float *bias; /* (32,) of the panel */
    float slope;
    int panel, lanes;  /* lanes: 16 or 32, whole channel blocks the out view has */
    bool sums;         /* strips hold sums alone: pooling adds bias and activation */
} panel_job;
typedef void strip_fn(const panel_job *j, const df_view *dst, int block, int y0, int y1, int x0, int x1);

/* Activations with an exponential, in place; channels past out_c are put back to zero. */
static void activate(const panel_job *j, const df_view *dst, int block, int y0, int y1, int x0, int x1)
{
    for (int y = y0; y < y1; y++)
        for (int l = 0; l < j->lanes; l += DF_VL) {
            const vi real = vi_first(j->c->out_c - (j->panel * DF_PANEL + l));
            float *p = df_pixel(dst, y, block + l / DF_CB, x0) + l % DF_CB;
            for (int x = x0; x < x1; x++, p += DF_CB)
                vf_store(p, (vf)((vi)act(vf_load(p), j->c->act) & real));
        }
}

DF_INLINE int least(int a, int b) { return a < b ? a : b; }

DF_INLINE vf largest(const float *a, const float *b, int64_t next)
{
    return vf_max(vf_max(vf_load(a), vf_load(a + next)), vf_max(vf_load(b), vf_load(b + next)));
}

/* The largest of a cell's sums, finished. */
DF_INLINE vf pooled(const panel_job *j, vf sum, int l)
{
    if (j->sums)
        sum = act_sloped(sum + vf_load(j->bias + l), j->slope);
    return sum;
}

/* Rows [y0, y1) x columns [x0, x1) of out from a scratch holding the convolution at twice that.  Darknet's
 * pooling rounds odd maps up and ignores the cells outside. */
static void pool_strip(const panel_job *j, const df_view *tmp, const df_view *out, int y0, int y1, int x0, int x1)
{
    const int full = j->c->conv_w / 2; /* columns from here on have one cell a row */
    for (int y = y0; y < y1; y++)
        for (int l = 0; l < j->lanes; l += DF_VL) {
            const float *a = df_pixel(tmp, 2 * y, l / DF_CB, 2 * x0) + l % DF_CB;
            const float *b = 2 * y + 1 < j->c->conv_h ? df_pixel(tmp, 2 * y + 1, l / DF_CB, 2 * x0) + l % DF_CB : a;
            float *o = df_pixel(out, y, 2 * j->panel + l / DF_CB, x0) + l % DF_CB;
            int x = x0;
            for (; x + 2 <= least(x1, full); x += 2, a += 4 * DF_CB, b += 4 * DF_CB, o += 2 * DF_CB) {
                const vf left = largest(a, b, DF_CB), right = largest(a + 2 * DF_CB, b + 2 * DF_CB, DF_CB);
                vf_store(o, pooled(j, left, l)); /* after the other's loads: cores that issue in order wait less */
                vf_store(o + DF_CB, pooled(j, right, l));
            }
            for (; x < x1; x++, a += 2 * DF_CB, b += 2 * DF_CB, o += DF_CB)
                vf_store(o, pooled(j, largest(a, b, x < full ? DF_CB : 0), l));
        }
}

DF_INLINE void finished_strip(strip_fn *strip, const panel_job *j, const df_view *dst, int block, int y0, int y1,
                              int x0, int x1)
{
    strip(j, dst, block, y0, y1, x0, x1);
    if (!act_is_slope(j->c->act))
        activate(j, dst, block, y0, y1, x0, x1);
}

/* One panel over the out view's region in strips of up to `pixels`.  tile: pixels of the kernel's widest tile,
 * so that chunks of a pooled row are whole tiles. */
DF_INLINE void run_panel(strip_fn *strip, const int tile, const int pixels, const df_conv *c, const df_view *in,
                         const df_view *out, const float *packed, const float *bias, int panel, int y0, int y1, int x0,
                         int x1)
{
    const int blocks = least(out->blocks, (c->out_c + DF_CB - 1) / DF_CB) - 2 * panel;
    if (blocks <= 0 || y1 <= y0 || x1 <= x0)
        return;
    assert(panel >= 0 && y0 >= 0 && y1 <= out->height);
    assert(x0 >= out->x0 && x1 <= out->x0 + out->cols);
    assert(in->slots > 0 && c->size > 0 && c->stride > 0 && c->dilation > 0);
    const panel_job j = {
        .c = c,
        .in = in,
        .w = packed,
        .bias = bias + panel * DF_PANEL,
        .slope = act_is_slope(c->act) ? act_slope(c->act) : 1.0f,
        .panel = panel,
        .lanes = blocks > 1 ? DF_PANEL : DF_CB,
        .sums = DF_POOL_FIRST && c->pool && act_is_slope(c->act),
    };
    if (!c->pool) {
        int rows = pixels / (x1 - x0) > 0 ? pixels / (x1 - x0) : 1;
        for (int y = y0; y < y1; y += rows)
            finished_strip(strip, &j, out, 2 * panel, y, least(y + rows, y1), x0, x1);
        return;
    }
    float scratch[STRIP * DF_PANEL]; /* (rows, 2, cols, 16) */
    const int widest = pixels / (4 * tile) * tile; /* pooled columns of one chunk */
    const int cols = least(x1 - x0, widest);
    const int rows = pixels / (4 * cols);
    df_view tmp = {
        .base = scratch,
        .row_stride = (int64_t)4 * cols * DF_CB,
        .pixel = DF_CB,
        .cols = 2 * cols,
        .slots = 2 * rows,
        .blocks = 2,
        .channels = DF_PANEL,
        .height = c->conv_h,
        .width = c->conv_w,
    };
    for (int x = x0; x < x1; x += cols) {
        const int xe = least(x + cols, x1);
        tmp.x0 = 2 * x;
        for (int y = y0; y < y1; y += rows) {
            const int ye = least(y + rows, y1);
            finished_strip(strip, &j, &tmp, 0, 2 * y, least(2 * ye, c->conv_h), 2 * x, least(2 * xe, c->conv_w));
            pool_strip(&j, &tmp, out, y, ye, x, xe);
        }
    }
}

/* Tiles a row of n pixels is cut into, and where tile t begins: near-equal, none wider than `widest`. */
DF_INLINE int tile_count(int n, int widest) { return (n + widest - 1) / widest; }
DF_INLINE int tile_start(int n, int tiles, int t) { return (int)((int64_t)n * t / tiles); }

#endif
