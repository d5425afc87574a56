/* Layers that work value by value over several maps, or with a few parameters: weighted sums, gates, batch norm. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "engine.h"

#define MOST_INPUTS 64 /* of a shortcut: engine/check.py */

/* Channels past the map's last one stay zero, whatever an activation makes of zero. */
static void put_lanes(float *to, const float *values, int lanes, int act)
{
    for (int c = 0; c < lanes; c++)
        to[c] = df_activate(values[c], act);
    memset(to + lanes, 0, (size_t)(DF_CB - lanes) * sizeof(float));
}

static int lanes_of(const df_view *v, int block) { return df_min(DF_CB, v->channels - block * DF_CB); }

/* The weight of map `n` in channel `c`, as the file has it or normalised over the maps, after the fork's
 * shortcut_multilayer_cpu. */
static float weight_of(const df_op *op, int n, int c)
{
    if (!op->weighting)
        return 1;
    int step = op->weighting == DF_BY_CHANNEL ? op->out->channels : 1;
    const float *w = op->weights->bias + (op->weighting == DF_BY_CHANNEL ? c : 0);
    float own = w[n * step], sum = 1e-4f, largest = -FLT_MAX;
    if (op->relu_weights) {
        for (int i = 0; i < op->n_in; i++)
            sum += fmaxf(w[i * step], 1e-3f);
        return fmaxf(own, 1e-3f) / sum;
    }
    if (!op->softmax_weights)
        return own;
    for (int i = 0; i < op->n_in; i++)
        largest = fmaxf(largest, w[i * step]);
    for (int i = 0; i < op->n_in; i++)
        sum += expf(w[i * step] - largest);
    return expf(own - largest) / sum;
}

/* The sum of all maps, each times its weight, the first map first. */
void df_weighted_sum(df_team *t, const df_op *op, int j, df_region r)
{
    df_view out = df_tile_view(op->out, j);
    df_pieces p = df_cut(t, out.blocks, r, op->n_in);
    while (df_next(t, &p)) {
        int lanes = lanes_of(&out, p.b);
        float weight[MOST_INPUTS][DF_CB];
        for (int n = 0; n < op->n_in; n++)
            for (int c = 0; c < lanes; c++)
                weight[n][c] = weight_of(op, n, p.b * DF_CB + c);
        for (int y = p.y0; y < p.y1; y++)
            for (int x = r.x0; x < r.x1; x++) {
                float sum[DF_CB] = {0};
                for (int n = 0; n < op->n_in; n++) {
                    df_view in = df_tile_view(op->in[n], j);
                    const float *from = df_pixel(&in, y, p.b, x);
                    for (int c = 0; c < lanes; c++)
                        sum[c] += from[c] * weight[n][c];
                }
                put_lanes(df_pixel(&out, y, p.b, x), sum, lanes, op->act);
            }
        df_zero_margin(&out, p.y0, p.y1, p.b, p.b + 1);
    }
}

/* The second map times the first: the gate has one value a channel (1x1), one a pixel (one channel), or as many as
 * the map. */
void df_scale_channels(df_team *t, const df_op *op, int j, df_region r)
{
    df_view gate = df_tile_view(op->in[0], j), in = df_tile_view(op->in[1], j), out = df_tile_view(op->out, j);
    bool by_channel = gate.channels == out.channels && gate.height == 1 && gate.width == 1;
    bool by_pixel = !by_channel && gate.channels == 1;
    df_pieces p = df_cut(t, out.blocks, r, 2);
    while (df_next(t, &p)) {
        int lanes = lanes_of(&out, p.b);
        for (int y = p.y0; y < p.y1; y++)
            for (int x = r.x0; x < r.x1; x++) {
                const float *from = df_pixel(&in, y, p.b, x);
                const float *times = by_channel ? df_pixel(&gate, 0, p.b, 0)
                                                : df_pixel(&gate, y, by_pixel ? 0 : p.b, x);
                float product[DF_CB];
                for (int c = 0; c < lanes; c++)
                    product[c] = from[c] * times[by_pixel ? 0 : c];
                put_lanes(df_pixel(&out, y, p.b, x), product, lanes, op->act);
            }
        df_zero_margin(&out, p.y0, p.y1, p.b, p.b + 1);
    }
}

void df_batchnorm(df_team *t, const df_op *op, int j, df_region r)
{
    df_view in = df_tile_view(op->in[0], j), out = df_tile_view(op->out, j);
    df_pieces p = df_cut(t, out.blocks, r, 1);
    while (df_next(t, &p)) {
        int lanes = lanes_of(&out, p.b);
        const float *scale = op->weights->scale + p.b * DF_CB, *bias = op->weights->bias + p.b * DF_CB;
        for (int y = p.y0; y < p.y1; y++)
            for (int x = r.x0; x < r.x1; x++) {
                const float *from = df_pixel(&in, y, p.b, x);
                float value[DF_CB];
                for (int c = 0; c < lanes; c++)
                    value[c] = from[c] * scale[c] + bias[c];
                put_lanes(df_pixel(&out, y, p.b, x), value, lanes, DF_LINEAR);
            }
        df_zero_margin(&out, p.y0, p.y1, p.b, p.b + 1);
    }
}
