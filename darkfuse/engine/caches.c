/* Whether a slot leaves the processor's caches before storage writes to it again.
 *
 * Memory that a core has cached has to be taken out of its cache before storage can write there, and which way is
 * faster changes within seconds. It was measured on a virtual disk, where a thread of the host copies into the
 * guest's memory. At times memory used a moment ago is the fastest of all (3.1 GB/s), most likely when that thread
 * shares a last-level cache with ours; at other times it is the slowest (2.1 GB/s). Memory flushed from the caches
 * lies between (2.8 GB/s). So reads are timed all along, slots are treated the way that is faster now, and of every
 * 192 slots 8 are treated the other way, to notice when that changes. */
#include <assert.h>

#include "engine.h"

#define TURNS 192 /* slots, of which the first PROBES are treated the other way */
#define PROBES 8

/* Milliseconds a byte that reads took of late, into memory that was in no cache [0] and into memory that was [1];
 * 0 is not known yet. The process has one pair, not each engine, as every photo may have an engine of its own. */
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
    assert(bytes > 0);
    double now = df_now_ms();
    float cost = (float)((now - r->last_ms) / (double)bytes), old = costs[cached];
    /* Storage serves one read after the other. Where this read was asked for before the last one was done, and both
     * are of a kind, the time between their ends is what this one took. */
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
