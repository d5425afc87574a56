/* One register of floats, for the instruction set this file is being compiled for.
 *
 * Every kernel source is compiled once per ISA with -DDF_ISA=<name>; the vector length follows from the
 * compiler's target, and DF_NAME(conv_direct) becomes df_conv_direct__avx2.  Everything here is static: an
 * inline function with external linkage could be merged by the linker into the copy of a higher ISA.
 *
 * Multiply-adds are written acc += a * b and contracted by the compiler (gnu11 or -ffp-contract=fast), so
 * that an ISA rounds the same way in every kernel. */
#ifndef DF_VEC_H
#define DF_VEC_H

#include <stdint.h>
#include <string.h>

#include "df_kernels.h"

#if defined(__AVX512F__)
#define DF_VL 16
#include <immintrin.h>
#elif defined(__AVX__)
#define DF_VL 8
#include <immintrin.h>
#else
#define DF_VL 4
#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif
#endif

#ifndef DF_ISA
#define DF_ISA generic
#endif
#define DF_JOIN_(name, isa) df_##name##__##isa
#define DF_JOIN(name, isa) DF_JOIN_(name, isa)
#define DF_NAME(name) DF_JOIN(name, DF_ISA)
#define DF_STR_(isa) #isa
#define DF_STR(isa) DF_STR_(isa)

#define DF_INLINE static inline __attribute__((always_inline))

/* vf, vi: DF_VL lanes at any float's address, allowed to alias float arrays */
typedef float vf __attribute__((vector_size(4 * DF_VL), aligned(4), may_alias));
typedef int32_t vi __attribute__((vector_size(4 * DF_VL), aligned(4), may_alias));

DF_INLINE vf vf_load(const float *p) { return *(const vf *)p; }
DF_INLINE void vf_store(float *p, vf v) { *(vf *)p = v; }
DF_INLINE vf vf_zero(void) { return (vf){0}; }

DF_INLINE vf vf_set(float x)
{
#if DF_VL == 16
    return (vf){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
#elif DF_VL == 8
    return (vf){x, x, x, x, x, x, x, x};
#else
    return (vf){x, x, x, x};
#endif
}

/* a where the mask's lanes are all ones, b where they are zero */
DF_INLINE vf vf_select(vi mask, vf a, vf b) { return (vf)(((vi)a & mask) | ((vi)b & ~mask)); }

DF_INLINE vf vf_max(vf a, vf b)
{
#if DF_VL == 16
    return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif DF_VL == 8
    return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__SSE2__)
    return (vf)_mm_max_ps((__m128)a, (__m128)b);
#elif defined(__ARM_NEON)
    return (vf)vmaxq_f32((float32x4_t)a, (float32x4_t)b);
#else
    return vf_select((vi)(a > b), a, b);
#endif
}

DF_INLINE vf vf_min(vf a, vf b) { return -vf_max(-a, -b); }

/* Lanes [0, n) ones, the others zero. */
DF_INLINE vi vi_first(int n)
{
    vi m;
    for (int i = 0; i < DF_VL; i++)
        m[i] = i < n ? -1 : 0;
    return m;
}

/* DF_SHUFFLE(a, b, lanes...): lanes of a are 0 .. DF_VL-1, lanes of b follow */
#ifdef __clang__
#define DF_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define DF_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (vi){__VA_ARGS__})
#endif

#if DF_VL == 4
#define ZIP_LO(a, b) DF_SHUFFLE(a, b, 0, 4, 1, 5)
#define ZIP_HI(a, b) DF_SHUFFLE(a, b, 2, 6, 3, 7)
#define PAIR_LO(a, b) DF_SHUFFLE(a, b, 0, 1, 4, 5)
#define PAIR_HI(a, b) DF_SHUFFLE(a, b, 2, 3, 6, 7)
#elif DF_VL == 8
#define ZIP_LO(a, b) DF_SHUFFLE(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define ZIP_HI(a, b) DF_SHUFFLE(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#define PAIR_LO(a, b) DF_SHUFFLE(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define PAIR_HI(a, b) DF_SHUFFLE(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#define HALF_LO(a, b) DF_SHUFFLE(a, b, 0, 1, 2, 3, 8, 9, 10, 11)
#define HALF_HI(a, b) DF_SHUFFLE(a, b, 4, 5, 6, 7, 12, 13, 14, 15)
#else
#define ZIP_LO(a, b) DF_SHUFFLE(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define ZIP_HI(a, b) DF_SHUFFLE(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#define PAIR_LO(a, b) DF_SHUFFLE(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
#define PAIR_HI(a, b) DF_SHUFFLE(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
#define QUADS_EVEN(a, b) DF_SHUFFLE(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27)
#define QUADS_ODD(a, b) DF_SHUFFLE(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31)
#endif

/* Transpose DF_VL rows of DF_VL lanes in place: 4x4 inside each 128-bit quad, then the quads. */
DF_INLINE void vf_transpose(vf r[DF_VL])
{
#pragma GCC unroll 4
    for (int i = 0; i < DF_VL; i += 4) {
        vf a = ZIP_LO(r[i], r[i + 1]), b = ZIP_HI(r[i], r[i + 1]);
        vf c = ZIP_LO(r[i + 2], r[i + 3]), d = ZIP_HI(r[i + 2], r[i + 3]);
        r[i] = PAIR_LO(a, c);
        r[i + 1] = PAIR_HI(a, c);
        r[i + 2] = PAIR_LO(b, d);
        r[i + 3] = PAIR_HI(b, d);
    }
#if DF_VL == 8
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        vf a = r[i], b = r[i + 4];
        r[i] = HALF_LO(a, b);
        r[i + 4] = HALF_HI(a, b);
    }
