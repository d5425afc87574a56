/* The sums of `add_run` for Cortex-A53 and A55, in the order these in-order cores can issue.
 *
 * They issue a 128-bit load alone, for two cycles, but a multiply-add together with a 64-bit load into a general
 * register or with an insert.  So each 16 bytes come as `ldr d`, `ldr x`, `ins`, spread between multiply-adds, and
 * each turn of four channels loads what the next turn needs.  A compiler does neither; the same block in C takes a
 * fifth longer by the model of tools/arm/inorder.py.  Sums are added in the order of `add_run`: same bits.
 *
 * v16-v31: sums of pixel t in v16 + 2t and v17 + 2t.  v0-v7: four channels of each pixel.  v8-v15: four rows of
 * weights.  x0 + [x1]: where the run is, x2: turns left, x3: weights, x4: sums in memory, x5: bytes from one pixel's
 * sums to the next, w6: whether to add to them. */
#include "lanes_a53.h"

#if defined(DF_ISA_A53) && defined(__aarch64__)
/* clang-format off */
/* One fmla of 64: the n-th is of channel n / 16, pixel n / 2 % 8, vector n % 2.  Loads begin at the n each is tied
 * to and end two slots on; pixels past `pixels` have neither. */
__asm__(
    ".altmacro\n"
    ".macro df_fmla acc, w, x, k\n"
    "  fmla v\\acc\\().4s, v\\w\\().4s, v\\x\\().s[\\k]\n"
    ".endm\n"
    ".macro df_sum n, pixels\n"
    "  .if ((\\n) % 16) / 2 < \\pixels\n"
    "  df_fmla %(16 + (\\n) % 16), %(8 + (\\n) / 16 * 2 + (\\n) % 2), %((\\n) % 16 / 2), %((\\n) / 16)\n"
    "  .endif\n"
    ".endm\n"
    ".macro df_sums from, to, pixels\n"
    "  .set df_n, \\from\n"
    "  .rept \\to - \\from + 1\n"
    "  df_sum %df_n, \\pixels\n"
    "  .set df_n, df_n + 1\n"
    "  .endr\n"
    ".endm\n"
    /* low half, high half, and putting them together */
    ".macro df_low reg, base, at\n  ldr d\\reg, [\\base, #\\at]\n.endm\n"
    ".macro df_high tmp, base, at\n  ldr x\\tmp, [\\base, #\\at]\n.endm\n"
    ".macro df_join reg, tmp\n  ins v\\reg\\().d[1], x\\tmp\n.endm\n"
    /* a load tied to sum n: begins after it, ends after the next; `before` is put together meanwhile */
    ".macro df_slot n, reg, base, at, tmp, before, other, pixels\n"
    "  df_sum \\n, \\pixels\n"
    "  .if \\reg > 7 || \\reg < \\pixels\n  df_low \\reg, \\base, \\at\n  .endif\n"
    "  .if (\\before > 7 && \\before < 16) || \\before < \\pixels\n  df_join \\before, \\other\n  .endif\n"
    "  df_sum %(\\n + 1), \\pixels\n"
    "  .if \\reg > 7 || \\reg < \\pixels\n  df_high \\tmp, \\base, %(\\at + 8)\n  .endif\n"
    "  df_sum %(\\n + 2), \\pixels\n"
    ".endm\n"
    ".macro df_zero r\n  movi v\\r\\().4s, #0\n.endm\n"
    ".macro df_first r\n  ldr q\\r, [x9, #64 * \\r]\n.endm\n"
    ".macro df_more a, b\n"
    "  ldp q0, q1, [x9]\n  add x9, x9, x5\n"
    "  fadd v\\a\\().4s, v\\a\\().4s, v0.4s\n  fadd v\\b\\().4s, v\\b\\().4s, v1.4s\n"
    ".endm\n"
    ".macro df_store a, b\n  stp q\\a, q\\b, [x4]\n  add x4, x4, x5\n.endm\n"
    ".macro df_pixel_sums name, pixels, row\n"
    ".text\n.p2align 4\n.global \\name\n.hidden \\name\n.type \\name, %function\n"
    "\\name:\n"
    "  stp d8, d9, [sp, #-64]!\n  stp d10, d11, [sp, #16]\n  stp d12, d13, [sp, #32]\n  stp d14, d15, [sp, #48]\n"
    "  mov x16, x1\n  mov x15, #16\n  ldr x9, [x1], #8\n  add x9, x0, x9\n"
    "  .irp r, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31\n  df_zero \\r\n  .endr\n"
    "  .irp r, 0, 1, 2, 3, 4, 5, 6, 7\n  .if \\r < \\pixels\n  df_first \\r\n  .endif\n  .endr\n"
    "  ldp q8, q9, [x3]\n  ldp q10, q11, [x3, #\\row]\n"
    "  ldr x11, [x9, #264]\n"
    "1:\n"
    "  df_sums 0, 1, \\pixels\n"
    "  df_slot 2, 5, x9, 320, 10, 4, 11, \\pixels\n"
    "  df_slot 5, 6, x9, 384, 11, 5, 10, \\pixels\n"
    "  df_slot 8, 7, x9, 448, 10, 6, 11, \\pixels\n"
    "  df_slot 11, 12, x3, %(2 * \\row), 11, 7, 10, \\pixels\n"
    "  df_slot 14, 13, x3, %(2 * \\row + 16), 10, 12, 11, \\pixels\n"
    "  df_slot 17, 14, x3, %(3 * \\row), 11, 13, 10, \\pixels\n"
    "  df_slot 20, 15, x3, %(3 * \\row + 16), 10, 14, 11, \\pixels\n"
    "  df_sums 23, 24, \\pixels\n  df_join 15, 10\n"
    /* where the next turn reads: 16 bytes on, or at the next run, or where this one did */
    "  df_sum 25, \\pixels\n  subs x2, x2, #1\n"
    "  df_sum 26, \\pixels\n  add x7, x3, #4 * \\row\n"
    "  df_sum 27, \\pixels\n  csel x3, x3, x7, eq\n"
    "  df_sum 28, \\pixels\n  csel x8, xzr, x15, eq\n"
    "  df_sum 29, \\pixels\n  add x8, x9, x8\n"
    "  df_sum 30, \\pixels\n  tst x2, #3\n"
    "  df_sum 31, \\pixels\n  ccmp x2, #0, #4, eq\n" /* ne: a run ends here, and it is not the last */
    "  df_sum 32, \\pixels\n  csel x12, x1, x16, ne\n"
    "  df_sum 33, \\pixels\n  ldr x13, [x12]\n"
    "  df_sums 34, 35, \\pixels\n  add x13, x0, x13\n"
    "  df_sum 36, \\pixels\n  csel x9, x13, x8, ne\n"
    "  df_sum 37, \\pixels\n  cinc x14, xzr, ne\n"
    "  df_sum 38, \\pixels\n  add x1, x1, x14, lsl #3\n"
    "  df_slot 39, 8, x3, 0, 11, 16, 10, \\pixels\n"
    "  df_slot 42, 9, x3, 16, 10, 8, 11, \\pixels\n"
    "  df_slot 45, 10, x3, \\row, 11, 9, 10, \\pixels\n"
    "  df_slot 48, 11, x3, %(\\row + 16), 10, 10, 11, \\pixels\n"
    "  df_slot 51, 0, x9, 0, 11, 11, 10, \\pixels\n"
    "  df_slot 54, 1, x9, 64, 10, 0, 11, \\pixels\n"
    "  df_slot 57, 2, x9, 128, 11, 1, 10, \\pixels\n"
    "  df_slot 60, 3, x9, 192, 10, 2, 11, \\pixels\n"
    "  df_sum 63, \\pixels\n  df_low 4, x9, 256\n  df_join 3, 10\n  df_high 11, x9, 264\n"
    "  cbnz x2, 1b\n"
    "  mov x9, x4\n"
    "  cbz w6, 2f\n"
    "  .irp t, 0, 1, 2, 3, 4, 5, 6, 7\n  .if \\t < \\pixels\n"
    "  df_more %(16 + 2 * \\t), %(17 + 2 * \\t)\n  .endif\n  .endr\n"
    "2:\n"
    "  .irp t, 0, 1, 2, 3, 4, 5, 6, 7\n  .if \\t < \\pixels\n"
    "  df_store %(16 + 2 * \\t), %(17 + 2 * \\t)\n  .endif\n  .endr\n"
    "  ldp d10, d11, [sp, #16]\n  ldp d12, d13, [sp, #32]\n  ldp d14, d15, [sp, #48]\n  ldp d8, d9, [sp], #64\n"
    "  ret\n"
    ".size \\name, . - \\name\n"
    ".endm\n"
    "df_pixel_sums df_sums_5x32__a53, 5, 32\n"
    "df_pixel_sums df_sums_6x32__a53, 6, 32\n"
    "df_pixel_sums df_sums_7x32__a53, 7, 32\n"
    "df_pixel_sums df_sums_8x32__a53, 8, 32\n"
    "df_pixel_sums df_sums_5x128__a53, 5, 128\n"
    "df_pixel_sums df_sums_6x128__a53, 6, 128\n"
    "df_pixel_sums df_sums_7x128__a53, 7, 128\n"
    "df_pixel_sums df_sums_8x128__a53, 8, 128\n"
    ".noaltmacro\n");
/* clang-format on */
#endif
