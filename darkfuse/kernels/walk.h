/* How conv_direct and conv_first walk a strip: which runs of the input an output row sums, and which rows are walked as
 * one. */
#ifndef DF_WALK_H
#define DF_WALK_H

#include "tiles.h"

/* One pass over the channel blocks [b0, b1) of a convolution.
 *
 * fn, across: by pixels - 1, up to the widest; across is NULL where there are none
 * last: of the passes; before it sums are partial
 * taps: runs in a row of the window, `tap` input floats from one to the next
 * block: input floats to the next channel block
 * x: where in a slot the first pixel's window begins, in floats */
typedef struct {
    const panel_job *j;
    tile_fn *const *fn, *const *across;
    int widest, b0, b1;
    bool last;
    int taps;
    int64_t tap, block, x;
} pass;

/* The rows of the window of an output row. */
typedef struct {
    int k0, k1; /* those inside the map */
    int slot; /* of the first of them */
} window;

DF_INLINE window window_of(const df_conv *c, const df_view *in, int y)
{
    const int top = y * c->stride - c->pad, d = c->dilation;
    window at = {.k0 = top < 0 ? (-top + d - 1) / d : 0};
    at.k1 = least(c->size, in->height > top ? (in->height - top + d - 1) / d : 0);
    at.slot = at.k0 < at.k1 ? (top + at.k0 * d) % in->slots : 0;
    return at;
}

/* List runs of a window from the `first` on, as many as lie one after another in the panel and fit the list. */
DF_INLINE void list_runs(walk *w, const pass *s, const window *at, int first)
{
    const df_conv *c = s->j->c;
    const df_view *in = s->j->in;
    const int rows = at->k1 - at->k0, per_block = rows * s->taps, hop = c->dilation % in->slots;
    int b = s->b0, left = (s->b1 - b) * per_block - first, t = 0, k = 0, slot = at->slot;
    if (first) { /* rare */
        b += first / per_block;
        k = first % per_block / s->taps;
        t = first % s->taps;
        slot = (slot + k * hop) % in->slots;
    }
    if (rows < c->size)
        left = least(left, per_block - k * s->taps - t);
    w->count = least(left, RUNS);
    w->w = s->j->w + ((int64_t)(b * c->size + at->k0 + k) * s->taps + t) * w->run * DF_PANEL;
    for (int n = 0; n < w->count; n++) {
        w->runs[n] = (slot * in->row_stride + b * s->block + t * s->tap) * (int64_t)sizeof(float);
        if (++t < s->taps)
            continue;
        t = 0;
        slot += hop;
        slot -= slot >= in->slots ? in->slots : 0;
        if (++k == rows) {
            k = 0;
            b++;
            slot = at->slot;
        }
    }
}

/* Rows [y, y1) that can be walked as one long row: as many as have whole windows, and lie below one another without a
 * wrap, in and out. */
DF_INLINE int rows_in_one(const df_conv *c, const df_view *in, const df_view *dst, const window *at, int y, int y1)
{
    if (at->k1 - at->k0 < c->size)
        return 1;
    const int reach = (c->size - 1) * c->dilation;
    const int below = least(in->height - (y * c->stride - c->pad), in->slots - at->slot) - reach;
    const int rows = least(least(y1 - y, dst->slots - y % dst->slots), (below + c->stride - 1) / c->stride);
    return rows > 1 ? rows : 1;
}

/* Input floats from a window to that of the output row below it. */
DF_INLINE int64_t below(const df_conv *c, const df_view *in, const window *at)
{
    return ((at->slot + c->stride) % in->slots - at->slot) * in->row_stride;
}

/* Columns [x0, x1) of rows [y0, y1). */
DF_INLINE void walk_rows(walk *w, const pass *s, const df_view *dst, int block, int y0, int y1, int x0, int x1)
{
    const df_conv *c = s->j->c;
    const df_view *in = s->j->in;
    for (int y = y0, rows; y < y1; y += rows) {
        const window at = window_of(c, in, y);
        const int runs = (s->b1 - s->b0) * (at.k1 - at.k0) * s->taps;
        rows = s->across ? rows_in_one(c, in, dst, &at, y, y1) : 1;
        int n = 0;
        do { /* where no row is inside the map, too: with bias alone */
            list_runs(w, s, &at, n);
            w->add = s->b0 > 0 || n > 0;
            w->bias = s->last && n + w->count == runs ? s->j->bias : NULL;
            const int pixels = rows * (x1 - x0), tiles = tile_count(pixels, rows > 1 ? ACROSS : s->widest);
            const int narrow = pixels / tiles, wider = pixels % tiles; /* of nearly equal size */
            w->pixels = pixels;
            w->below = y + rows < y1 ? below(c, in, &at) : 0;
            tile_fn *const *fn = (rows > 1 ? s->across : s->fn) + narrow - 1;
            const float *from = in->base + s->x;
            float *to = df_pixel(dst, y, block, x0);
            if (wider)
                fn[1](w, from, to, 0, wider);
            fn[0](w, from, to, wider * (narrow + 1), tiles - wider);
            n += w->count;
        } while (n < runs);
    }
}

#endif
