/* Weights that are read every frame: threads fill slots ahead of the team, which packs from them, or (Winograd)
 * computes. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine.h"

int df_read(int fd, void *to, size_t bytes, int64_t offset)
{
    char *at = to;
    while (bytes > 0) {
        ssize_t got = pread(fd, at, bytes, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        if (got == 0)
            return -1;
        at += got;
        bytes -= (size_t)got;
        offset += got;
    }
    return 0;
}

static size_t chunk_bytes(const df_chunk *c)
{
    return (size_t)c->count * (size_t)c->weights->per_filter * sizeof(float);
}

/* Chunks in one block; the last may be short, so that no chunk reaches into the next block. */
static int chunks_in(const df_weights *w, int filters) { return (filters + w->raw_filters - 1) / w->raw_filters; }

static int block_of(const df_weights *w) { return w->residency == DF_STREAMED ? w->block : w->filters; }

static int chunks_of(const df_weights *w)
{
    int block = block_of(w);
    if (w->residency == DF_PINNED || w->file_offset < 0)
        return 0;
    return w->filters / block * chunks_in(w, block) + chunks_in(w, w->filters % block);
}

static void plan_chunk(df_reader *r, df_weights *w, int first, int end)
{
    df_chunk *c = &r->chunks[r->count];
    int turn = r->count - w->first_chunk;
    *c = (df_chunk){.weights = w, .first = first, .count = df_min(w->raw_filters, end - first), .after = -1};
    c->kept = turn < w->kept;
    c->step = c->kept ? -1 : w->slot_step[turn - w->kept];
    c->slot = c->kept ? w->kept_raw + turn * w->slot_bytes : w->slots[turn - w->kept];
    for (int n = r->count - 1; n >= 0 && c->after < 0 && !c->kept; n--) {
        const df_chunk *o = &r->chunks[n];
        if (o->slot < c->slot + w->slot_bytes && c->slot < o->slot + o->weights->slot_bytes)
            c->after = n;
    }
    c->same = c->after >= 0 && r->chunks[c->after].weights == w && r->chunks[c->after].slot == c->slot;
    r->count++;
}

static void plan_layer(df_reader *r, df_weights *w, int threads)
{
    int panels = df_max(1, block_of(w) / DF_PANEL);
    w->first_chunk = r->count;
    w->parts = w->residency == DF_STREAMED && w->kernel == DF_WINOGRAD ? (threads + panels - 1) / panels : 1;
    if (w->file_offset < 0)
        return;
    for (int start = 0, end; start < w->filters; start = end) {
        end = df_min(start + block_of(w), w->filters);
        for (int first = start; first < end; first += w->raw_filters)
            plan_chunk(r, w, first, end);
    }
}

bool df_reader_plan(df_engine *e)
{
    df_reader *r = &e->reader;
    size_t total = 1;
    for (int n = 0; n < e->n_weights; n++)
        total += (size_t)chunks_of(&e->weights[n]);
    r->chunks = calloc(total, sizeof *r->chunks);
    r->done = calloc(total, 1);
    r->here = calloc(total, 1);
    if (!r->chunks || !r->done || !r->here)
        return false;
    for (int s = 0; s < e->n_stages; s++) {
        df_stage *stage = &e->stages[s];
        for (int n = 0; n < stage->n_loaded; n++)
            plan_layer(r, stage->loaded[n], e->threads);
        for (int n = 0; n < stage->n_ops; n++)
            if (stage->ops[n].weights && stage->ops[n].weights->residency == DF_STREAMED)
                plan_layer(r, stage->ops[n].weights, e->threads);
    }
    return true;
}

/* Whole pages around the chunk, past the page cache. False when that fails, for whatever reason: not every file
 * system that opens a file for direct reads then does them, or says so in the same way. */
