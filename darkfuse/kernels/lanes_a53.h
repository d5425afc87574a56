/* Pixel sums of 4 to 8 pixels x 8 output channels, in assembly for cores that issue in order (lanes_a53.c). */
#ifndef DF_LANES_A53_H
#define DF_LANES_A53_H

#include "vec.h"

#if defined(DF_ISA_A53) && defined(__aarch64__)
#define DF_IN_ORDER 1
#define IN_ORDER_FEWEST 4 /* pixels */
#define IN_ORDER_RUNS 32

/* What both files of assembly are written in: a multiply-add by element; a 16-byte load as its low half, its high half
 * and putting them together; sums that begin at 0; a pixel's sums into memory. */
/* clang-format off */
#define DF_IN_ORDER_MACROS \
    ".altmacro\n" \
    ".macro df_fmla acc, w, x, k\n" \
    "  fmla v\\acc\\().4s, v\\w\\().4s, v\\x\\().s[\\k]\n" \
    ".endm\n" \
    ".macro df_low reg, base, at\n  ldr d\\reg, [\\base, #\\at]\n.endm\n" \
    ".macro df_high tmp, base, at\n  ldr x\\tmp, [\\base, #\\at]\n.endm\n" \
    ".macro df_join reg, tmp\n  ins v\\reg\\().d[1], x\\tmp\n.endm\n" \
    ".macro df_zero r\n  movi v\\r\\().4s, #0\n.endm\n" \
    ".macro df_store a, b\n  stp q\\a, q\\b, [x4]\n  add x4, x4, x5\n.endm\n"
/* clang-format on */

/* out (pixels: out_bytes, 8) = or += turns / 4 runs of 16 input channels, the n-th runs[n] bytes from `in`, pixels 16
 * floats apart, times rows of weights from w on, one for each channel. Called by `in_order_sums` only. */
typedef void df_pixel_sums(const float *in, const int64_t *runs, int64_t turns, const float *w, float *out,
                           int64_t out_bytes, int add);

/* out (8: out_bytes, 8) = max(slope * y, y) of a tile's y: `rows` rows of nine values, the n-th row runs[n] bytes from
 * `in`, pixels 3 floats apart; rows of 32 weights, of which 8 count (first_a53.c). */
typedef void df_rgb_tile(const float *in, const int64_t *runs, int64_t rows, const float *w, float *out,
                         int64_t out_bytes, const float *bias, float slope);

/* x32: rows of 8 floats; x128: of 32, of which 8 count */
#pragma GCC visibility push(hidden)
df_pixel_sums df_sums_4x32__a53, df_sums_5x32__a53, df_sums_6x32__a53, df_sums_7x32__a53, df_sums_8x32__a53;
df_pixel_sums df_sums_4x128__a53, df_sums_5x128__a53, df_sums_6x128__a53, df_sums_7x128__a53, df_sums_8x128__a53;
df_rgb_tile df_rgb_sums__a53;
#pragma GCC visibility pop

/* A call of one that keeps no vector register: whoever calls several saves those of its own once. */
DF_INLINE void in_order_sums(df_pixel_sums *sums, const float *in, const int64_t *runs, int64_t turns, const float *w,
                             float *out, int64_t out_bytes, int64_t add)
{
    register const float *x0 __asm__("x0") = in, *x3 __asm__("x3") = w;
    register const int64_t *x1 __asm__("x1") = runs;
    register float *x4 __asm__("x4") = out;
    register int64_t x2 __asm__("x2") = turns, x5 __asm__("x5") = out_bytes, x6 __asm__("x6") = add;
    __asm__ volatile("blr %7"
                     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4)
                     : "r"(x5), "r"(x6), "r"(sums)
                     : "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x30", "cc", "memory",
                       "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14",
                       "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28",
                       "v29", "v30", "v31");
}
#endif

#endif
