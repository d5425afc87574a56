/* From the pixels of a picture to the network's input: where the scaled picture lies, and how it is scaled.
 *
 * The one place for this arithmetic: the engine uses it on pixels held whole, media/ on rows as they are decoded, and
 * the answer is the same to the last bit. */
#ifndef DF_PICTURE_H
#define DF_PICTURE_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

enum df_shape { DF_SHAPE_STRETCH, DF_SHAPE_LETTERBOX, DF_SHAPE_CROP };

/* How a picture gets into the network's input: `width` x `height` pixels of `from` channels become `across` x `down` of
 * `to` channels, the first of them at (left, top), which may be outside. */
typedef struct {
    int32_t width, height, from;
    int32_t across, down, left, top, to;
    bool crop;    /* where it does not reach it goes on as at its edge; around others it is grey */
    bool centres; /* scaled as OpenCV does, not as Darknet */
} df_fit;

static inline int32_t df_within(int32_t at, int32_t count) { return at < 0 ? 0 : at < count ? at : count - 1; }

/* Darknet's letterbox_image: the short side by integer division, but never nothing; detect/types.py's letterbox_size
 * says the same. Its resize_min and crop_image: the short side is the network's width, the long one by integer division,
 * and the middle of that is taken. */
static inline df_fit df_fit_picture(int32_t width, int32_t height, int32_t from, int32_t net_width, int32_t net_height,
                                    int32_t to, enum df_shape shape, bool centres)
{
    df_fit f = {width, height, from, net_width, net_height, 0, 0, to, shape == DF_SHAPE_CROP, centres};
    if (shape == DF_SHAPE_CROP) {
        int32_t shorter = width < height ? width : height;
        int64_t longer = (int64_t)(width < height ? height : width) * net_width / shorter, longest = 1 << 30;
        f.across = f.down = net_width;
        *(width < height ? &f.down : &f.across) = (int32_t)(longer < longest ? longer : longest);
        f.left = -((f.across - net_width) / 2);
        f.top = -((f.down - net_height) / 2);
    } else if (shape == DF_SHAPE_LETTERBOX) {
        if ((int64_t)net_width * height < (int64_t)net_height * width)
            f.down = (int32_t)((int64_t)height * net_width / width);
        else
            f.across = (int32_t)((int64_t)width * net_height / height);
        f.across = f.across < 1 ? 1 : f.across;
        f.down = f.down < 1 ? 1 : f.down;
        f.left = (net_width - f.across) / 2;
        f.top = (net_height - f.down) / 2;
    }
    return f;
}

/* Multiply and add must round apart, as they do in Darknet, on machines with fused ones too. */
#if defined(__clang__)
#define DF_ROUND_APART
#define DF_APART _Pragma("clang fp contract(off)")
#else
#define DF_ROUND_APART __attribute__((optimize("fp-contract=off")))
#define DF_APART
#endif
#define DF_EVERYWHERE DF_ROUND_APART static inline __attribute__((always_inline))

/* What one line of the scaled picture is made of: two lines of the picture. */
typedef struct {
    int32_t one, two;
    float first, second; /* Darknet's shares of them */
    int32_t share;       /* OpenCV's share of the second, in 2048ths */
    bool pair;           /* whether the second counts */
} df_tap;

/* OpenCV's: middles on middles. The line before the first is the first, the one after the last the last. */
DF_EVERYWHERE df_tap df_centre_tap(int32_t at, int32_t from, int32_t to)
{
    DF_APART
    float place = (float)((at + 0.5) * ((double)from / to) - 0.5);
    int32_t first = (int32_t)floorf(place);
    return (df_tap){.one = df_within(first, from),
                    .two = df_within(first + 1, from),
                    .share = (int32_t)lrintf((place - (float)first) * 2048)};
}

/* Pixels of the picture from one pixel of the network's to the next: corners lie on corners. */
DF_EVERYWHERE float df_step(int32_t from, int32_t to) { return to > 1 ? (float)(from - 1) / (to - 1) : 0; }

/* Column x of the scaled picture; its last one is the picture's last. */
DF_EVERYWHERE df_tap df_column_tap(const df_fit *f, int32_t x)
{
    DF_APART
    if (f->centres)
        return df_centre_tap(x, f->width, f->across);
    float at = x * df_step(f->width, f->across);
    df_tap t = {.one = (int32_t)at};
    t.pair = x != f->across - 1 && f->width > 1 && t.one + 1 < f->width;
    if (!t.pair)
        t.one = f->width - 1;
    t.two = t.pair ? t.one + 1 : t.one;
    t.second = at - t.one;
    t.first = 1 - t.second;
    return t;
}

