/* Winograd's products on aarch64 cores that issue out of order: sums of 9 tiles x 8 output channels.
 *
 * 18 sums, four channels of nine tiles and two registers of weights are nearly all of 32, which GCC fills with moves and
 * spills: so this is assembly.  Four channels of nine tiles are 72 multiply-adds, 9 loads and 4 of pairs.  Loads stand
 * before their use, as those cores need no more.  A block is one straight run of code, so that a core begins the next
 * tiles while the last sums go to memory. */
#ifndef DF_WINO_BLOCK_H
#define DF_WINO_BLOCK_H

#include "wino.h"

#if WINO_STRAIGHT
/* v0 on: sums of tile t in v(2t) and v(2t + 1); v18 on: four channels of each tile; v27, v28: a channel's weights of 8
 * outputs, 192 bytes on from the channel before.  w points 768 bytes past the first and m 512, as far as loads of pairs
 * reach both ways. */
/* clang-format off */
#define MULTIPLY(op, a, b, x, k) \
    op " v" #a ".4s, v27.4s, v" #x ".s[" #k "]\n" op " v" #b ".4s, v28.4s, v" #x ".s[" #k "]\n"
#define TIMES_1(op, k) MULTIPLY(op, 0, 1, 18, k)
#define TIMES_2(op, k) TIMES_1(op, k) MULTIPLY(op, 2, 3, 19, k)
#define TIMES_3(op, k) TIMES_2(op, k) MULTIPLY(op, 4, 5, 20, k)
#define TIMES_4(op, k) TIMES_3(op, k) MULTIPLY(op, 6, 7, 21, k)
#define TIMES_5(op, k) TIMES_4(op, k) MULTIPLY(op, 8, 9, 22, k)
#define TIMES_6(op, k) TIMES_5(op, k) MULTIPLY(op, 10, 11, 23, k)
#define TIMES_7(op, k) TIMES_6(op, k) MULTIPLY(op, 12, 13, 24, k)
#define TIMES_8(op, k) TIMES_7(op, k) MULTIPLY(op, 14, 15, 25, k)
#define TIMES_9(op, k) TIMES_8(op, k) MULTIPLY(op, 16, 17, 26, k)
#define INPUT_1(c) "ldr q18, [%[u], #4 * (" #c ")]\n"
#define INPUT_2(c) INPUT_1(c) "ldr q19, [%[u], #64 + 4 * (" #c ")]\n"
#define INPUT_3(c) INPUT_2(c) "ldr q20, [%[u], #128 + 4 * (" #c ")]\n"
#define INPUT_4(c) INPUT_3(c) "ldr q21, [%[u], #192 + 4 * (" #c ")]\n"
#define INPUT_5(c) INPUT_4(c) "ldr q22, [%[u], #256 + 4 * (" #c ")]\n"
#define INPUT_6(c) INPUT_5(c) "ldr q23, [%[u], #320 + 4 * (" #c ")]\n"
#define INPUT_7(c) INPUT_6(c) "ldr q24, [%[u], #384 + 4 * (" #c ")]\n"
#define INPUT_8(c) INPUT_7(c) "ldr q25, [%[u], #448 + 4 * (" #c ")]\n"
#define INPUT_9(c) INPUT_8(c) "ldr q26, [%[u], #512 + 4 * (" #c ")]\n"
#define CHANNEL(n, op, k, at) "ldp q27, q28, [%[w], #" #at "]\n" TIMES_##n(op, k)
#define EIGHT(n, op, c) \
    INPUT_##n(c) CHANNEL(n, op, 0, -768) CHANNEL(n, "fmla", 1, -576) CHANNEL(n, "fmla", 2, -384) \
    CHANNEL(n, "fmla", 3, -192) INPUT_##n(c + 4) CHANNEL(n, "fmla", 0, 0) CHANNEL(n, "fmla", 1, 192) \
    CHANNEL(n, "fmla", 2, 384) CHANNEL(n, "fmla", 3, 576)
