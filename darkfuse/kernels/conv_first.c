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

#if DF_POOL_FIRST && DF_BY_LANE
#define POOLED 2 /* columns of one tile */

/* v16 on: sums of the upper row's four pixels, 8 channels each; v24 on: of the lower row's; v0-v4: 18 floats of a row of
 * the input, the last four from the 14th on; v5, v6: weights of one value, whose rows lie 128 bytes apart. */
/* clang-format off */
#define X_0 "v0.s[0]"
#define X_1 "v0.s[1]"
#define X_2 "v0.s[2]"
#define X_3 "v0.s[3]"
#define X_4 "v1.s[0]"
#define X_5 "v1.s[1]"
#define X_6 "v1.s[2]"
#define X_7 "v1.s[3]"
#define X_8 "v2.s[0]"
#define X_9 "v2.s[1]"
#define X_10 "v2.s[2]"
#define X_11 "v2.s[3]"
#define X_12 "v3.s[0]"
#define X_13 "v3.s[1]"
#define X_14 "v3.s[2]"
#define X_15 "v3.s[3]"
#define X_16 "v4.s[2]"
#define X_17 "v4.s[3]"
#define INPUT(y) \
    "ldp q0, q1, [%[in" #y "]]\n ldp q2, q3, [%[in" #y "], #32]\n ldr q4, [%[in" #y "], #56]\n"
#define PIXEL(op, s, t, at) \
    op " v" #s ".4s, v5.4s, " X_##at "\n" op " v" #t ".4s, v6.4s, " X_##at "\n"
#define UPPER(op, a, b, c, d) PIXEL(op, 16, 17, a) PIXEL(op, 18, 19, b) PIXEL(op, 20, 21, c) PIXEL(op, 22, 23, d)
#define LOWER(op, a, b, c, d) PIXEL(op, 24, 25, a) PIXEL(op, 26, 27, b) PIXEL(op, 28, 29, c) PIXEL(op, 30, 31, d)
#define VALUE(row, op, k, at, a, b, c, d) "ldp q5, q6, [%[w" #k "], #" #at "]\n" row(op, a, b, c, d)
#define NINE(row, op, k) \
    VALUE(row, op, k, -512, 0, 3, 6, 9) VALUE(row, "fmla", k, -384, 1, 4, 7, 10) \
    VALUE(row, "fmla", k, -256, 2, 5, 8, 11) VALUE(row, "fmla", k, -128, 3, 6, 9, 12) \
    VALUE(row, "fmla", k, 0, 4, 7, 10, 13) VALUE(row, "fmla", k, 128, 5, 8, 11, 14) \
    VALUE(row, "fmla", k, 256, 6, 9, 12, 15) VALUE(row, "fmla", k, 384, 7, 10, 13, 16) \
    VALUE(row, "fmla", k, 512, 8, 11, 14, 17)
#define LARGER(s, t) "fmax v" #s ".4s, v" #s ".4s, v" #t ".4s\n"
#define CELL(a, b, at) /* the largest of four pixels, bias, max(slope * x, x) */ \
    "fadd v" #a ".4s, v" #a ".4s, v0.4s\n fadd v" #b ".4s, v" #b ".4s, v1.4s\n" \
    "fmul v3.4s, v" #a ".4s, %[slope].s[0]\n fmul v4.4s, v" #b ".4s, %[slope].s[0]\n" \
    LARGER(a, 3) LARGER(b, 4) "stp q" #a ", q" #b ", [%[out], #" #at "]\n"

/* POOLED pooled pixels x 8 output channels of a 3x3 convolution, from sums to the end in registers: to store sums and
 * read them again is a tenth of the layer.  in: four rows of the input from the first window on; w: rows of 32 weights */
