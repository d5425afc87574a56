/* Layers over windows of their input that no kernel is made for: local means, uneven max pooling, squares of pixels
 * to channels, and the middle of a picture. */
#include <float.h>
#include <string.h>

#include "engine.h"

/* The mean, or the largest, of the cells of one window that are inside the map. */
static void pool_window(const df_op *op, const df_view *in, int block, int top, int left, float *out)
{
    bool mean = op->kind == DF_LOCAL_AVGPOOL;
    int y0 = df_max(top, 0), y1 = df_min(top + op->size, in->height);
    int x0 = df_max(left, 0), x1 = df_min(left + op->size, in->width);
    for (int c = 0; c < DF_CB; c++)
        out[c] = mean ? 0 : -FLT_MAX;
    for (int y = y0; y < y1; y++)
        for (int x = x0; x < x1; x++) {
            const float *from = df_pixel(in, y, block, x);
            for (int c = 0; c < DF_CB; c++)
                out[c] = mean ? out[c] + from[c] : from[c] > out[c] ? from[c] : out[c];
        }
    for (int c = 0; mean && c < DF_CB; c++)
        out[c] /= (float)((y1 - y0) * (x1 - x0));
}

void df_pool(df_team *t, const df_op *op, int j, df_region r)
{
    df_view in = df_tile_view(op->in[0], j), out = df_tile_view(op->out, j);
    df_pieces p = df_cut(t, out.blocks, r, op->size * op->size);
    while (df_next(t, &p)) {
        for (int y = p.y0; y < p.y1; y++)
            for (int x = r.x0; x < r.x1; x++)
                pool_window(op, &in, p.b, y * op->stride - op->pad, x * op->stride_x - op->pad,
                            df_pixel(&out, y, p.b, x));
        df_zero_margin(&out, p.y0, p.y1, p.b, p.b + 1);
    }
}

/* out[k, y, x] = in[k mod C, y s + (k div C) div s, x s + (k div C) mod s]. */
void df_reorg3d(df_team *t, const df_op *op, int j, df_region r)
{
    df_view in = df_tile_view(op->in[0], j), out = df_tile_view(op->out, j);
    int s = op->stride, channels = in.channels;
    df_pieces p = df_cut(t, out.blocks, r, 1);
    while (df_next(t, &p)) {
        int lanes = df_min(DF_CB, out.channels - p.b * DF_CB);
        for (int y = p.y0; y < p.y1; y++)
            for (int x = r.x0; x < r.x1; x++) {
                float *to = df_pixel(&out, y, p.b, x);
                for (int l = 0; l < lanes; l++) {
                    int k = p.b * DF_CB + l, from = k % channels, square = k / channels;
                    to[l] = df_pixel(&in, y * s + square / s, from / DF_CB, x * s + square % s)[from % DF_CB];
                }
                memset(to + lanes, 0, (size_t)(DF_CB - lanes) * sizeof(float));
            }
        df_zero_margin(&out, p.y0, p.y1, p.b, p.b + 1);
    }
}

void df_crop(df_team *t, const df_op *op, int j, df_region r)
{
    df_view in = df_tile_view(op->in[0], j), out = df_tile_view(op->out, j);
    df_pieces p = df_cut(t, out.blocks, r, 1);
    while (df_next(t, &p)) {
        int lanes = df_min(DF_CB, out.channels - p.b * DF_CB);
        for (int y = p.y0; y < p.y1; y++)
            for (int x = r.x0; x < r.x1; x++) {
                const float *from = df_pixel(&in, y + op->top, p.b, x + op->left);
                float *to = df_pixel(&out, y, p.b, x);
                for (int c = 0; c < lanes; c++)
                    to[c] = from[c] * op->scale + op->shift;
                memset(to + lanes, 0, (size_t)(DF_CB - lanes) * sizeof(float));
            }
        df_zero_margin(&out, p.y0, p.y1, p.b, p.b + 1);
    }
}
