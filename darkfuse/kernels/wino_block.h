/* Winograd's products on aarch64 cores that issue out of order: sums of 6 tiles x 16 output channels.
 *
 * 24 sums, four channels of six tiles and half a row of weights are all 32 registers, which GCC fills with moves and
 * spills: so this is assembly.  Four channels of six tiles are 96 multiply-adds, 6 loads and 8 of pairs.  Loads stand
 * before their use, as those cores need no more.  A block is one straight run of code, so that a core begins the next
 * tiles while the last sums go to memory. */
#ifndef DF_WINO_BLOCK_H
#define DF_WINO_BLOCK_H

#include "wino.h"

#if WINO_VECS == 4
/* v0 on: sums of tile t in v(4t) .. v(4t + 3); v24 on: four channels of each tile; v30, v31: weights, of 16
 * outputs each 384 bytes; w is 576 past the first, as far as the loads of four channels reach. */
/* clang-format off */
#define MULTIPLY(op, a, b, x, k) \
    op " v" #a ".4s, v30.4s, v" #x ".s[" #k "]\n" op " v" #b ".4s, v31.4s, v" #x ".s[" #k "]\n"
#define LOW_1(op, k) MULTIPLY(op, 0, 1, 24, k)
#define LOW_2(op, k) LOW_1(op, k) MULTIPLY(op, 4, 5, 25, k)
#define LOW_3(op, k) LOW_2(op, k) MULTIPLY(op, 8, 9, 26, k)
#define LOW_4(op, k) LOW_3(op, k) MULTIPLY(op, 12, 13, 27, k)
#define LOW_5(op, k) LOW_4(op, k) MULTIPLY(op, 16, 17, 28, k)
#define LOW_6(op, k) LOW_5(op, k) MULTIPLY(op, 20, 21, 29, k)
#define HIGH_1(op, k) MULTIPLY(op, 2, 3, 24, k)
#define HIGH_2(op, k) HIGH_1(op, k) MULTIPLY(op, 6, 7, 25, k)
#define HIGH_3(op, k) HIGH_2(op, k) MULTIPLY(op, 10, 11, 26, k)
#define HIGH_4(op, k) HIGH_3(op, k) MULTIPLY(op, 14, 15, 27, k)
#define HIGH_5(op, k) HIGH_4(op, k) MULTIPLY(op, 18, 19, 28, k)
#define HIGH_6(op, k) HIGH_5(op, k) MULTIPLY(op, 22, 23, 29, k)
#define INPUT_1(c) "ldr q24, [%[u], #4 * " #c "]\n"
#define INPUT_2(c) INPUT_1(c) "ldr q25, [%[u], #64 + 4 * " #c "]\n"
#define INPUT_3(c) INPUT_2(c) "ldr q26, [%[u], #128 + 4 * " #c "]\n"
#define INPUT_4(c) INPUT_3(c) "ldr q27, [%[u], #192 + 4 * " #c "]\n"
#define INPUT_5(c) INPUT_4(c) "ldr q28, [%[u], #256 + 4 * " #c "]\n"
#define INPUT_6(c) INPUT_5(c) "ldr q29, [%[u], #320 + 4 * " #c "]\n"
#define CHANNEL(n, op, k) \
    "ldp q30, q31, [%[w], #384 * " #k " - 576]\n" LOW_##n(op, k) \
    "ldp q30, q31, [%[w], #384 * " #k " - 544]\n" HIGH_##n(op, k)
#define FOUR(n, op, c) \
    INPUT_##n(c) CHANNEL(n, op, 0) CHANNEL(n, "fmla", 1) CHANNEL(n, "fmla", 2) CHANNEL(n, "fmla", 3)
#define FOUR_MORE(n, c) "add %[w], %[w], #1536\n" FOUR(n, "fmla", c)
#define RUN(n) FOUR(n, "fmul", 0) FOUR_MORE(n, 4) FOUR_MORE(n, 8) FOUR_MORE(n, 12)
#define RUN_AFTER(n) \
    "add %[u], %[u], %[next]\n" FOUR_MORE(n, 0) FOUR_MORE(n, 4) FOUR_MORE(n, 8) FOUR_MORE(n, 12)

