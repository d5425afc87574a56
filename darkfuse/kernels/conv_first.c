/* The first layer (three interleaved channels, dilation 1): a row of the window is 3 * size contiguous
 * floats, and the next pixel's window begins 3 * stride floats on.  Sums run over (kh, kw, ic). */
#include "walk.h"

/* clang-format off */
#define KINDS(V) TILES(V, one, 3, w->run) TILES(V, two, 6, w->run) TILES_4(V, any, w->step, w->run)
#define KIND_NAMES(V) {{TILE_NAMES(V, one)}, {TILE_NAMES(V, two)}, {NAMES_4(V, any)}}
/* clang-format on */
#include "kinds.h"

static void first_strip(const panel_job *j, const df_view *dst, int block, int y0, int y1, int x0, int x1)
{
    const df_conv *c = j->c;
    const df_view *in = j->in;
    const int kind = c->stride <= 2 ? c->stride - 1 : 2;
    walk w = {.lanes = j->lanes,
              .out_block = (int64_t)dst->cols * DF_CB,
              .step = (int64_t)c->stride * in->pixel,
              .slope = j->slope,
              .run = c->size * c->in_c};
    const pass s = {.j = j,
                    .fn = j->lanes < NV * DF_VL ? half[kind] : full[kind],
                    .widest = kind < 2 ? WIDEST : 4,
                    .b1 = 1,
                    .last = !j->sums,
                    .taps = 1,
                    .x = (int64_t)(x0 * c->stride - c->pad - in->x0) * in->pixel};
    walk_rows(&w, &s, dst, block, y0, y1, x0, x1);
}

void DF_NAME(conv_first)(const df_conv *c, const df_view *in, const df_view *out, const float *packed,
                         const float *bias, int panel, int y0, int y1, int x0, int x1)
{
    run_panel(first_strip, WIDEST, STRIP_WHOLE, c, in, out, packed, bias, panel, y0, y1, x0, x1);
}
