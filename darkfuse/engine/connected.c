/* Fully connected layers: a dot product of the whole map, in Darknet's order, with each row of weights.  And local
 * ones, whose rows are dot products with a window each. */
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

/* Row `row` of a local layer: its place, then its filter. Values outside the map count as zeros. */
static double local_dot(const df_op *op, const df_view *in, const df_view *out, int row, const float *w)
{
    int place = row / out->channels, pad = op->pad;
    int top = place / out->width * op->stride - pad, left = place % out->width * op->stride - pad;
    double sum = 0;
    for (int c = 0; c < in->channels; c++)
        for (int i = 0; i < op->size; i++)
            for (int k = 0; k < op->size; k++, w++) {
                int y = top + i, x = left + k;
                if (y >= 0 && y < in->height && x >= 0 && x < in->width)
                    sum += (double)*w * *df_value(op->in[0], in, c, y, x);
            }
    return sum;
}

static void one_row(const df_op *op, const df_view *in, const df_view *out, int row, const float *weights)
{
    const df_weights *w = op->weights;
    int place = 0, o = row;
    float sum;
    if (op->kind == DF_LOCAL) {
        place = row / out->channels;
        o = row % out->channels;
        sum = (float)local_dot(op, in, out, row, weights);
    } else {
        sum = (float)dot(op->in[0], in, weights);
    }
    /* Biases lie in the order of the map: channel, row, column. */
    int64_t at = (int64_t)o * out->height * out->width + place;
    *df_value(op->out, out, o, place / out->width, place % out->width) = df_activate(sum * w->scale[at] + w->bias[at],
                                                                                     op->act);
}

/* Channels past the map's last one, and the columns beside it, are zeros. */
static void zero_rest(const df_op *op, const df_view *out)
{
    int used = out->channels % DF_CB;
    if (op->out->layout == DF_CHW)
        return;
    for (int y = 0; used && y < out->height; y++)
        for (int x = 0; x < out->width; x++)
            memset(df_pixel(out, y, out->blocks - 1, x) + used, 0, (size_t)(DF_CB - used) * sizeof(float));
    df_zero_margin(out, 0, out->height, 0, out->blocks);
}

void df_connected(df_team *t, const df_stage *s, const df_op *op, int j)
{
    df_weights *w = op->weights;
    bool streamed = w->residency == DF_STREAMED;
    int pictures = streamed ? df_pictures(t->e) : 1;
    if (t->id == 0)
        t->e->macs += w->per_filter * w->filters * pictures;
    int per_block = streamed ? w->block : w->filters;
    for (int first = 0; first < w->filters; first += per_block) {
        int count = df_min(per_block, w->filters - first);
        if (streamed)
            df_fill_block(t, w, first, count, first);
        int base = streamed ? first : 0;
        long items = (long)count * pictures;
        for (long n; (n = df_take(t, items)) >= 0;) {
            int o = first + (int)(n / pictures); /* a row of weights, for one picture after another */
            const df_op *own = op + n % pictures * s->n_ops;
            df_view in = df_tile_view(own->in[0], j), out = df_tile_view(own->out, j);
            one_row(own, &in, &out, o, w->packed + (o - base) * w->per_filter);
        }
        df_join(t, items);
    }
    for (int p = 0; t->id == 0 && p < pictures; p++) {
        df_view out = df_tile_view(op[p * s->n_ops].out, j);
        zero_rest(op + p * s->n_ops, &out);
    }
    df_meet(t);
}
