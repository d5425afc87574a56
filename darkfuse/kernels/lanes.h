/* Multiply-adds on ARM: four input channels of a pixel are loaded at once, and each multiplies by lane.
 *
 * That is one load for four broadcasts, and leaves nothing between a load and its use that an in-order core would
 * have to wait for.  aarch64: 8 pixels x 2 vectors (16 sums, 8 inputs, up to 8 weights).  32-bit NEON has half the
 * registers, and by lane only the multiply-add that rounds twice: 4 x 2. */
#ifndef DF_LANES_H
#define DF_LANES_H

#include <stdbool.h>

#include "vec.h"

#ifdef __ARM_NEON
#define DF_BY_LANE 1
#define LANES_VECS 2

#ifdef __aarch64__
#define LANES_PIXELS 8

/* sum += w * x[lane]. Written as a product GCC moves sums between registers from turn to turn. */
#define FMA_LANE(sum, w, x, lane) __asm__("fmla %0.4s, %1.4s, %2.s[%3]" : "+w"(sum) : "w"(w), "w"(x), "n"(lane))
#define MUL_LANE(sum, w, x, lane) __asm__("fmul %0.4s, %1.4s, %2.s[%3]" : "=w"(sum) : "w"(w), "w"(x), "n"(lane))

/* Two registers of weights, `floats` on from w: fewer instructions than GCC makes of it. */
#define LOAD_PAIR(w, floats, a, b) \
    __asm__("ldp %q0, %q1, [%2, %3]" \
            : "=w"(a), "=w"(b) \
            : "r"(w), "n"((floats) * 4), "m"(*(const float (*)[9 * DF_PANEL])(w)))

/* acc += 16 input channels of `pixels` pixels, `step` floats apart, times 16 rows of weights, `row` floats apart;
 * `fresh`: acc = these, which needs no zeros first. */
DF_INLINE void run_of(vf acc[LANES_PIXELS][LANES_VECS], const int pixels, const float *in, const int64_t step,
                      const float *w, const int64_t row, const bool fresh)
{
#pragma GCC unroll 4
    for (int c = 0; c < DF_CB; c += 4, in += 4, w += 4 * row) {
        /* neighbouring windows overlap: without this the compiler carries loads from turn to turn and spills */
        __asm__("" : "+r"(in));
        vf x[LANES_PIXELS];
#pragma GCC unroll 8
        for (int p = 0; p < pixels; p++)
            x[p] = vf_load(in + p * step);
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++) {
            vf w0, w1;
            LOAD_PAIR(w, k * row, w0, w1);
#pragma GCC unroll 8
            for (int p = 0; p < pixels; p++)
                if (fresh && c == 0 && k == 0) {
                    MUL_LANE(acc[p][0], w0, x[p], 0);
                    MUL_LANE(acc[p][1], w1, x[p], 0);
                } else {
                    FMA_LANE(acc[p][0], w0, x[p], k);
                    FMA_LANE(acc[p][1], w1, x[p], k);
                }
        }
    }
}

DF_INLINE void add_run(vf acc[LANES_PIXELS][LANES_VECS], const int pixels, const float *in, const int64_t step,
                       const float *w, const int64_t row)
{
    run_of(acc, pixels, in, step, w, row, false);
}

/* acc += one row of a 3x3 window over interleaved RGB, `pixels` windows 3 floats apart: they overlap, and 30 floats
 * serve eight of them. */
#define DF_RGB_ROW 9
DF_INLINE void add_rgb_row(vf acc[LANES_PIXELS][LANES_VECS], const int pixels, const float *in, const float *w,
                           const int64_t row)
{
    const int floats = 3 * (pixels - 1) + DF_RGB_ROW, last = (floats - 1) / DF_VL;
    vf x[8];
#pragma GCC unroll 8
    for (int i = 0; i <= last; i++) {
        x[i] = vf_load(in + (i < last ? i * DF_VL : floats - DF_VL)); /* not past the last window */
        __asm__("" : "+w"(x[i])); /* or each lane is loaded apart */
    }
    w += 4 * row; /* as far as loads of pairs reach, both ways */
#pragma GCC unroll 9
    for (int c = 0; c < DF_RGB_ROW; c++) {
        vf w0, w1;
        LOAD_PAIR(w, (c - 4) * row, w0, w1);
#pragma GCC unroll 8
        for (int p = 0; p < pixels; p++) {
            const int at = 3 * p + c, i = at / DF_VL;
            const vf s = vf_set(x[i][i < last ? at % DF_VL : at - (floats - DF_VL)]);
            acc[p][0] += w0 * s;
            acc[p][1] += w1 * s;
        }
    }
}

#else
#define LANES_PIXELS 4

/* The same.  Loads are spelled out, for the compiler adds to its addresses what the instruction can add itself. */
DF_INLINE void add_run(vf acc[LANES_PIXELS][LANES_VECS], const int pixels, const float *in, const int64_t step,
                       const float *w, const int64_t row)
{
    const float *at[LANES_PIXELS], *end = in + DF_CB;
    const int bytes = (int)(row * (int64_t)sizeof(float));
#pragma GCC unroll 4
    for (int p = 0; p < pixels; p++)
        at[p] = in + p * step;
/* k is known once its loop is unrolled; clang wants the lane as a constant before that. */
#define TIMES_LANE(sum, by, k) ((k) % 2 ? vmlaq_lane_f32(sum, by, lanes, 1) : vmlaq_lane_f32(sum, by, lanes, 0))
#pragma GCC unroll 1
    while (at[0] != end) {
        float32x4_t x[LANES_PIXELS];
#pragma GCC unroll 4
        for (int p = 0; p < pixels; p++)
            __asm__ volatile("vld1.32 {%e0-%f0}, [%1]!" : "=t"(x[p]), "+r"(at[p]) : : "memory");
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++) {
            float32x4x2_t weights;
#ifdef __clang__ /* holds no two vectors in an operand */
            weights.val[0] = vld1q_f32(w), weights.val[1] = vld1q_f32(w + 4), w += bytes / (int)sizeof(float);
#else
            __asm__ volatile("vld1.32 %h0, [%1], %2" : "=w"(weights), "+r"(w) : "r"(bytes) : "memory");
#endif
#pragma GCC unroll 4
            for (int p = 0; p < pixels; p++) {
                const float32x2_t lanes = k < 2 ? vget_low_f32(x[p]) : vget_high_f32(x[p]);
                acc[p][0] = (vf)TIMES_LANE((float32x4_t)acc[p][0], weights.val[0], k);
                acc[p][1] = (vf)TIMES_LANE((float32x4_t)acc[p][1], weights.val[1], k);
            }
        }
    }
#undef TIMES_LANE
}
#endif
#endif

#endif
