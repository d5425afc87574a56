/* Fully connected layers: a dot product of the whole map, in Darknet's order, with each row of weights. */
#include <string.h>

#include "engine.h"

static double dot(const df_tensor *map, const df_view *in, const float *row)
{
    double sum = 0; /* thousands of terms: float would lose digits Darknet's blocked gemm keeps */
    for (int c = 0; c < in->channels; c++)
        for (int y = 0; y < in->height; y++)
            for (int x = 0; x < in->width; x++)
                sum += (double)*row++ * *df_value(map, in, c, y, x);
    return sum;
}

void df_connected(df_team *t, const df_op *op, int j)
{
    df_weights *w = op->weights;
    df_view in = df_tile_view(op->in[0], j), out = df_tile_view(op->out, j);
    if (t->id == 0)
        t->e->macs += w->per_filter * w->filters;
    bool streamed = w->residency == DF_STREAMED;
    int per_block = streamed ? w->block : w->filters;
    for (int first = 0; first < w->filters; first += per_block) {
        int count = df_min(per_block, w->filters - first);
        if (streamed)
            df_fill_block(t, w, first, count, first);
        int base = streamed ? first : 0;
        for (long n; (n = df_take(t, count)) >= 0;) {
            int o = first + (int)n;
            float sum = (float)dot(op->in[0], &in, w->packed + (o - base) * w->per_filter);
            *df_value(op->out, &out, o, 0, 0) = df_activate(sum * w->scale[o] + w->bias[o], op->act);
        }
        df_join(t, count);
    }
    if (op->out->layout == DF_CHW)
        return;
    if (t->id == 0) {
        int used = out.channels % DF_CB;
        if (used)
            memset(df_pixel(&out, 0, out.blocks - 1, 0) + used, 0, (size_t)(DF_CB - used) * sizeof(float));
        df_zero_margin(&out, 0, 1, 0, out.blocks);
    }
    df_meet(t);
}
