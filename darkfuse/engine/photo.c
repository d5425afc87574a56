/* A photo scaled to the network's input, row by row where the first layer wants it: no resized or float copy of it
 * is ever held. */
#include <math.h>

#include "engine.h"

/* Multiply and add must round apart, as they do in Darknet, on machines with fused ones too. */
#if defined(__GNUC__) && !defined(__clang__)
#define ROUND_APART __attribute__((optimize("fp-contract=off")))
#else
#define ROUND_APART
#endif
#define LONGEST (1 << 30)
#define EVERYWHERE ROUND_APART static inline __attribute__((always_inline))

/* Darknet's letterbox_image: the short side by integer division. Its resize_min and crop_image: the short side is the
 * network's width, the long one by integer division, and the middle of that is taken. */
df_placement df_place_photo(const df_frame *f, int width, int height)
{
    df_placement p = {.width = width, .height = height};
    if (f->crop) {
        int shorter = df_min(f->width, f->height);
        int64_t longer = (int64_t)df_max(f->width, f->height) * width / shorter;
        p.height = p.width = width;
        *(f->width < f->height ? &p.height : &p.width) = longer < LONGEST ? (int)longer : LONGEST;
        p.left = -((p.width - width) / 2);
        p.top = -((p.height - height) / 2);
    } else if (f->letterbox) {
        if ((float)width / f->width < (float)height / f->height)
            p.height = (int)((int64_t)f->height * width / f->width);
        else
            p.width = (int)((int64_t)f->width * height / f->height);
        p.left = (width - p.width) / 2;
        p.top = (height - p.height) / 2;
    }
    p.step_x = p.width > 1 ? (float)(f->width - 1) / (p.width - 1) : 0;
    p.step_y = p.height > 1 ? (float)(f->height - 1) / (p.height - 1) : 0;
    return p;
}

/* Level of channel `k` of a network with `to` channels, from a pixel with `from`: a network with one takes the
 * luma, as stb_image has it; without alpha a pixel is opaque. */
EVERYWHERE int level(const uint8_t *pixel, int from, int to, int k)
{
    if (to == 1)
        return from == 1 ? pixel[0] : (77 * pixel[0] + 150 * pixel[1] + 29 * pixel[2]) >> 8;
    if (k == 3)
        return from == 4 ? pixel[3] : 255;
    return pixel[from == 1 ? 0 : k];
}

/* Columns [x0, x1) of row `y` of the scaled photo, to `out`, `step` floats apart. Darknet's resize_image: corners on
 * corners, horizontally first, then vertically, in this order of operations; its last row takes a single source row. */
EVERYWHERE void corners(const df_frame *f, const df_placement *p, const float *unit, int y, int x0, int x1, float *out,
                        int step, int from, int to)
{
#ifdef __clang__
#pragma clang fp contract(off)
#endif
    float at_y = y * p->step_y;
    int row = df_min((int)at_y, f->height - 1);
    float below = at_y - row, above = 1 - below;
    bool two_rows = y != p->height - 1 && f->height > 1 && row + 1 < f->height;
    const uint8_t *a = f->pixels + (size_t)row * f->width * from, *b = two_rows ? a + (size_t)f->width * from : a;
    for (int x = x0; x < x1; x++, out += step) {
        float at_x = x * p->step_x;
        int col = (int)at_x;
        bool last = x == p->width - 1 || f->width == 1 || col + 1 >= f->width;
        if (last)
            col = f->width - 1;
        float right = at_x - col, left = 1 - right;
        const uint8_t *pa = a + (size_t)col * from, *pb = b + (size_t)col * from;
        for (int k = 0; k < to; k++) {
            float va = unit[level(pa, from, to, k)];
            if (!last)
                va = left * va + right * unit[level(pa + from, from, to, k)];
            float value = above * va;
            if (two_rows) {
                float vb = unit[level(pb, from, to, k)];
                if (!last)
                    vb = left * vb + right * unit[level(pb + from, from, to, k)];
                value = value + below * vb;
            }
            out[k] = value;
        }
    }
}