DF_INLINE void pooled_tile(const float *const in[4], const float *w, float *out, const float *bias, float slope)
{
    const float *middle = w + 4 * DF_PANEL; /* as far as loads of pairs reach, both ways */
    __asm__ volatile(INPUT(0) NINE(UPPER, "fmul", 0)
                     INPUT(1) NINE(UPPER, "fmla", 1) NINE(LOWER, "fmul", 0)
                     INPUT(2) NINE(UPPER, "fmla", 2) NINE(LOWER, "fmla", 1)
                     INPUT(3) NINE(LOWER, "fmla", 2)
                     "ldp q0, q1, [%[bias]]\n"
                     LARGER(16, 18) LARGER(17, 19) LARGER(20, 22) LARGER(21, 23)
                     LARGER(24, 26) LARGER(25, 27) LARGER(28, 30) LARGER(29, 31)
                     LARGER(16, 24) LARGER(17, 25) LARGER(20, 28) LARGER(21, 29)
                     CELL(16, 17, 0) CELL(20, 21, 64)
                     :
                     : [in0] "r"(in[0]), [in1] "r"(in[1]), [in2] "r"(in[2]), [in3] "r"(in[3]), [w0] "r"(middle),
                       [w1] "r"(middle + DF_RGB_ROW * DF_PANEL), [w2] "r"(middle + 2 * DF_RGB_ROW * DF_PANEL),
                       [out] "r"(out), [bias] "r"(bias), [slope] "w"(slope)
                     : "memory", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v16", "v17", "v18", "v19", "v20", "v21",
                       "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31");
}
/* clang-format on */

/* Columns [x0, x0 + POOLED * tiles) of a row of the pooled map, all of whose windows' rows are inside the image. */
static void pooled_row(const df_conv *c, const df_view *in, const df_view *out, const float *packed, const float *bias,
                       int panel, int y, int x0, int tiles)
{
    const int blocks = least(out->blocks, (c->out_c + DF_CB - 1) / DF_CB) - 2 * panel;
    const int lanes = least(blocks, DF_PANEL / DF_CB) * DF_CB;
    const int64_t block = (int64_t)out->cols * DF_CB;
    const float slope = act_slope(c->act), *rows[4];
    for (int i = 0; i < 4; i++)
        rows[i] = df_pixel(in, 2 * y - c->pad + i, 0, 2 * x0 - c->pad);
    float *to = df_pixel(out, y, 2 * panel, x0);
    for (int t = 0; t < tiles; t++, to += POOLED * DF_CB) {
        for (int lane = 0; lane < lanes; lane += 8)
            pooled_tile(rows, packed + lane, to + lane / DF_CB * block + lane % DF_CB, bias + lane, slope);
        for (int i = 0; i < 4; i++)
            rows[i] += 2 * POOLED * 3;
    }
}
#endif

void DF_NAME(conv_first)(const df_conv *c, const df_view *in, const df_view *out, const float *packed,
                         const float *bias, int panel, int y0, int y1, int x0, int x1)
{
#if DF_POOL_FIRST && DF_BY_LANE
    /* Pooled rows with whole windows, and columns in whole tiles: the rest is left to strips. */
    if (c->pool && c->size == 3 && c->stride == 1 && in->pixel == 3 && act_is_slope(c->act)
        && out->blocks > 2 * panel) {
        const int tiles = (least(x1, c->conv_w / 2) - x0) / POOLED, end = x0 + tiles * POOLED;
        const int top = least((c->pad + 1) / 2 > y0 ? (c->pad + 1) / 2 : y0, y1);
        const int bottom = least((in->height + c->pad - 2) / 2, y1);
        if (tiles > 0 && top < bottom) {
            for (int y = top; y < bottom; y++)
                pooled_row(c, in, out, packed, bias + panel * DF_PANEL, panel, y, x0, tiles);
            run_panel(first_strip, WIDEST, STRIP_WHOLE, c, in, out, packed, bias, panel, y0, top, x0, x1);
            run_panel(first_strip, WIDEST, STRIP_WHOLE, c, in, out, packed, bias, panel, bottom, y1, x0, x1);
            x0 = end;
            y0 = top;
            y1 = bottom;
        }
    }
#endif
    run_panel(first_strip, WIDEST, STRIP_WHOLE, c, in, out, packed, bias, panel, y0, y1, x0, x1);
}