#define STORE(t, a, b, c, d) \
    "stp q" #a ", q" #b ", [%[m], #128 * " #t "]\n stp q" #c ", q" #d ", [%[m], #128 * " #t " + 32]\n"
#define MORE(t, a, b, c, d, e, f, g, h) \
    "ldp q" #e ", q" #f ", [%[m], #128 * " #t "]\n ldp q" #g ", q" #h ", [%[m], #128 * " #t " + 32]\n" \
    "fadd v" #a ".4s, v" #a ".4s, v" #e ".4s\n fadd v" #b ".4s, v" #b ".4s, v" #f ".4s\n" \
    "fadd v" #c ".4s, v" #c ".4s, v" #g ".4s\n fadd v" #d ".4s, v" #d ".4s, v" #h ".4s\n" STORE(t, a, b, c, d)
#define STORE_1 STORE(0, 0, 1, 2, 3)
#define STORE_2 STORE_1 STORE(1, 4, 5, 6, 7)
#define STORE_3 STORE_2 STORE(2, 8, 9, 10, 11)
#define STORE_4 STORE_3 STORE(3, 12, 13, 14, 15)
#define STORE_5 STORE_4 STORE(4, 16, 17, 18, 19)
#define STORE_6 STORE_5 STORE(5, 20, 21, 22, 23)
#define MORE_1 MORE(0, 0, 1, 2, 3, 24, 25, 26, 27)
#define MORE_2 MORE_1 MORE(1, 4, 5, 6, 7, 28, 29, 30, 31)
#define MORE_3 MORE_2 MORE(2, 8, 9, 10, 11, 24, 25, 26, 27)
#define MORE_4 MORE_3 MORE(3, 12, 13, 14, 15, 28, 29, 30, 31)
#define MORE_5 MORE_4 MORE(4, 16, 17, 18, 19, 24, 25, 26, 27)
#define MORE_6 MORE_5 MORE(5, 20, 21, 22, 23, 28, 29, 30, 31)

#define BLOCK_CODE(code) \
    __asm__ volatile(code \
                     : [u] "+r"(u), [w] "+r"(w) \
                     : [next] "r"(next * sizeof(float)), [m] "r"(m) \
                     : "memory", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", \
                       "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", \
                       "v26", "v27", "v28", "v29", "v30", "v31")
#define BLOCK_CASE(n) \
    case n: \
        if (blocks == 2 && add) \
            BLOCK_CODE(RUN(n) RUN_AFTER(n) MORE_##n); \
        else if (blocks == 2) \
            BLOCK_CODE(RUN(n) RUN_AFTER(n) STORE_##n); \
        else if (add) \
            BLOCK_CODE(RUN(n) MORE_##n); \
        else \
            BLOCK_CODE(RUN(n) STORE_##n); \
        break;
/* clang-format on */

/* m (tiles, 32), 16 of each, = or += u (blocks: next, tiles, 16) times w (16 * blocks: 96, 16), blocks 1 or 2.  Each call
 * sums its own channels before it adds to m: over 1280 channels that halves the rounding error. */
DF_INLINE void block_of_tiles(const int tiles, const float *u, int64_t next, const int blocks, const float *w, float *m,
                              const bool add)
{
    w += 576 / sizeof(float);
    switch (tiles) {
        BLOCK_CASE(1)
        BLOCK_CASE(2)
        BLOCK_CASE(3)
        BLOCK_CASE(4)
        BLOCK_CASE(5)
        BLOCK_CASE(6)
    }
}

DF_INLINE void tiles_in_blocks(int n, const float *u, int64_t next, const int blocks, const float *w, float *m,
                               const bool add)
{
    while (n > 0) {
        const int tiles = wino_tiles(n);
        block_of_tiles(tiles, u, next, blocks, w, m, add);
        n -= tiles;
        u += tiles * DF_CB;
        m += tiles * DF_PANEL;
    }
}
#endif

#endif