#elif DF_VL == 16
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        vf a = QUADS_EVEN(r[i], r[i + 4]), b = QUADS_ODD(r[i], r[i + 4]);
        vf c = QUADS_EVEN(r[i + 8], r[i + 12]), d = QUADS_ODD(r[i + 8], r[i + 12]);
        r[i] = QUADS_EVEN(a, c);
        r[i + 4] = QUADS_EVEN(b, d);
        r[i + 8] = QUADS_ODD(a, c);
        r[i + 12] = QUADS_ODD(b, d);
    }
#endif
}

#undef ZIP_LO
#undef ZIP_HI
#undef PAIR_LO
#undef PAIR_HI
#undef HALF_LO
#undef HALF_HI
#undef QUADS_EVEN
#undef QUADS_ODD

/* e^x to about 2 ulp: 2^n times a Taylor series of degree 7 on [-ln2/2, ln2/2], x clamped to the floats. */
DF_INLINE vf vf_exp(vf x)
{
    const float round = 12582912.0f; /* 1.5 * 2^23: adding it leaves the nearest integer in the low bits */
    x = vf_max(vf_min(x, vf_set(88.0f)), vf_set(-87.0f));
    vf t = x * 1.44269504f + round;
    vi n = (vi)t - (vi)vf_set(round);
    t = t - round;
    x = x - t * 0.693359375f;  /* ln 2 in two parts, the first exact times any n here */
    x = x + t * 2.12194440e-4f;
    vf p = x * (1.0f / 5040) + 1.0f / 720;
    p = p * x + 1.0f / 120;
    p = p * x + 1.0f / 24;
    p = p * x + 1.0f / 6;
    p = p * x + 0.5f;
    p = p * x + 1.0f;
    p = p * x + 1.0f;
    return (vf)((vi)p + (n << 23));
}

/* Whether max pooling may come before the bias and such an activation, for a quarter of them: both keep order. Only where
 * the larger of 0 and -0 is 0 whichever comes first are the bits the same. */
#if defined(__ARM_NEON) && defined(__aarch64__) && !defined(DF_ISA_A53)
#define DF_POOL_FIRST 1
#else
#define DF_POOL_FIRST 0
#endif

/* linear, leaky and relu are all max(slope * x, x): cheap enough for the store of any kernel */
DF_INLINE int act_is_slope(int kind) { return kind == DF_LINEAR || kind == DF_LEAKY || kind == DF_RELU; }
DF_INLINE float act_slope(int kind) { return kind == DF_LEAKY ? 0.1f : kind == DF_RELU ? 0.0f : 1.0f; }
DF_INLINE vf act_sloped(vf x, float slope) { return vf_max(x * slope, x); }

/* tanh x = 1 - 2 / (e^2x + 1) */
DF_INLINE vf vf_tanh(vf x) { return 1.0f - 2.0f / (vf_exp(2.0f * x) + 1.0f); }

/* What hardly any network uses. */
DF_INLINE vf rare_act(vf x, int kind)
{
    const vf zero = vf_zero(), one = vf_set(1.0f);
    vf y = x;
    switch (kind) {
    case DF_LOGGY: return 2.0f / (1.0f + vf_exp(-x)) - 1.0f;
    case DF_SELU: return 1.0507f * vf_select((vi)(x >= 0.0f), x, 1.6732f * (vf_exp(x) - 1.0f));
    case DF_GELU: return 0.5f * x * (1.0f + vf_tanh(0.797885f * x + 0.035677f * x * x * x));
    case DF_RELIE: return vf_max(x, 0.01f * x);
    case DF_RAMP: return vf_max(x, zero) + 0.1f * x;
    case DF_PLSE:
        y = vf_select((vi)(x > 4.0f), 0.01f * (x - 4.0f) + 1.0f, 0.125f * x + 0.5f);
        return vf_select((vi)(x < -4.0f), 0.01f * (x + 4.0f), y);
    case DF_STAIR:
        for (int l = 0; l < DF_VL; l++) {
            float whole = __builtin_floorf(x[l]), half = __builtin_floorf(x[l] / 2);
            y[l] = whole == 2 * __builtin_floorf(whole / 2) ? half : x[l] - whole + half;
        }
        return y;
    case DF_HARDTAN: return vf_min(vf_max(x, -one), one);
    case DF_LHTAN:
        return vf_select((vi)(x < 0.0f), 0.001f * x, vf_select((vi)(x > 1.0f), 0.001f * (x - 1.0f) + 1.0f, x));
    case DF_HARD_MISH: return vf_select((vi)(x > 0.0f), x, vf_select((vi)(x > -2.0f), x * x * 0.5f + x, zero));
    }
    return x;
}

/* Darknet's activation of that kind (enum df_act) on every lane.  logistic(0) is not 0: callers keep padded
 * channels at zero themselves. */
DF_INLINE vf act(vf x, int kind)
{
    vf e;
    switch (kind) {
    case DF_LINEAR: return x;
    case DF_LEAKY: return act_sloped(x, 0.1f);
    case DF_RELU: return vf_max(x, vf_zero());
    case DF_RELU6: return vf_min(vf_max(x, vf_zero()), vf_set(6.0f));
    case DF_LOGISTIC: return 1.0f / (1.0f + vf_exp(-x));
    case DF_SWISH: return x / (1.0f + vf_exp(-x));
    case DF_TANH: return vf_tanh(x);
    case DF_ELU: return vf_select((vi)(x >= 0.0f), x, vf_exp(x) - 1.0f);
    case DF_MISH: /* x tanh(ln(1 + e^x)), with the tanh of a logarithm written out */
        e = vf_exp(vf_min(x, vf_set(20.0f)));
        e = e * (e + 2.0f);
        return x * (e / (e + 2.0f));
    }
    return rare_act(x, kind);
}

#endif
