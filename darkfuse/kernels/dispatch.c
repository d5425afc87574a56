/* Which table this CPU runs, and the sizes every ISA shares.  Compiled once, without ISA flags; the build
 * says which tables exist with -DDF_HAVE_<ISA>. */
#include "df_kernels.h"

#include <stdlib.h>
#include <string.h>
#if defined(__linux__) && (defined(__arm__) || defined(__aarch64__))
#include <sys/auxv.h>
#endif

extern const df_table df_table__generic;
#ifdef DF_HAVE_AVX2
#include <cpuid.h>
extern const df_table df_table__avx2;
#endif
#ifdef DF_HAVE_AVX512
extern const df_table df_table__avx512;
#endif
#ifdef DF_HAVE_NEON
extern const df_table df_table__neon;
#endif
#ifdef DF_HAVE_A53
#include <stdio.h>
extern const df_table df_table__a53;
#endif

#ifdef DF_HAVE_NEON
static int has_neon(void)
{
#if defined(__arm__) && defined(__linux__)
    /* armhf promises no more than VFPv3-D16: NEON (bit 12) and fused multiply-add (VFPv4, bit 16) are asked for */
    const unsigned long need = 1ul << 12 | 1ul << 16;
    return (getauxval(AT_HWCAP) & need) == need;
#else
    return 1; /* part of every aarch64 */
#endif
}
#endif

#ifdef DF_HAVE_A53
/* Whether every core issues in order: Cortex-A53, A35 or A55 by its part number.  Beside big cores the kernels for
 * those count, as they do most of the work. */
static int in_order(void)
{
    int cpu = 0;
    for (;; cpu++) {
        char path[96];
        unsigned long long midr = 0;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/regs/identification/midr_el1", cpu);
        FILE *file = fopen(path, "r");
        if (!file)
            return cpu > 0;
        int read = fscanf(file, "%llx", &midr);
        fclose(file);
        unsigned part = midr >> 4 & 0xfff;
        if (read != 1 || midr >> 24 != 0x41 || (part != 0xd03 && part != 0xd04 && part != 0xd05))
            return 0;
    }
}
#endif

#ifdef DF_HAVE_AVX2
#define AVX2 (1u << 5) /* of leaf 7's ebx */
#define AVX512 (1u << 16 | 1u << 17 | 1u << 30 | 1u << 31) /* F, DQ, BW, VL */
#define FMA (1u << 12) /* of leaf 1's ecx */
#define XSAVE (1u << 27)

/* Whether the processor has FMA and these sets of leaf 7, and the system keeps the registers in `kept` of XCR0.
 * __builtin_cpu_supports says no to everything in programs that zig builds. */
static int has(uint32_t sets, uint32_t kept)
{
    uint32_t a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & (FMA | XSAVE)) != (FMA | XSAVE))
        return 0;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & kept) == kept && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & sets) == sets;
}
#endif

#define TABLES 5

/* Tables this CPU can run, worst first; returns how many. */
static int usable(const df_table *tables[TABLES])
{
    int n = 0;
    tables[n++] = &df_table__generic;
#ifdef DF_HAVE_AVX2
    if (has(AVX2, 0x06)) /* registers of SSE and AVX */
        tables[n++] = &df_table__avx2;
#endif
#ifdef DF_HAVE_AVX512
    if (has(AVX2 | AVX512, 0xe6)) /* ... and of AVX-512 */
        tables[n++] = &df_table__avx512;
#endif
#ifdef DF_HAVE_NEON
    if (has_neon())
        tables[n++] = &df_table__neon;
#endif
#ifdef DF_HAVE_A53
    tables[n++] = &df_table__a53;
    if (!in_order()) { /* runs, but is not the best */
        tables[n - 1] = tables[n - 2];
        tables[n - 2] = &df_table__a53;
    }
#endif
    return n;
}

const df_table *df_kernels(const char *isa)
{
    const df_table *tables[TABLES];
    int n = usable(tables);
    if (!isa)
        isa = getenv("DARKFUSE_ISA");
    if (!isa || !*isa)
        return tables[n - 1];
    for (int i = 0; i < n; i++)
        if (!strcmp(tables[i]->isa, isa))
            return tables[i];
    return NULL;
}

/* a * b, or 0 when it overflows (or either is 0) */
static size_t product(size_t a, size_t b)
{
    size_t r;
    return __builtin_mul_overflow(a, b, &r) ? 0 : r;
}

static size_t count(int32_t n) { return n > 0 ? (size_t)n : 0; }

size_t df_packed_floats(const df_conv *c, int kernel, int out_channels)
{
    size_t in = count(c->in_c), taps = product(count(c->size), count(c->size));
    if (kernel == DF_GENERAL)
        in = c->groups > 0 ? in / (size_t)c->groups : 0;
    else if (kernel != DF_FIRST)
        in = df_round(in, DF_CB);
    /* kernels keep offsets inside one panel in 64 bits but rows of it in 32 */
    size_t rows = product(in, taps);
    if (rows > INT32_MAX / DF_PANEL)
        return 0;
    size_t floats = product(product(df_round(count(out_channels), DF_PANEL), in), taps);
    return floats > SIZE_MAX / sizeof(float) ? 0 : floats;
}

static size_t transformed(size_t tiles, size_t channels)
{
    size_t floats = product(product(36, tiles), channels);
    return floats > SIZE_MAX / sizeof(float) ? 0 : floats;
}

size_t df_wino_u_floats(const df_conv *c, int tiles)
{
    size_t ic = df_round(count(c->in_c), DF_CB), gaps = df_round(ic, DF_WINO_IC) / DF_WINO_IC * 16;
    size_t floats = product(count(tiles), ic);
    return floats ? transformed(floats + gaps, 1) : 0;
}

size_t df_wino_pictures_floats(const df_conv *c, int tiles, int panels, int pictures)
{
    size_t ic = df_round(count(c->in_c), DF_CB), n = ic < DF_WINO_IC ? ic : DF_WINO_IC;
    size_t u = product(count(pictures), product(count(tiles), n) + 16);
    size_t m = product(product(count(panels), count(pictures)), product(count(tiles), DF_PANEL) + 16);
    return transformed(u + DF_PANEL * n + 16 + m, 1);
}

size_t df_wino_scratch_floats(const df_conv *c, int tiles)
{
    size_t ic = df_round(count(c->in_c), DF_CB);
    return transformed(count(tiles) + (ic < DF_WINO_IC ? ic : DF_WINO_IC) + 3, DF_PANEL);
}

int df_wino_together(const df_table *k, const df_conv *c, int tiles, size_t scratch_floats)
{
    size_t ic = df_round(count(c->in_c), DF_CB), channels = (size_t)k->wino_channels;
    /* in halves of 36 * 32 floats, as the gaps of a panel's sums are, and those of its filters */
    size_t halves = scratch_floats / 18 / DF_PANEL;
    size_t filters = 2 * (ic < channels ? ic : channels) * (size_t)k->wino_outputs / DF_PANEL + 1;
    return halves < filters ? 0 : (int)((halves - filters) / (2 * count(tiles) + 1));
}
