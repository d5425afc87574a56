/* Layers without weights, and connected ones: everything that is bound by memory or rare. */
#include <math.h>
#include <string.h>

#include "engine.h"

float df_activate(float x, int act)
{
    switch (act) {
    case DF_LEAKY: return x > 0 ? x : 0.1f * x;
    case DF_RELU: return x > 0 ? x : 0;
    case DF_RELU6: return x < 0 ? 0 : x > 6 ? 6 : x;
    case DF_LOGISTIC: return 1 / (1 + expf(-x));
    case DF_SWISH: return x / (1 + expf(-x));
    case DF_TANH: return tanhf(x);
    case DF_ELU: return x >= 0 ? x : expm1f(x);
    case DF_MISH: return x * tanhf(x > 20 ? x : log1pf(expf(x)));
    case DF_LOGGY: return 2 / (1 + expf(-x)) - 1;
    case DF_SELU: return 1.0507f * (x >= 0 ? x : 1.6732f * expm1f(x));
    case DF_GELU: return 0.5f * x * (1 + tanhf(0.797885f * x + 0.035677f * x * x * x));
    case DF_RELIE: return x > 0 ? x : 0.01f * x;
    case DF_RAMP: return (x > 0 ? x : 0) + 0.1f * x;
    case DF_PLSE: return x < -4 ? 0.01f * (x + 4) : x > 4 ? 0.01f * (x - 4) + 1 : 0.125f * x + 0.5f;
    case DF_STAIR: return fmodf(floorf(x), 2) == 0 ? floorf(x / 2) : x - floorf(x) + floorf(x / 2);
    case DF_HARDTAN: return x < -1 ? -1 : x > 1 ? 1 : x;
    case DF_LHTAN: return x < 0 ? 0.001f * x : x > 1 ? 0.001f * (x - 1) + 1 : x;
    case DF_HARD_MISH: return x > 0 ? x : x > -2 ? x * x / 2 + x : 0;
    }
    return x;
}

/* Darknet's order: channel by channel, rows, columns. */
static void export_chw(df_team *t, const df_op *op, int j, df_region r)
{
    df_view in = df_tile_view(op->in[0], j);
    df_pieces p = df_cut(t, in.blocks, r, 1);
    while (df_next(t, &p)) {
        int lanes = df_min(in.pixel, in.channels - p.b * DF_CB);
        for (int c = 0; c < lanes; c++)
            for (int y = p.y0; y < p.y1; y++) {
                const float *from = df_pixel(&in, y, p.b, r.x0) + c;
                float *to = op->out->base + ((int64_t)(p.b * DF_CB + c) * op->out->height + y) * op->out->width;
                for (int x = r.x0; x < r.x1; x++, from += in.pixel)
                    to[x] = *from;
            }
    }
}

/* Mean of a channel, summed in Darknet's order. */
static void avgpool(df_team *t, const df_op *op, int j)
{
    df_view in = df_tile_view(op->in[0], j), out = df_tile_view(op->out, j);
    for (long b; (b = df_take(t, out.blocks)) >= 0;) {
        float sum[DF_CB] = {0};
        for (int y = 0; y < in.height; y++)
            for (int x = 0; x < in.width; x++)
                for (int c = 0; c < DF_CB; c++)
                    sum[c] += df_pixel(&in, y, (int)b, x)[c];
        for (int c = 0; c < DF_CB; c++)
            df_pixel(&out, 0, (int)b, 0)[c] = sum[c] / (float)(in.height * in.width);
        df_zero_margin(&out, 0, 1, (int)b, (int)b + 1);
    }
    df_join(t, out.blocks);
}

