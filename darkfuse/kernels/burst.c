/* The multiply-adds a second this core can do, to hold kernels against. */
#include "isa.h"

#define CHAINS 12 /* enough independent sums to hide the latency, few enough for 16 registers */

int64_t DF_NAME(fma_burst)(int64_t rounds)
{
    vf acc[CHAINS], a = vf_set(0.5f), b = vf_set(0.25f);
    for (int i = 0; i < CHAINS; i++)
        acc[i] = vf_set((float)i);
    for (int64_t r = 0; r < rounds; r++) {
        /* the operands change behind the compiler's back: nothing to hoist */
#if defined(__SSE2__)
        __asm__("" : "+x"(a), "+x"(b));
#elif defined(__ARM_NEON)
        __asm__("" : "+w"(a), "+w"(b));
#else
        __asm__("" : "+m"(a), "+m"(b));
#endif
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            acc[i] += a * b; /* ARM's multiply-add overwrites the sum: the other form takes moves */
    }
    vf sum = acc[0];
    for (int i = 1; i < CHAINS; i++)
        sum += acc[i];
    volatile float sink = sum[0];
    (void)sink;
    return rounds * CHAINS * DF_VL * 2;
}
