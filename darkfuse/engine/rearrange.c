/* Layers that only move values: route's copies, reorg, and the shortcut of unequal maps. */
#include <string.h>

#include "engine.h"

/* Output row (c, y) is an input row at stride s: follow Darknet's flat indices, in whole rows.
 *
 * The output's flat position, read in the input's shape, is (k, j, i); its value comes from
 * (k mod C/s^2, j s + (k div C/s^2) div s, i s + (k div C/s^2) mod s) of the input reread as
 * (C/s^2, H s, W s).  One row of the input's W values is s rows of the output, and s rows of the input are one
 * row of the rereading; hence q, the same in both. */
static void reorg_row(const df_op *op, const df_view *in, const df_view *out, int c, int y, df_region r)
{
    int s = op->stride, deep = in->channels / (s * s);
    int64_t row = (int64_t)c * out->height + y; /* of W/s values */
    int q = (int)(row % s), k = (int)(row / s / in->height), j = (int)(row / s % in->height);
    int offset = k / deep;
    int64_t reread = (int64_t)(k % deep) * in->height * s + (int64_t)j * s + offset / s;
    int64_t from_row = reread * s + q;
    int from_c = (int)(from_row / in->height), from_y = (int)(from_row % in->height);
    for (int x = r.x0; x < r.x1; x++)
        *df_value(op->out, out, c, y, x) = *df_value(op->in[0], in, from_c, from_y, x * s + offset % s);
}

/* Channels of the block past the map's last one. */
static void zero_last_lanes(const df_view *v, int y, df_region r)
{
    int used = v->channels % DF_CB;
    for (int x = r.x0; used && x < r.x1; x++)
        memset(df_pixel(v, y, v->blocks - 1, x) + used, 0, (size_t)(DF_CB - used) * sizeof(float));
}

void df_reorg(df_team *t, const df_op *op, int j, df_region r)
{
    df_view in = df_tile_view(op->in[0], j), out = df_tile_view(op->out, j);
    long items = r.y1 - r.y0;
    for (long n; (n = df_take(t, items)) >= 0;) {
        int y = r.y0 + (int)n;
        for (int c = 0; c < out.channels; c++)
            reorg_row(op, &in, &out, c, y, r);
        zero_last_lanes(&out, y, r);
        df_zero_margin(&out, y, y + 1, 0, out.blocks);
    }
    df_join(t, items);
}

static df_view from_block(df_view v, int block)
{
    v.base += (int64_t)block * v.cols * v.pixel;
    v.blocks -= block;
    return v;
}

/* Channels [from_channel, from_channel + channels) to [to_channel, ...). */
void df_copy(df_team *t, const df_op *op, int j, df_region r)
{
    df_view in = df_tile_view(op->in[0], j), out = df_tile_view(op->out, j);
    int from = op->from_channel, to = op->to_channel, count = op->channels;
    bool last = to + count == out.channels;
    if (from % DF_CB == 0 && to % DF_CB == 0 && (count % DF_CB == 0 || (last && from + count == in.channels))) {
        df_view a = from_block(in, from / DF_CB), b = from_block(out, to / DF_CB);
        int blocks = (count + DF_CB - 1) / DF_CB;
        df_pieces p = df_cut(t, blocks, r, 1);
        while (df_next(t, &p)) {
            t->e->table->copy(&a, &b, p.y0, p.y1, r.x0, r.x1, p.b, p.b + 1);
            df_zero_margin(&b, p.y0, p.y1, p.b, p.b + 1);
        }
        return;
    }
    long items = r.y1 - r.y0;
    for (long n; (n = df_take(t, items)) >= 0;) {
        int y = r.y0 + (int)n;
        for (int c = 0; c < count; c++) {
            const float *a = df_pixel(&in, y, (from + c) / DF_CB, r.x0) + (from + c) % DF_CB;
            float *b = df_pixel(&out, y, (to + c) / DF_CB, r.x0) + (to + c) % DF_CB;
            for (int x = r.x0; x < r.x1; x++, a += DF_CB, b += DF_CB)
                *b = *a;
        }
        if (last)
            zero_last_lanes(&out, y, r);
        df_zero_margin(&out, y, y + 1, to / DF_CB, (to + count + DF_CB - 1) / DF_CB);
    }
    df_join(t, items);
}

void df_shortcut(df_team *t, const df_op *op, int j, df_region r)
{
    if (op->n_in > 2 || op->weighting) {
        df_weighted_sum(t, op, j, r);
        return;
    }
    df_view in = df_tile_view(op->in[0], j), add = df_tile_view(op->in[1], j), out = df_tile_view(op->out, j);
    df_pieces p = df_cut(t, out.blocks, r, 2);
    while (df_next(t, &p)) {
        t->e->table->shortcut(&in, &add, &out, op->act, p.y0, p.y1, r.x0, r.x1, p.b, p.b + 1);
        df_zero_margin(&out, p.y0, p.y1, p.b, p.b + 1);
    }
}