static void softmax(df_team *t, const df_op *op, int j)
{
    const df_tensor *from = op->in[0], *to = op->out;
    df_view in = df_tile_view(from, j), out = df_tile_view(to, j);
    int area = in.height * in.width;
    int64_t per = (int64_t)in.channels * area / op->groups;
    for (long g; (g = df_take(t, op->groups)) >= 0;) {
#define FLAT(map, view, n) df_value(map, &view, (int)((n) / area), (int)((n) % area / in.width), (int)((n) % in.width))
        float largest = -INFINITY, sum = 0;
        for (int64_t n = g * per; n < (g + 1) * per; n++)
            largest = fmaxf(largest, *FLAT(from, in, n));
        for (int64_t n = g * per; n < (g + 1) * per; n++) {
            float e = expf((*FLAT(from, in, n) - largest) / op->scale);
            *FLAT(to, out, n) = e;
            sum += e;
        }
        for (int64_t n = g * per; n < (g + 1) * per; n++)
            *FLAT(to, out, n) /= sum;
#undef FLAT
    }
    df_join(t, op->groups);
    if (to->layout != DF_CHW) {
        for (long b; (b = df_take(t, out.blocks)) >= 0;) {
            int used = df_min(DF_CB, out.channels - (int)b * DF_CB);
            for (int y = 0; y < out.height; y++)
                for (int x = 0; x < out.width; x++)
                    memset(df_pixel(&out, y, (int)b, x) + used, 0, (size_t)(DF_CB - used) * sizeof(float));
            df_zero_margin(&out, 0, out.height, (int)b, (int)b + 1);
        }
        df_join(t, out.blocks);
    }
}

static void activate(df_team *t, const df_op *op, int j, df_region r)
{
    df_view in = df_tile_view(op->in[0], j), out = df_tile_view(op->out, j);
    df_pieces p = df_cut(t, out.blocks, r, 1);
    while (df_next(t, &p)) {
        int lanes = df_min(DF_CB, out.channels - p.b * DF_CB);
        for (int y = p.y0; y < p.y1; y++)
            for (int x = r.x0; x < r.x1; x++) {
                const float *from = df_pixel(&in, y, p.b, x);
                float *to = df_pixel(&out, y, p.b, x);
                for (int c = 0; c < lanes; c++)
                    to[c] = df_activate(from[c], op->act);
                memset(to + lanes, 0, (size_t)(DF_CB - lanes) * sizeof(float));
            }
        df_zero_margin(&out, p.y0, p.y1, p.b, p.b + 1);
    }
}

void df_layer_op(df_team *t, const df_op *op, int j, df_region r)
{
    const df_table *k = t->e->table;
    df_view in = df_tile_view(op->in[0], j), out = df_tile_view(op->out, j);
    df_pieces p = {0};
    switch (op->kind) {
    case DF_MAXPOOL:
        if (op->stride_x != op->stride) {
            df_pool(t, op, j, r);
            break;
        }
        p = df_cut(t, out.blocks, r, op->size * op->size);
        while (df_next(t, &p)) {
            k->maxpool(&in, &out, op->size, op->stride, op->pad, p.y0, p.y1, r.x0, r.x1, p.b, p.b + 1);
            df_zero_margin(&out, p.y0, p.y1, p.b, p.b + 1);
        }
        break;
    case DF_UPSAMPLE:
        p = df_cut(t, out.blocks, r, 1);
        while (df_next(t, &p)) {
            k->upsample(&in, &out, op->stride, op->scale, p.y0, p.y1, r.x0, r.x1, p.b, p.b + 1);
            df_zero_margin(&out, p.y0, p.y1, p.b, p.b + 1);
        }
        break;
    case DF_AVGPOOL: avgpool(t, op, j); break;
    case DF_SHORTCUT: df_shortcut(t, op, j, r); break;
    case DF_REORG: df_reorg(t, op, j, r); break;
    case DF_REORG3D: df_reorg3d(t, op, j, r); break;
    case DF_LOCAL_AVGPOOL: df_pool(t, op, j, r); break;
    case DF_CROP: df_crop(t, op, j, r); break;
    case DF_BATCHNORM: df_batchnorm(t, op, j, r); break;
    case DF_SAM:
    case DF_SCALE_CHANNELS: df_scale_channels(t, op, j, r); break;
    case DF_COPY: df_copy(t, op, j, r); break;
    case DF_EXPORT: export_chw(t, op, j, r); break;
    case DF_SOFTMAX: softmax(t, op, j); break;
    case DF_ACTIVATE: activate(t, op, j, r); break;
    default: break;
    }
}