/* Row y of the scaled picture.  Darknet leaves out the second row of the last one without giving its share to the
 * first. */
DF_EVERYWHERE df_tap df_row_tap(const df_fit *f, int32_t y)
{
    DF_APART
    if (f->centres)
        return df_centre_tap(y, f->height, f->down);
    float at = y * df_step(f->height, f->down);
    df_tap t = {.one = (int32_t)at < f->height - 1 ? (int32_t)at : f->height - 1};
    t.second = at - t.one;
    t.first = 1 - t.second;
    t.pair = y != f->down - 1 && f->height > 1 && t.one + 1 < f->height;
    t.two = t.pair ? t.one + 1 : t.one;
    return t;
}

/* Level of channel `k` of a network with `to` channels, from a pixel with `from`: a network with one takes the
 * luma, as stb_image has it; without alpha a pixel is opaque. */
DF_EVERYWHERE int df_level(const uint8_t *pixel, int from, int to, int k)
{
    if (to == 1)
        return from == 1 ? pixel[0] : (77 * pixel[0] + 150 * pixel[1] + 29 * pixel[2]) >> 8;
    if (k == 3)
        return from == 4 ? pixel[3] : 255;
    return pixel[from == 1 ? 0 : k];
}

/* The four pixels one of the network's is mixed of: row one, then row two, each with column one and two. */
typedef struct {
    const uint8_t *p11, *p12, *p21, *p22;
} df_four;

/* Darknet's resize_image: across first, then down, in float and in this order of operations.  `unit` has the value of
 * each level. */
DF_EVERYWHERE void df_mix_corners(df_four p, df_tap x, df_tap y, const float *unit, float *out, int from, int to)
{
    DF_APART
    for (int k = 0; k < to; k++) {
        float upper = unit[df_level(p.p11, from, to, k)];
        if (x.pair)
            upper = x.first * upper + x.second * unit[df_level(p.p12, from, to, k)];
        float value = y.first * upper;
        if (y.pair) {
            float lower = unit[df_level(p.p21, from, to, k)];
            if (x.pair)
                lower = x.first * lower + x.second * unit[df_level(p.p22, from, to, k)];
            value = value + y.second * lower;
        }
        out[k] = value;
    }
}

/* The same as OpenCV's bilinear resize of bytes does it: in whole numbers, to whole levels. Where both sides halve
 * exactly it takes the mean of four pixels instead. */
DF_EVERYWHERE void df_mix_centres(df_four p, df_tap x, df_tap y, bool halves, const float *unit, float *out, int from,
                                  int to)
{
    for (int k = 0; k < to; k++) {
        int a1 = df_level(p.p11, from, to, k), a2 = df_level(p.p12, from, to, k);
        int b1 = df_level(p.p21, from, to, k), b2 = df_level(p.p22, from, to, k);
        int upper = a1 * (2048 - x.share) + a2 * x.share, lower = b1 * (2048 - x.share) + b2 * x.share;
        int mixed = ((((2048 - y.share) * (upper >> 4)) >> 16) + ((y.share * (lower >> 4)) >> 16) + 2) >> 2;
        out[k] = unit[halves ? (a1 + a2 + b1 + b2 + 2) >> 2 : mixed];
    }
}

DF_EVERYWHERE void df_mix(const df_fit *f, df_four p, df_tap x, df_tap y, const float *unit, float *out)
{
    if (f->centres)
        df_mix_centres(p, x, y, f->width == 2 * f->across && f->height == 2 * f->down, unit, out, f->from, f->to);
    else if (f->from == 3 && f->to == 3)
        df_mix_corners(p, x, y, unit, out, 3, 3);
    else
        df_mix_corners(p, x, y, unit, out, f->from, f->to);
}

static inline void df_unit(float *unit)
{
    for (int level = 0; level < 256; level++)
        unit[level] = (float)(level / 255.0);
}

/* Rows of a scaled picture, made while they are asked for: for a picture that is nowhere whole. */
typedef struct {
    void *self;
    df_fit fit;
    int32_t first, columns; /* those made of each row */
    int32_t most;           /* rows that may be asked for at once */
    /* Have rows [y0, y1) of the scaled picture at hand; not 0 when that fails.  One thread at a time. */
    int (*prepare)(void *self, int32_t y0, int32_t y1);
    /* One of them: (columns, fit.to) floats. */
    const float *(*row)(void *self, int32_t y);
    double ms; /* spent in `prepare` */
} df_rows;

#define DF_ROWS_CAPSULE "darkfuse.rows"

#endif
