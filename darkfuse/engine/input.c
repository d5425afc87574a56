/* The network's input, row by row where the first layer wants it: no resized or float copy of the photo. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine.h"

/* Where the resized photo lies in the network's input, and the step of the resizing. */
typedef struct {
    int width, height, left, top;
    float step_x, step_y; /* photo pixels per pixel, corners aligned */
} placement;

/* Darknet's letterbox_image: the short side by integer division. */
static placement place(const df_frame *f, int width, int height)
{
    placement p = {.width = width, .height = height};
    if (f->letterbox) {
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

/* Multiply and add must round apart, as they do in Darknet, on machines with fused ones too. */
#if defined(__GNUC__) && !defined(__clang__)
#define ROUND_APART __attribute__((optimize("fp-contract=off")))
#else
#define ROUND_APART
#endif

/* One row of the resized photo, columns [x0, x1), to `to`, `pixel` floats apart.  Darknet's resize_image:
 * horizontally first, then vertically, in this order of operations; its last row takes a single source row. */
ROUND_APART static void resize_row(const df_frame *f, const placement *p, const float *unit, int y, int x0, int x1,
                                   float *to, int pixel)
{
#ifdef __clang__
#pragma clang fp contract(off)
#endif
    float at_y = y * p->step_y;
    int row = df_min((int)at_y, f->height - 1);
    float below = at_y - row, above = 1 - below;
    bool two_rows = y != p->height - 1 && f->height > 1 && row + 1 < f->height;
    const uint8_t *a = f->pixels + (size_t)row * f->width * 3, *b = two_rows ? a + (size_t)f->width * 3 : a;
    for (int x = x0; x < x1; x++, to += pixel) {
        float at_x = x * p->step_x;
        int col = (int)at_x;
        bool last = x == p->width - 1 || f->width == 1 || col + 1 >= f->width;
        if (last)
            col = f->width - 1;
        float right = at_x - col, left = 1 - right;
        const uint8_t *pa = a + (size_t)col * 3, *pb = b + (size_t)col * 3;
        for (int k = 0; k < 3; k++) {
            float va = last ? unit[pa[k]] : left * unit[pa[k]] + right * unit[pa[k + 3]];
            float value = above * va;
            if (two_rows) {
                float vb = last ? unit[pb[k]] : left * unit[pb[k]] + right * unit[pb[k + 3]];
                value = value + below * vb;
            }
            to[k] = value;
        }
    }
}

static void photo_row(const df_frame *f, const placement *p, const float *unit, const df_view *out, int y,
                      df_region r)
{
    int x0 = df_min(df_max(p->left, r.x0), r.x1), x1 = df_max(df_min(p->left + p->width, r.x1), x0);
    if (y < p->top || y >= p->top + p->height)
        x0 = x1 = r.x1;
    for (int x = r.x0; x < r.x1; x++)
        if (x < x0 || x >= x1)
            for (int k = 0; k < 3; k++)
                df_pixel(out, y, 0, x)[k] = 0.5f;
    if (x0 < x1)
        resize_row(f, p, unit, y - p->top, x0 - p->left, x1 - p->left, df_pixel(out, y, 0, x0), out->pixel);
}

static void chw_row(const float *chw, const df_view *out, int y, df_region r)
{
    for (int c = 0; c < out->channels; c++) {
        const float *from = chw + ((int64_t)c * out->height + y) * out->width;
        float *to = df_pixel(out, y, c / DF_CB, 0) + c % DF_CB;
        for (int x = r.x0; x < r.x1; x++)
            to[(int64_t)x * out->pixel] = from[x];
    }
}

/* Channels past the last one are zeros. */
static void zero_lanes(const df_view *out, int y, df_region r)
{
    int used = out->channels % DF_CB;
    for (int x = r.x0; used && x < r.x1; x++)
        memset(df_pixel(out, y, out->blocks - 1, x) + used, 0, (size_t)(DF_CB - used) * sizeof(float));
}

/* A photo that was swapped out comes back at once, not in a fault here and another there: as much of it as is used
 * before the rest could go out again. */
void df_expect_frame(const void *frame, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), into = (uintptr_t)frame % page;
    madvise((char *)frame - into, (bytes < DF_EXPECTED ? bytes : DF_EXPECTED) + into, MADV_WILLNEED);
}

void df_input(df_team *t, const df_op *op, int j, df_region r)
{
    const df_frame *f = &t->e->frame;
    df_view out = df_tile_view(op->out, j);
    placement p = {0};
    float unit[256];
    if (f->pixels) {
        p = place(f, out.width, out.height);
        for (int v = 0; v < 256; v++)
            unit[v] = (float)(v / 255.0);
    }
    long items = r.y1 - r.y0;
    for (long n; (n = df_take(t, items)) >= 0;) {
        int y = r.y0 + (int)n;
        if (out.pixel == DF_CB)
            zero_lanes(&out, y, r);
        if (f->pixels)
            photo_row(f, &p, unit, &out, y, r);
        else
            chw_row(f->chw, &out, y, r);
        df_zero_margin(&out, y, y + 1, 0, out.blocks);
    }
    df_join(t, items);
}
