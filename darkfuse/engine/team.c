/* Sharing out work over the team. */
#define _GNU_SOURCE
#include <assert.h>
#include <time.h>

#include "engine.h"

double df_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e3 + now.tv_nsec * 1e-6;
}

#define POLL_MS 20.0 /* looking for signals takes the GIL: often enough for a person, no oftener */

bool df_going(const df_team *t)
{
    df_engine *e = t->e;
    bool running = atomic_load_explicit(&e->stop, memory_order_relaxed) == DF_RUNNING;
    if (running && t->id == 0 && e->poll) {
        double now = df_now_ms();
        if (now - e->polled >= POLL_MS) {
            e->polled = now;
            if (e->poll(e->poll_arg)) {
                atomic_store(&e->stop, DF_INTERRUPTED);
                running = false;
            }
        }
    }
    return running;
}

long df_take(df_team *t, long items)
{
    assert(items >= 0 && t->id >= 0 && t->id < t->n);
    df_engine *e = t->e;
    if (!df_going(t))
        return -1;
    long k = atomic_fetch_add_explicit(&e->ticket, 1, memory_order_relaxed) - t->base;
    return k < items ? k : -1;
}

void df_join(df_team *t, long items)
{
    t->base += items + t->n;
    if (t->n > 1)
        df_barrier(t->e, t->n);
}

void df_meet(const df_team *t)
{
    if (t->n > 1)
        df_barrier(t->e, t->n);
}

#define ITEM_LEAST (1 << 18) /* multiply-adds (or floats moved) that outweigh taking a ticket many times over */
#define ITEM_MOST (1 << 26)  /* half a second of a slow core would make Ctrl-C wait */

int df_strips(const df_team *t, int64_t cost, long pieces, int rows)
{
    assert(pieces > 0 && rows > 0 && cost >= 0);
    long strips = 1;
    if (t->n > 1)
        strips = (8L * t->n + pieces - 1) / pieces;
    int64_t least = cost / pieces / ITEM_MOST + 1, most = cost / pieces / ITEM_LEAST;
    strips = strips > most ? most : strips;
    strips = strips < least ? least : strips;
    return (int)(strips < 1 ? 1 : strips > rows ? rows : strips);
}

df_pieces df_cut(const df_team *t, int blocks, df_region r, int per_value)
{
    int rows = r.y1 - r.y0;
    int64_t cost = (int64_t)per_value * blocks * DF_CB * rows * (r.x1 - r.x0);
    return (df_pieces){.first = r.y0, .rows = rows, .blocks = blocks, .strips = df_strips(t, cost, blocks, rows)};
}

bool df_next(df_team *t, df_pieces *p)
{
    long items = (long)p->blocks * p->strips, n = df_take(t, items);
    if (n < 0) {
        df_join(t, items);
        return false;
    }
    int64_t strip = n % p->strips;
    p->b = (int)(n / p->strips);
    p->y0 = p->first + (int)(p->rows * strip / p->strips);
    p->y1 = p->first + (int)(p->rows * (strip + 1) / p->strips);
    return true;
}
