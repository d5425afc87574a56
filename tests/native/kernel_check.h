/* Random numbers and maps for kernel_check.c; each buffer is an allocation of its own. */
#ifndef KERNEL_CHECK_H
#define KERNEL_CHECK_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "df_kernels.h"

static uint64_t state;

static int below(int n) /* [0, n) */
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (int)((state >> 20) % (uint64_t)n);
}

static int one_of(const int *list, int n) { return list[below(n)]; }
#define ONE_OF(...) one_of((const int[]){__VA_ARGS__}, (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)))
static float value(void) { return (float)below(2000001) / 1e6f - 1.0f; }

static float *floats(size_t n)
{
    float *p = NULL;
    if (posix_memalign((void **)&p, 64, (n ? n : 1) * sizeof(float)))
        exit(3);
    for (size_t i = 0; i < n; i++)
        p[i] = NAN;
    return p;
}

static void fail(const char *isa, const char *kernel, const df_conv *c, const df_view *in, const char *what)
{
    fprintf(stderr,
            "%s %s: %s (%d->%d, %dx%d, stride %d, pad %d, dilation %d, groups %d, act %d, pool %d, map %dx%d)\n", isa,
            kernel, what, c->in_c, c->out_c, c->size, c->size, c->stride, c->pad, c->dilation, c->groups, c->act,
            c->pool, in->width, in->height);
    exit(1);
}

/* A whole map with `margin` zero columns, everything else NaN. */
static df_view map(int channels, int h, int w, int margin, int pixel)
{
    df_view v = {
        .pixel = pixel,
        .cols = w + 2 * margin,
        .x0 = -margin,
        .slots = h,
        .height = h,
        .width = w,
        .blocks = pixel == DF_CB ? (channels + DF_CB - 1) / DF_CB : 1,
        .channels = channels,
    };
    v.row_stride = (int64_t)v.blocks * v.cols * pixel;
    v.base = floats((size_t)(v.row_stride * h));
    for (int y = 0; y < h; y++)
        for (int b = 0; b < v.blocks; b++)
            for (int x = -margin; x < w + margin; x++)
                if (x < 0 || x >= w)
                    memset(df_pixel(&v, y, b, x), 0, sizeof(float) * (size_t)pixel);
    return v;
}

static float *at(const df_view *v, int ch, int y, int x) { return df_pixel(v, y, ch / DF_CB, x) + ch % DF_CB; }

static df_view random_map(int channels, int h, int w, int margin, int pixel)
{
    df_view v = map(channels, h, w, margin, pixel);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int ch = 0; ch < v.blocks * pixel; ch++)
                *at(&v, ch, y, x) = ch < channels ? value() : 0.0f;
    return v;
}

static double activate(double x, int act)
{
    switch (act) {
    case DF_LEAKY: return x > 0 ? x : 0.1 * x;
    case DF_RELU: return x > 0 ? x : 0;
    case DF_LOGISTIC: return 1 / (1 + exp(-x));
    case DF_MISH: return x * tanh(log1p(exp(x)));
    case DF_SWISH: return x / (1 + exp(-x));
    case DF_RELU6: return x < 0 ? 0 : x > 6 ? 6 : x;
    case DF_TANH: return tanh(x);
    case DF_ELU: return x >= 0 ? x : exp(x) - 1;
    default: return x;
    }
}

#endif
