/* Out of the caches, or not: memory that a core of ours has cached has to be taken away from there before storage can
 * write to it. Measured on a virtual disk, where a thread of the host copies into the guest's memory: at times, most
 * likely when that thread shares a last-level cache with ours, memory used a moment ago is the fastest there is (3.1
 * GB/s); at others it is the slowest (2.1), and memory flushed from the caches lies between (2.8). That changes within
 * seconds, so reads are timed all along, and a few slots in a row are left the other way. */
#include "engine.h"

#define TURNS 192 /* of so many slots, the first PROBES are left the other way */
#define PROBES 8

/* Of the process: every photo may have an engine of its own. ms a byte of late: of reads into memory that is in no
 * cache of ours, and into memory that is; 0: not known yet. */
static _Atomic float costs[2];

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

bool df_can_flush(void)
{
    unsigned a, b = 0, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_CLFLUSHOPT);
}

__attribute__((target("clflushopt"))) void df_flush(const char *from, size_t bytes)
{
    for (const char *line = from, *end = from + bytes; line < end; line += 64)
        _mm_clflushopt((void *)line);
    _mm_sfence();
}
#else
bool df_can_flush(void) { return false; }
void df_flush(const char *from, size_t bytes) { (void)from, (void)bytes; }
#endif

void df_timed_read(df_reader *r, bool cached, double begun_ms, size_t bytes)
{
    double now = df_now_ms();
    float cost = (float)((now - r->last_ms) / (double)bytes), old = costs[cached];
    /* Storage serves one read after the other: between two of a kind, the second asked for before the first was
     * done, lies what one takes. */
    if (cached == r->last_cached && begun_ms < r->last_ms)
        costs[cached] = old > 0 ? 0.8f * old + 0.2f * cost : cost;
    r->last_cached = cached;
    r->last_ms = now;
}

bool df_worth_flushing(df_reader *r)
{
    float out = costs[0], in = costs[1];
    bool better = out > 0 && in > 1.1f * out, probe = r->turns++ % TURNS < PROBES;
    return r->can_flush && better != probe;
}
