/* The tile of `add_rgb_row` for Cortex-A53 and A55, bias and activation included: 8 pixels x 8 output channels of a
 * 3x3 convolution over interleaved RGB, in the order these in-order cores can issue (lanes_a53.c says why).
 *
 * v16-v31: sums of pixel t in v16 + 2t and v17 + 2t.  v0-v7: 30 floats of a row of the input, the last four from the
 * 26th on.  v8-v13: weights of three of a row's nine values, of which the n-th multiplies float 3t + n.  v14: slope.
 * x0 + [x1]: where the row is, x2: rows left, x3: weights, x4: out, x5: bytes from pixel to pixel, x6: bias. */
#include "lanes_a53.h"

#if defined(DF_ISA_A53) && defined(__aarch64__)
/* clang-format off */
/* df_n: the next of the 16 fmla of value c; df_k: the next load, whose second half is put in place two loads on. */
__asm__(
    DF_IN_ORDER_MACROS
    ".macro df_next c\n"
    "  .set df_at, df_n / 2 * 3 + \\c\n"
    "  df_fmla %(16 + df_n), %(8 + \\c % 3 * 2 + df_n % 2), %(df_at / 4), %(df_at % 4 + df_at / 28 * 2)\n"
    "  .set df_n, df_n + 1\n"
    ".endm\n"
    ".macro df_load c, reg, base, at, more\n"
    "  df_low \\reg, \\base, %(\\at)\n  df_join %df_r2, %df_t2\n"
    "  df_next \\c\n  df_high %(10 + df_k % 4), \\base, %(\\at + 8)\n  df_next \\c\n"
    "  .rept \\more\n  df_next \\c\n  .endr\n"
    "  .set df_r2, df_r1\n  .set df_t2, df_t1\n  .set df_r1, \\reg\n  .set df_t1, 10 + df_k % 4\n"
    "  .set df_k, df_k + 1\n"
    ".endm\n"
    /* value c: the weights of value c + 2, at `at` bytes from `base`, are loaded meanwhile */
    ".macro df_value c, base, at, more\n"
    "  .set df_n, 0\n"
    "  df_load \\c, %(8 + (\\c + 2) % 3 * 2), \\base, \\at, \\more\n"
    "  df_load \\c, %(9 + (\\c + 2) % 3 * 2), \\base, %(\\at + 16), 0\n"
    ".endm\n"
    ".macro df_rest c\n  .rept 16 - df_n\n  df_next \\c\n  .endr\n.endm\n"
    ".macro df_bias a, b\n  fadd v\\a\\().4s, v\\a\\().4s, v0.4s\n  fadd v\\b\\().4s, v\\b\\().4s, v1.4s\n.endm\n"
    ".macro df_sloped s, r\n  fmul v\\s\\().4s, v\\r\\().4s, v14.4s\n.endm\n"
    ".macro df_larger r, s\n  fmax v\\r\\().4s, v\\r\\().4s, v\\s\\().4s\n.endm\n"
    ".macro df_half reg, tmp, at\n  ldr d\\reg, [x9, #\\at]\n  ldr x\\tmp, [x9, #\\at + 8]\n.endm\n"
    ".macro df_four from\n" /* sums of four pixels */
    "  .irp t, 0, 1, 2, 3, 4, 5, 6, 7\n  df_sloped %(2 + \\t), %(\\from + \\t)\n  .endr\n"
    "  .irp t, 0, 1, 2, 3, 4, 5, 6, 7\n  df_larger %(\\from + \\t), %(2 + \\t)\n  .endr\n"
    "  .irp t, 0, 2, 4, 6\n  df_store %(\\from + \\t), %(\\from + \\t + 1)\n  .endr\n"
    ".endm\n"
    ".text\n.p2align 4\n.global df_rgb_sums__a53\n.hidden df_rgb_sums__a53\n.type df_rgb_sums__a53, %function\n"
    "df_rgb_sums__a53:\n"
    "  stp d8, d9, [sp, #-64]!\n  stp d10, d11, [sp, #16]\n  stp d12, d13, [sp, #32]\n  stp d14, d15, [sp, #48]\n"
    "  dup v14.4s, v0.s[0]\n"
    "  mov x16, x1\n  ldr x9, [x1], #8\n  add x9, x0, x9\n"
    "  .irp r, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31\n  df_zero \\r\n  .endr\n"
    "  ldp q0, q1, [x9]\n  ldp q2, q3, [x9, #32]\n"
    "  df_half 4, 10, 64\n  df_half 5, 11, 80\n"
    "  ldp q8, q9, [x3]\n  ldp q10, q11, [x3, #128]\n"
    "  .set df_r2, 4\n  .set df_t2, 10\n  .set df_r1, 5\n  .set df_t1, 11\n"
    "1:\n"
    "  .set df_k, 0\n"
    "  df_value 0, x3, 256, 2\n  df_load 0, 6, x9, 96, 2\n  df_load 0, 7, x9, 104, 2\n  df_rest 0\n"
    "  subs x2, x2, #1\n"
    "  df_value 1, x3, 384, 6\n  csel x8, x1, x16, ne\n  df_rest 1\n  ldr x8, [x8]\n"
    "  df_value 2, x3, 512, 6\n  add x7, x3, #9 * 128\n  df_rest 2\n  csel x7, x3, x7, eq\n"
    "  df_value 3, x3, 640, 6\n  add x8, x0, x8\n  df_rest 3\n  add x1, x1, #8\n"
    "  df_value 4, x3, 768, 6\n  df_rest 4\n"
    "  df_value 5, x3, 896, 4\n  df_load 5, 0, x8, 0, 2\n  df_rest 5\n"
    "  df_value 6, x3, 1024, 6\n  mov x9, x8\n  df_rest 6\n  mov x3, x7\n"
    "  df_value 7, x3, 0, 6\n  df_rest 7\n"
    "  df_value 8, x3, 128, 0\n"
    "  .irp r, 1, 2, 3, 4, 5\n  df_load 8, \\r, x9, %(16 * \\r), 0\n  .endr\n"
    "  df_rest 8\n"
    "  cbnz x2, 1b\n"
    "  ldp q0, q1, [x6]\n"
    "  .irp t, 16, 18, 20, 22, 24, 26, 28, 30\n  df_bias \\t, %(\\t + 1)\n  .endr\n"
    "  df_four 16\n  df_four 24\n"
    "  ldp d10, d11, [sp, #16]\n  ldp d12, d13, [sp, #32]\n  ldp d14, d15, [sp, #48]\n  ldp d8, d9, [sp], #64\n"
    "  ret\n"
    ".size df_rgb_sums__a53, . - df_rgb_sums__a53\n"
    ".noaltmacro\n");
/* clang-format on */
#endif