/* Where the middle of pixel `at` lies among source pixels: the first of the two it is mixed of, which may be the one
 * before the first, and the share of the second in 2048ths. */
static int middle(int at, double scale, int *share)
{
    float place = (float)((at + 0.5) * scale - 0.5);
    int first = (int)floorf(place);
    *share = (int)lrintf((place - (float)first) * 2048);
    return first;
}

static int within(int at, int count) { return df_max(0, df_min(at, count - 1)); }

/* The same as OpenCV's bilinear resize of bytes does it: middles on middles, in whole numbers, to whole levels.
 * Where both sides halve exactly it takes the mean of four pixels instead. */
EVERYWHERE void centres(const df_frame *f, const df_placement *p, const float *unit, int y, int x0, int x1, float *out,
                        int step, int from, int to)
{
    bool halves = f->width == 2 * p->width && f->height == 2 * p->height;
    int down, right;
    int row = middle(y, (double)f->height / p->height, &down);
    const uint8_t *a = f->pixels + (size_t)within(row, f->height) * f->width * from;
    const uint8_t *b = f->pixels + (size_t)within(row + 1, f->height) * f->width * from;
    for (int x = x0; x < x1; x++, out += step) {
        int col = middle(x, (double)f->width / p->width, &right);
        int next = col >= 0 && col + 1 < f->width ? from : 0; /* at the edges, that pixel alone */
        col = within(col, f->width);
        const uint8_t *pa = a + (size_t)col * from, *pb = b + (size_t)col * from;
        for (int k = 0; k < to; k++) {
            int a0 = level(pa, from, to, k), a1 = level(pa + next, from, to, k);
            int b0 = level(pb, from, to, k), b1 = level(pb + next, from, to, k);
            int upper = a0 * (2048 - right) + a1 * right, lower = b0 * (2048 - right) + b1 * right;
            int mixed = ((((2048 - down) * (upper >> 4)) >> 16) + ((down * (lower >> 4)) >> 16) + 2) >> 2;
            out[k] = unit[halves ? (a0 + a1 + b0 + b1 + 2) >> 2 : mixed];
        }
    }
}

ROUND_APART static void scaled_row(const df_frame *f, const df_placement *p, const float *unit, int y, int x0, int x1,
                                   float *out, int step, int to)
{
    if (f->centres)
        centres(f, p, unit, y, x0, x1, out, step, f->channels, to);
    else if (f->channels == 3 && to == 3)
        corners(f, p, unit, y, x0, x1, out, step, 3, 3);
    else
        corners(f, p, unit, y, x0, x1, out, step, f->channels, to);
}

/* A cropped photo that does not reach across the network goes on as at its edge; around others it is grey. */
void df_photo_row(const df_frame *f, const df_placement *p, const float *unit, const df_view *out, int y, df_region r)
{
    int row = y - p->top, c = out->channels;
    int x0 = df_min(df_max(p->left, r.x0), r.x1), x1 = df_max(df_min(p->left + p->width, r.x1), x0);
    if (f->crop)
        row = within(row, p->height);
    else if (row < 0 || row >= p->height)
        x0 = x1 = r.x1;
    for (int x = r.x0; x < r.x1; x++) {
        if (x >= x0 && x < x1)
            continue;
        int edge = within(x - p->left, p->width);
        if (f->crop)
            scaled_row(f, p, unit, row, edge, edge + 1, df_pixel(out, y, 0, x), out->pixel, c);
        for (int k = 0; k < c && !f->crop; k++)
            df_pixel(out, y, 0, x)[k] = 0.5f;
    }
    if (x0 < x1)
        scaled_row(f, p, unit, row, x0 - p->left, x1 - p->left, df_pixel(out, y, 0, x0), out->pixel, c);
}
