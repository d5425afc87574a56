/* Convolution of any size, stride and dilation (groups == 1) over rows of channel blocks, without im2col.
 * Sums run over (ic/16, kh, kw, ic%16). */
#include "tiles.h"

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
#define KINDS(V) \
    TILES(V, one, DF_CB, DF_CB) TILES(V, two, 2 * DF_CB, DF_CB) TILES_4(V, any, w->step, DF_CB)
#define KIND_NAMES(V) {{TILE_NAMES(V, one)}, {TILE_NAMES(V, two)}, {NAMES_4(V, any)}}
/* clang-format on */
#include "kinds.h"

static void direct_strip(const panel_job *j, const df_view *dst, int block, int y0, int y1, int x0, int x1)
{
    const df_conv *c = j->c;
    const df_view *in = j->in;
    const int kind = c->stride <= 2 ? c->stride - 1 : 2;
    const int blocks = (c->in_c + DF_CB - 1) / DF_CB;
    const int group = pass_blocks(c->size);
    const int64_t in_x = (int64_t)(x0 * c->stride - c->pad - in->x0) * DF_CB;
    walk w = {
        .row = in->row_stride,
        .block = (int64_t)in->cols * DF_CB,
        .out_block = (int64_t)dst->cols * DF_CB,
        .step = (int64_t)c->stride * DF_CB,
        .tap = (int64_t)c->dilation * DF_CB,
        .slope = j->slope,
        .size = c->size,
        .taps = c->size,
        .run = DF_CB,
        .slots = in->slots,
        .hop = c->dilation % in->slots,
    };
    tile_fn *const *fn = j->lanes < NV * DF_VL ? half[kind] : full[kind];
    for (w.b0 = 0; w.b0 < blocks; w.b0 = w.b1) {
        w.b1 = least(w.b0 + group, blocks);
        walk_rows(&w, fn, kind < 2 ? WIDEST : ANY_WIDEST, j, in_x, dst, block, w.b1 == blocks, y0, y1, x0, x1);
    }
}

void DF_NAME(conv_direct)(const df_conv *c, const df_view *in, const df_view *out, const float *packed,
                          const float *bias, int panel, int y0, int y1, int x0, int x1)
{
    run_panel(direct_strip, WIDEST, STRIP, c, in, out, packed, bias, panel, y0, y1, x0, x1);
}
