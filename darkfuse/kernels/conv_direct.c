/* Convolution of any size, stride and dilation (groups == 1) over rows of channel blocks, without im2col.
 * Sums run over (ic/16, kh, kw, ic%16). */
#include "walk.h"

#define ANY_WIDEST 4 /* of strides other than 1 and 2, whose addresses need registers */

/* Channel blocks of one pass: their weights of a whole panel take up to half of a first-level cache of 32 KiB.
 * Each pass is summed from zero and then added to those before it, so that where passes end decides the last bits of
 * a sum.  The kernel's size alone says where: never the strip, the region, the lanes a view has room for, the threads
 * or the budget. */
DF_INLINE int pass_blocks(int size)
{
    const int floats = DF_PANEL * DF_CB * size * size;
    return floats < 4096 ? 4096 / floats : 1;
}

/* clang-format off */
#if ACROSS
#define KINDS(V) \
    TILES(V, one, DF_CB, DF_CB) TILES(V, two, 2 * DF_CB, DF_CB) TILES_4(V, any, w->step, DF_CB) \
        CAT(TILES_, ACROSS)(V, across, 0, DF_CB)
#define KIND_NAMES(V) {{TILE_NAMES(V, one)}, {TILE_NAMES(V, two)}, {NAMES_4(V, any)}, {CAT(NAMES_, ACROSS)(V, across)}}
#else
#define KINDS(V) TILES(V, one, DF_CB, DF_CB) TILES(V, two, 2 * DF_CB, DF_CB) TILES_4(V, any, w->step, DF_CB)
#define KIND_NAMES(V) {{TILE_NAMES(V, one)}, {TILE_NAMES(V, two)}, {NAMES_4(V, any)}}
#endif
/* clang-format on */
#include "kinds.h"

static void direct_strip(const panel_job *j, const df_view *dst, int block, int y0, int y1, int x0, int x1)
{
    const df_conv *c = j->c;
    const df_view *in = j->in;
    const int kind = c->stride <= 2 ? c->stride - 1 : 2;
    const int blocks = (c->in_c + DF_CB - 1) / DF_CB, group = pass_blocks(c->size);
    tile_fn *const(*fn)[WIDEST] = j->lanes < NV * DF_VL ? half : full;
    walk w = {.lanes = j->lanes,
              .out_block = (int64_t)dst->cols * DF_CB,
              .step = (int64_t)c->stride * DF_CB,
              .slope = j->slope,
              .run = DF_CB};
    pass s = {.j = j,
              .fn = fn[kind],
              .across = ACROSS && kind < 2 && x1 - x0 <= ACROSS_ROW ? fn[3] : NULL,
              .widest = kind < 2 ? WIDEST : ANY_WIDEST,
              .taps = c->size,
              .tap = (int64_t)c->dilation * DF_CB,
              .block = (int64_t)in->cols * DF_CB,
              .x = (int64_t)(x0 * c->stride - c->pad - in->x0) * DF_CB};
#if ACROSS
    int64_t from[STRIP + DF_CB], to[STRIP];
    if (s.across && y1 - y0 > 1) {
        int n = 0;
        for (int y = 0; y < y1 - y0; y++)
            for (int x = 0; x < x1 - x0; x++, n++) {
                from[n] = y * c->stride * in->row_stride + x * w.step;
                to[n] = y * dst->row_stride + (int64_t)x * DF_CB;
            }
        memset(from + n, 0, DF_CB * sizeof *from); /* fetched ahead */
        w.from = from;
        w.to = to;
    }
#endif
    for (; s.b0 < blocks; s.b0 = s.b1) {
        s.b1 = least(s.b0 + group, blocks);
        s.last = s.b1 == blocks && !j->sums;
        const int runs = (s.b1 - s.b0) * c->size * c->size, floats = runs * DF_CB * DF_PANEL;
        const int tiles = tile_count((y1 - y0) * (x1 - x0), s.widest) * tile_count(w.lanes, NV * DF_VL);
        const int64_t turns = (int64_t)tiles * runs;
        w.ahead = j->w + (int64_t)s.b1 * DF_CB * c->size * c->size * DF_PANEL;
        w.end = w.ahead + floats;
        w.lines = (int)((floats / LINE + turns - 1) / turns);
        walk_rows(&w, &s, dst, block, y0, y1, x0, x1);
    }
}

void DF_NAME(conv_direct)(const df_conv *c, const df_view *in, const df_view *out, const float *packed,
                          const float *bias, int panel, int y0, int y1, int x0, int x1)
{
    run_panel(direct_strip, WIDEST, STRIP, c, in, out, packed, bias, panel, y0, y1, x0, x1);
}
