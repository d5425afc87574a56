/* The reader threads: they fill slots with the weights of a frame, ahead of the team that computes with them. */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
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

/* Read whole pages around the chunk, past the page cache. False when that fails for whatever reason: some file
 * systems open a file for direct reads and then refuse the reads, each with an errno of its own. */
static bool read_direct(int fd, const df_chunk *c)
{
    assert(c->slot && c->count > 0);
    int64_t offset = df_chunk_offset(c), from = offset / DF_PAGE * DF_PAGE;
    size_t wanted = (size_t)(offset - from) + df_chunk_bytes(c);
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

#define SAMPLE 64 /* bytes of each page, a cache line: all of it would cost a pass through memory */

/* Compare a chunk with what was first read of it: a file overwritten in place would otherwise give wrong boxes without
 * a word. Gives 0, or DF_CHANGED. */
static int recognise(const df_reader *r, df_chunk *c)
{
    const char *data = (const char *)df_chunk_data(c);
    size_t bytes = df_chunk_bytes(c);
    uint64_t samples = df_checksum(data, bytes, SAMPLE);
    if (!c->samples) {
        c->samples = samples;
        c->all = df_checksum(data, bytes, DF_PAGE);
    }
    return c->samples != samples || (r->doubt && c->all != df_checksum(data, bytes, DF_PAGE)) ? DF_CHANGED : 0;
}

/* Fill the chunk's slot. Gives 0, an errno, -1 where the file has ended, or DF_CHANGED. */
static int read_chunk(df_reader *r, df_chunk *c)
{
    if (r->direct >= 0 && read_direct(r->direct, c))
        return recognise(r, c);
    int failed = df_read(r->fd, (char *)df_chunk_data(c), df_chunk_bytes(c), df_chunk_offset(c));
    /* The page cache counts against a memory cgroup, and would have dropped the chunk before the next frame. */
    if (!r->cached)
        posix_fadvise(r->fd, df_chunk_offset(c), (off_t)df_chunk_bytes(c), POSIX_FADV_DONTNEED);
    return failed ? failed : recognise(r, c);
}

/* Whether a chunk that is read, or on its way, lies over these bytes. */
static bool is_taken(const df_reader *r, const char *slot, int64_t bytes)
{
    for (int n = 0; n < r->n_inside; n++) {
        const df_chunk *c = &r->chunks[r->inside[n]];
        if (c->slot < slot + bytes && slot < c->slot + c->weights->slot_bytes)
            return true;
    }
    return false;
}

/* Choose the slot of the next chunk: of its layer's slots that are free, the one used last. Where storage is faster
 * than the team, reads fill all slots that way; where the team is faster, reads stay in a few, whose memory is still
 * in the processor's caches. Chunks get their slots strictly in order. A later chunk in the slot that an earlier one
 * of the same block waits for would stop the frame for good. False when no slot is free. */
static bool choose_slot(const df_reader *r, df_chunk *c)
{
    const df_weights *w = c->weights;
    uint32_t latest = 0;
    bool found = false;
    for (int n = 0; n < w->n_slots; n++) {
        char *slot = w->slots[n];
        uint32_t used = r->used[(slot + w->slot_bytes / 2 - r->base) / DF_GRAIN];
        if ((found && used <= latest) || r->step < w->slot_step[n] || is_taken(r, slot, w->slot_bytes))
            continue;
        c->slot = slot;
        found = true;
        c->cached = used % 2 || (used == 0 && w->slot_step[n] > 0);
        latest = used;
    }
    return found;
}

/* Whether the next chunk can be read now; its slot is chosen then. One that comes for tile after tile is in memory once
 * at a time: it waits until all of it has been computed with. */
static bool next_chunk(df_reader *r)
{
    df_chunk *c = &r->chunks[r->order[r->next]];
    return c->resident || (c->left == 0 && choose_slot(r, c));
}

/* When storage of the given rate is done with so many bytes more: it serves one read after the other, and rests where
 * nothing is asked for. */
static double served_at(df_reader *r, size_t bytes)
{
    double now = df_now_ms();
    r->free_ms = (r->free_ms > now ? r->free_ms : now) + (double)bytes / r->rate;
    return r->free_ms;
}

/* Hold a read that is done until then, or until no more is wanted. Called with the lock held. */
static void hold_until(df_reader *r, double until_ms)
{
    struct timespec until = {.tv_sec = (time_t)(until_ms / 1e3)};
    until.tv_nsec = (long)((until_ms - 1e3 * (double)until.tv_sec) * 1e6);
    while (!r->quit && df_now_ms() < until_ms)
        pthread_cond_timedwait(&r->changed, &r->lock, &until);
}

/* What a reader thread does: chunk after chunk gets a slot, is read, and is announced to the team by `ready`. */
static void *read_ahead(void *arg)
{
    df_engine *e = arg;
    df_reader *r = &e->reader;
    pthread_mutex_lock(&r->lock);
    for (;;) {
        while (!r->quit && r->next < r->count && !next_chunk(r))
            pthread_cond_wait(&r->changed, &r->lock);
        if (r->quit || r->next == r->count)
            break;
        int n = r->next++;
        df_chunk *c = &r->chunks[r->order[n]];
        if (!c->resident) {
            r->inside[r->n_inside++] = r->order[n];
            c->left = c->count * c->weights->parts;
        }
        int failed = 0;
        bool read = c->wanted;
        c->wanted = !c->resident;
        if (read) {
            double begun = df_now_ms(), until = r->rate > 0 ? served_at(r, df_chunk_bytes(c)) : 0;
            pthread_mutex_unlock(&r->lock);
            failed = read_chunk(r, c);
            pthread_mutex_lock(&r->lock);
            if (df_chunk_bytes(c) >= DF_LONG_READ)
                df_timed_read(r, c->cached, begun, df_chunk_bytes(c));
            hold_until(r, until);
        }
        if (failed) {
            atomic_store(&r->failed, true);
            r->failed_node = c->weights->node;
            r->failed_errno = failed == -1 ? 0 : failed;
            r->quit = true;
            atomic_store(&e->stop, DF_READ_FAILED);
        } else {
            r->bytes += read ? (int64_t)df_chunk_bytes(c) : 0;
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
    atomic_store(&r->failed, false);
    r->step = -1;
    r->n_inside = 0;
    r->uses = 0;
    r->last_ms = 0;
    r->bytes = 0;
    r->wait_ms = 0;
    atomic_store(&r->ready, 0);
    r->next = 0;
    memset(r->here, 0, (size_t)r->count);
    memset(r->used, 0, r->n_used * sizeof *r->used);
    for (int n = 0; n < r->n_chunks; n++) {
        r->chunks[n].left = 0;
        r->chunks[n].wanted = !r->chunks[n].resident || !r->warm;
    }
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
    /* A thread for each frame costs some 30 us, and between frames there is none that a fork could lose. Through the
     * page cache one thread is enough, as the kernel reads ahead of it. */
    int wanted = r->direct >= 0 ? DF_READERS : 1, failed = 0;
    for (r->threads = 0; r->threads < wanted && !failed; r->threads += !failed)
        failed = pthread_create(&r->thread[r->threads], &small, read_ahead, e);
    pthread_attr_destroy(&small);
    r->running = r->threads > 0;
    if (r->running)
        return 0;
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    return failed;
}

void df_reader_stop(df_engine *e)
{
    df_reader *r = &e->reader;
    if (!r->running)
        return;
    r->running = false;
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
    /* A frame that was broken off still passes every step, which takes long on a busy machine: nothing more is
     * read for it. */
    if (r->count == 0 || atomic_load(&e->stop) != DF_RUNNING)
        return;
    pthread_mutex_lock(&r->lock);
    assert(step >= r->step);
    r->step = step;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}