static bool read_direct(int fd, const df_chunk *c)
{
    int64_t offset = df_chunk_offset(c), from = offset / DF_PAGE * DF_PAGE;
    size_t wanted = (size_t)(offset - from) + chunk_bytes(c);
    size_t whole = (wanted + DF_PAGE - 1) / DF_PAGE * DF_PAGE, got = 0;
    while (got < wanted) {
        ssize_t n = pread(fd, c->slot + got, whole - got, (off_t)(from + (int64_t)got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        got += (size_t)n;
        if (got < wanted && got % DF_PAGE != 0)
            return false;
    }
    return true;
}

static int read_chunk(df_reader *r, const df_chunk *c)
{
    if (r->direct >= 0 && read_direct(r->direct, c))
        return 0;
    int failed = df_read(r->fd, (char *)df_chunk_data(c), chunk_bytes(c), df_chunk_offset(c));
    /* The page cache counts against a memory cgroup, and the next frame comes too late to profit. */
    if (!r->cached)
        posix_fadvise(r->fd, df_chunk_offset(c), (off_t)chunk_bytes(c), POSIX_FADV_DONTNEED);
    return failed;
}

/* Of two chunks in one and the same slot, the later waits for the earlier, which has waited for all before it. */
static bool is_free(const df_reader *r, const df_chunk *c)
{
    return r->freed > c->after || (c->same && r->done[c->after]);
}

static void *read_ahead(void *arg)
{
    df_engine *e = arg;
    df_reader *r = &e->reader;
    pthread_mutex_lock(&r->lock);
    while (r->next < r->count) {
        int n = r->next++;
        const df_chunk *c = &r->chunks[n];
        while (!r->quit && (r->step < c->step || !is_free(r, c)))
            pthread_cond_wait(&r->changed, &r->lock);
        if (r->quit)
            break;
        int failed = 0;
        bool read = !c->kept || !r->warm;
        if (read) {
            pthread_mutex_unlock(&r->lock);
            failed = read_chunk(r, c);
            pthread_mutex_lock(&r->lock);
        }
        if (failed) {
            r->failed_node = c->weights->node;
            r->failed_errno = failed > 0 ? failed : 0;
            r->quit = true;
            atomic_store(&e->stop, DF_READ_FAILED);
        } else {
            r->bytes += read ? (int64_t)chunk_bytes(c) : 0;
            r->here[n] = 1;
            int ready = atomic_load(&r->ready);
            while (ready < r->count && r->here[ready])
                ready++;
            atomic_store_explicit(&r->ready, ready, memory_order_release);
        }
        pthread_cond_broadcast(&r->changed);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

int df_reader_start(df_engine *e)
{
    df_reader *r = &e->reader;
    r->quit = false;
    r->step = -1;
    r->freed = 0;
    r->bytes = 0;
    r->wait_ms = 0;
    atomic_store(&r->ready, 0);
    r->next = 0;
    memset(r->done, 0, (size_t)r->count);
    memset(r->here, 0, (size_t)r->count);
    for (int n = 0; n < r->count; n++)
        r->chunks[n].left = r->chunks[n].count * r->chunks[n].weights->parts;
    if (r->count == 0)
        return 0;
    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&r->changed, &clock);
    pthread_condattr_destroy(&clock);
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 128 << 10);
    /* A thread a frame costs some 30 us and leaves nothing behind to fork, join or wake up wrongly. Through the
     * page cache one is enough: the kernel reads ahead of it. */
    int wanted = r->direct >= 0 ? DF_READERS : 1, failed = 0;
    for (r->threads = 0; r->threads < wanted && !failed; r->threads += !failed)
        failed = pthread_create(&r->thread[r->threads], &small, read_ahead, e);
    pthread_attr_destroy(&small);
    if (r->threads > 0)
        return 0;
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    return failed;
}

void df_reader_stop(df_engine *e)
{
    df_reader *r = &e->reader;
    if (r->count == 0)
        return;
    pthread_mutex_lock(&r->lock);
    r->quit = true;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    for (int n = 0; n < r->threads; n++)
        pthread_join(r->thread[n], NULL);
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
}

void df_reader_step(df_engine *e, int step)
{
    df_reader *r = &e->reader;
    if (r->count == 0)
        return;
    pthread_mutex_lock(&r->lock);
    r->step = step;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

/* False when the frame was stopped meanwhile. */
static bool wait_for(df_team *t, int chunk)
{
    df_reader *r = &t->e->reader;
    if (atomic_load_explicit(&r->ready, memory_order_acquire) > chunk)
        return true;
    double since = df_now_ms();
    bool here = false;
    for (;;) {
        pthread_mutex_lock(&r->lock);
        here = atomic_load(&r->ready) > chunk;
        if (!here && atomic_load(&t->e->stop) == DF_RUNNING) {
            struct timespec until;
            clock_gettime(CLOCK_MONOTONIC, &until);
            until.tv_nsec += 20 * 1000 * 1000;
            until.tv_sec += until.tv_nsec / 1000000000;
            until.tv_nsec %= 1000000000;
            pthread_cond_timedwait(&r->changed, &r->lock, &until);
            here = atomic_load(&r->ready) > chunk;
        }
        if (here)
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

/* Filters [first, end) have been computed with; chunks without any other are out of their slots. */
static void free_filters(df_reader *r, int chunk, int first, int end)
{
    pthread_mutex_lock(&r->lock);
    for (int n = chunk; first < end; n++) {
        df_chunk *c = &r->chunks[n];
        int here = df_min(end, c->first + c->count) - first;
        c->left -= here;
        r->done[n] = c->left == 0;
        first += here;
    }
    while (r->freed < r->count && r->done[r->freed])
        r->freed++;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

/* The chunk a filter is in. */
static int chunk_at(const df_weights *w, int filter)
{
    int block = block_of(w);
    return w->first_chunk + filter / block * chunks_in(w, block) + filter % block / w->raw_filters;
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
    int from = chunk_at(w, first);
    long items = chunks_in(w, count);
    for (long n; (n = df_take(t, items)) >= 0;) {
        const df_chunk *c = &r->chunks[from + n];
        if (!wait_for(t, from + (int)n))
            continue;
        df_pack(t->e->table, w, df_chunk_data(c), c->first, c->count, base_filter);
        free_filters(r, from + (int)n, c->first, c->first + c->count);
    }
    df_join(t, items);
}

bool df_fill_filters(df_team *t, df_weights *w, int first, int count, float *packed)
{
    df_reader *r = &t->e->reader;
    for (int n = chunk_at(w, first), end = n + chunks_in(w, count); n < end; n++) {
        const df_chunk *c = &r->chunks[n];
        if (!wait_for(t, n))
            return false;
        t->e->table->pack(&w->conv, w->kernel, df_chunk_data(c), w->scale, c->first, c->count, first, packed);
        free_filters(r, n, c->first, c->first + c->count);
    }
    return true;
}

static void point_at(const df_reader *r, const df_weights *w, int first, int end, df_filters *filters)
{
    for (int f = first; f < end; f++) {
        const df_chunk *c = &r->chunks[chunk_at(w, f)];
        filters->filter[f - first] = df_chunk_data(c) + (f - c->first) * w->per_filter;
    }
}

bool df_await_filters(df_team *t, const df_weights *w, int first, df_filters *filters)
{
    if (w->file_offset < 0)
        return true;
    int end = df_min(first + DF_PANEL, w->filters);
    if (!wait_for(t, chunk_at(w, end - 1)))
        return false;
    point_at(&t->e->reader, w, first, end, filters);
    return true;
}

bool df_peek_filters(const df_team *t, const df_weights *w, int first, df_filters *filters)
{
    int end = df_min(first + DF_PANEL, w->filters);
    if (w->file_offset < 0 || first >= w->filters
        || atomic_load_explicit(&t->e->reader.ready, memory_order_acquire) <= chunk_at(w, end - 1))
        return false;
    point_at(&t->e->reader, w, first, end, filters);
    return true;
}

void df_free_filters(df_team *t, const df_weights *w, int first, int end)
{
    if (w->file_offset >= 0)
        free_filters(&t->e->reader, chunk_at(w, first), first, end);
}