#define EIGHT_MORE(n, c) "add %[w], %[w], #1536\n" EIGHT(n, "fmla", c)
#define RUN(n) EIGHT(n, "fmul", 0) EIGHT_MORE(n, 8)
#define RUN_AFTER(n) "add %[u], %[u], %[next]\n" EIGHT_MORE(n, 0) EIGHT_MORE(n, 8)
#define RUNS_1(n) RUN(n)
#define RUNS_2(n) RUN(n) RUN_AFTER(n)
#define RUNS_4(n) RUN(n) RUN_AFTER(n) RUN_AFTER(n) RUN_AFTER(n)

#define STORE(t, a, b) "stp q" #a ", q" #b ", [%[m], #128 * " #t " - 512]\n"
#define MORE(t, a, b, x, y) \
    "ldp q" #x ", q" #y ", [%[m], #128 * " #t " - 512]\n" \
    "fadd v" #a ".4s, v" #a ".4s, v" #x ".4s\n fadd v" #b ".4s, v" #b ".4s, v" #y ".4s\n" STORE(t, a, b)
#define STORE_1 STORE(0, 0, 1)
#define STORE_2 STORE_1 STORE(1, 2, 3)
#define STORE_3 STORE_2 STORE(2, 4, 5)
#define STORE_4 STORE_3 STORE(3, 6, 7)
#define STORE_5 STORE_4 STORE(4, 8, 9)
#define STORE_6 STORE_5 STORE(5, 10, 11)
#define STORE_7 STORE_6 STORE(6, 12, 13)
#define STORE_8 STORE_7 STORE(7, 14, 15)
#define STORE_9 STORE_8 STORE(8, 16, 17)
#define MORE_1 MORE(0, 0, 1, 18, 19)
#define MORE_2 MORE_1 MORE(1, 2, 3, 20, 21)
#define MORE_3 MORE_2 MORE(2, 4, 5, 22, 23)
#define MORE_4 MORE_3 MORE(3, 6, 7, 24, 25)
#define MORE_5 MORE_4 MORE(4, 8, 9, 18, 19)
#define MORE_6 MORE_5 MORE(5, 10, 11, 20, 21)
#define MORE_7 MORE_6 MORE(6, 12, 13, 22, 23)
#define MORE_8 MORE_7 MORE(7, 14, 15, 24, 25)
#define MORE_9 MORE_8 MORE(8, 16, 17, 18, 19)

#define BLOCK_CODE(code) \
    __asm__ volatile(code \
                     : [u] "+r"(u), [w] "+r"(w) \
                     : [next] "r"(next * sizeof(float)), [m] "r"(m) \
                     : "memory", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", \
                       "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", \
                       "v26", "v27", "v28")
#define BLOCK_RUNS(n, blocks) \
    if (add) \
        BLOCK_CODE(RUNS_##blocks(n) MORE_##n); \
    else \
        BLOCK_CODE(RUNS_##blocks(n) STORE_##n);
#define BLOCK_CASE(n) \
    case n: \
        if (blocks == 4) { \
            BLOCK_RUNS(n, 4) \
        } else if (blocks == 2) { \
            BLOCK_RUNS(n, 2) \
        } else { \
            BLOCK_RUNS(n, 1) \
        } \
        break;
/* clang-format on */

/* m (tiles, 32), 8 of each, = or += u (blocks: next, tiles, 16) times w (16 * blocks: 48, 8), blocks 1, 2 or 4.  Each
 * call sums its own channels before it adds to m: over 1280 channels that halves the rounding error. */
DF_INLINE void block_of_tiles(const int tiles, const float *u, int64_t next, const int blocks, const float *w, float *m,
                              const bool add)
{
    w += 768 / sizeof(float);
    m += 512 / sizeof(float);
    switch (tiles) {
        BLOCK_CASE(1)
        BLOCK_CASE(2)
        BLOCK_CASE(3)
        BLOCK_CASE(4)
        BLOCK_CASE(5)
        BLOCK_CASE(6)
        BLOCK_CASE(7)
        BLOCK_CASE(8)
        BLOCK_CASE(9)
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
