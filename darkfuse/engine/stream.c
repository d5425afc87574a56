/* The team's side of the reader: it waits for chunks, packs them or computes with them, and gives slots back. */
#include <assert.h>
#include <string.h>
#include <time.h>

#include "engine.h"

/* The read that brings a chunk of a layer for the tile that the team is at. */
static int read_of(const df_team *t, const df_weights *w, int chunk)
{
    return w->first_read[t->tile] + chunk - w->first_chunk;
}

/* Wait until a chunk is in its slot. False when the frame was stopped meanwhile. `counted`: somebody's work waits. */
static bool wait_for(df_team *t, const df_weights *w, int chunk, bool counted)
{
    df_reader *r = &t->e->reader;
    int read = read_of(t, w, chunk);
    if (atomic_load_explicit(&r->ready, memory_order_acquire) > read)
        return true;
    double since = df_now_ms();
    bool here = false;
    for (;;) {
        pthread_mutex_lock(&r->lock);
        here = atomic_load(&r->ready) > read;
        if (!here && atomic_load(&t->e->stop) == DF_RUNNING) {
            struct timespec until;
            clock_gettime(CLOCK_MONOTONIC, &until);
            until.tv_nsec += 20 * 1000 * 1000;
            until.tv_sec += until.tv_nsec / 1000000000;
            until.tv_nsec %= 1000000000;
            pthread_cond_timedwait(&r->changed, &r->lock, &until);
            here = atomic_load(&r->ready) > read;
        }
        if (here && counted)
            r->wait_ms += df_now_ms() - since;
        pthread_mutex_unlock(&r->lock);
        if (here)
            return true;
        /* Not under the lock: a signal handler may take its time. */
        if (t->id == 0 && t->e->poll && t->e->poll(t->e->poll_arg))
            atomic_store(&t->e->stop, DF_INTERRUPTED);
        if (atomic_load(&t->e->stop) != DF_RUNNING)
            return false;
    }
}

/* The caller's own thread has no filters left to take, and others still wait for filters up to `last`: it waits with
 * them, as signals are its alone to see, and in a barrier it would not see them until the read has come. */
void df_wait_with_others(df_team *t, const df_weights *w, int last)
{
    if (t->id == 0 && t->n > 1 && w->file_offset >= 0)
        wait_for(t, w, df_chunk_at(w, last), false);
}

/* Give back the slot of a chunk that has been computed with. Called with the lock held, and returns with it. */
static void give_back(df_reader *r, int chunk)
{
    const df_chunk *c = &r->chunks[chunk];
    bool flushed = df_chunk_bytes(c) >= DF_LONG_READ && df_worth_flushing(r);
    if (flushed) {
        pthread_mutex_unlock(&r->lock);
        df_flush(c->slot, (size_t)c->weights->slot_bytes);
        pthread_mutex_lock(&r->lock);
    }
    int at = 0;
    while (r->inside[at] != chunk) {
        at++;
        assert(at < r->n_inside);
    }
    r->inside[at] = r->inside[--r->n_inside];
    r->uses += 2;
    int64_t begin = c->slot - r->base, end = begin + c->weights->slot_bytes;
    for (int64_t grain = begin / DF_GRAIN; grain * DF_GRAIN < end; grain++)
        r->used[grain] = r->uses + !flushed;
}

/* Filters [first, end), from `chunk` on, have been computed with `times` times: chunks without any other give back their
 * slots. */
static void free_filters(df_reader *r, int chunk, int first, int end, int times)
{
    bool left = false;
    pthread_mutex_lock(&r->lock);
    for (int n = chunk; first < end; n++) {
        df_chunk *c = &r->chunks[n];
        int here = df_min(end, c->first + c->count) - first;
        c->left -= c->resident ? 0 : times * here;
        assert(here > 0 && c->left >= 0);
        if (c->left == 0 && !c->resident) {
            give_back(r, n);
            left = true;
        }
        first += here;
    }
    if (left)
        pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

void df_pack(const df_table *table, const df_weights *w, const float *raw, int first, int count, int base_filter)
{
    if (w->connected)
        memcpy(w->packed + (first - base_filter) * w->per_filter, raw,
               (size_t)count * (size_t)w->per_filter * sizeof(float));
    else
        table->pack(&w->conv, w->kernel, raw, w->scale, first, count, base_filter, w->packed);
}

void df_fill_block(df_team *t, df_weights *w, int first, int count, int base_filter)
{
    if (w->file_offset < 0) {
        if (t->id == 0)
            memset(w->packed, 0, w->packed_bytes);
        df_meet(t);
        return;
    }
    df_reader *r = &t->e->reader;
    int from = df_chunk_at(w, first);
    long items = df_chunks_in(w, count);
    for (long n; (n = df_take(t, items)) >= 0;) {
        const df_chunk *c = &r->chunks[from + n];
        if (!wait_for(t, w, from + (int)n, true))
            continue;
        df_pack(t->e->table, w, df_chunk_data(c), c->first, c->count, base_filter);
        free_filters(r, from + (int)n, c->first, c->first + c->count, 1);
    }
    df_wait_with_others(t, w, first + count - 1);
    df_join(t, items);
}

bool df_fill_filters(df_team *t, df_weights *w, int first, int count, float *packed)
{
    df_reader *r = &t->e->reader;
    for (int n = df_chunk_at(w, first), end = n + df_chunks_in(w, count); n < end; n++) {
        const df_chunk *c = &r->chunks[n];
        if (!wait_for(t, w, n, true))
            return false;
        t->e->table->pack(&w->conv, w->kernel, df_chunk_data(c), w->scale, c->first, c->count, first, packed);
        free_filters(r, n, c->first, c->first + c->count, 1);
    }
    return true;
}

/* Point filters->filter at filters [first, end) in their slots. */
static void point_at(const df_reader *r, const df_weights *w, int first, int end, df_filters *filters)
{
    for (int f = first; f < end; f++) {
        const df_chunk *c = &r->chunks[df_chunk_at(w, f)];
        assert(c->weights == w && c->slot && f >= c->first && f < c->first + c->count);
        filters->filter[f - first] = df_chunk_data(c) + (f - c->first) * w->per_filter;
    }
}

bool df_await_filters(df_team *t, const df_weights *w, int first, df_filters *filters)
{
    if (w->file_offset < 0)
        return true;
    int end = df_min(first + DF_PANEL, w->filters);
    if (!wait_for(t, w, df_chunk_at(w, end - 1), true))
        return false;
    point_at(&t->e->reader, w, first, end, filters);
    return true;
}

bool df_peek_filters(const df_team *t, const df_weights *w, int first, df_filters *filters)
{
    df_reader *r = &t->e->reader;
    int end = df_min(first + DF_PANEL, w->filters);
    if (w->file_offset < 0 || first >= w->filters
        || atomic_load_explicit(&r->ready, memory_order_acquire) <= read_of(t, w, df_chunk_at(w, end - 1)))
        return false;
    pthread_mutex_lock(&r->lock); /* another thread may be done with them: then they move for the next tile */
    point_at(r, w, first, end, filters);
    pthread_mutex_unlock(&r->lock);
    return true;
}

void df_free_filters(df_team *t, const df_weights *w, int first, int end, int times)
{
    if (w->file_offset >= 0)
        free_filters(&t->e->reader, df_chunk_at(w, first), first, end, times);
}
