/* The team of a frame in a build without OpenMP (zig's clang brings none, and musl): POSIX threads that live for one
 * frame, so that neither a fork nor a limit on threads needs care beyond a look at pthread_create's answer. */
#ifndef _OPENMP
#define _GNU_SOURCE
#include <linux/futex.h>
#include <sched.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine.h"

#define SPINS 20000 /* looks at the counter before a thread sleeps, where each thread has a core: some 0.1 to 1 ms */
#define SPINS_CROWDED 100

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || (defined(__arm__) && __ARM_ARCH >= 7)
    __asm__ __volatile__("yield" ::: "memory");
#endif
}

static int spins_for(int n)
{
    cpu_set_t mine;
    int cores = sched_getaffinity(0, sizeof mine, &mine) ? 1 : CPU_COUNT(&mine);
    return n <= cores ? SPINS : SPINS_CROWDED;
}

/* The last to arrive starts the next round; the others look at its number for a while, then sleep on it. A sleeper
 * counts itself before it looks once more, and the last looks for sleepers after it has changed the number: one of
 * the two sees the other. */
void df_barrier(df_engine *e, int n)
{
    df_gate *gate = &e->gate;
    int round = atomic_load_explicit(&gate->round, memory_order_acquire);
    if (atomic_fetch_add(&gate->arrived, 1) == n - 1) {
        atomic_store_explicit(&gate->arrived, 0, memory_order_relaxed);
        atomic_store(&gate->round, (int)((unsigned)round + 1u));
        if (atomic_load(&gate->sleepers))
            syscall(SYS_futex, &gate->round, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
        return;
    }
    for (int k = 0; k < gate->spins; k++) {
        if (atomic_load_explicit(&gate->round, memory_order_acquire) != round)
            return;
        relax();
    }
    atomic_fetch_add(&gate->sleepers, 1);
    while (atomic_load(&gate->round) == round)
        syscall(SYS_futex, &gate->round, FUTEX_WAIT_PRIVATE, round, NULL, NULL, 0);
    atomic_fetch_sub(&gate->sleepers, 1);
}

typedef struct {
    df_engine *e;
    int n; /* size of the team; 0: not known yet; -1: there will be none */
    pthread_mutex_t lock;
    pthread_cond_t decided;
} df_start;

typedef struct {
    df_start *start;
    int id;
} df_member;

static void *take_part(void *arg)
{
    const df_member *m = arg;
    df_start *start = m->start;
    pthread_mutex_lock(&start->lock);
    while (!start->n)
        pthread_cond_wait(&start->decided, &start->lock);
    int n = start->n;
    pthread_mutex_unlock(&start->lock);
    if (n > 0)
        df_run_frame(start->e, m->id, n);
    return NULL;
}

bool df_start_team(df_engine *e)
{
    df_start start = {e, 0, PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER};
    df_member members[DF_THREADS];
    pthread_t threads[DF_THREADS];
    int started = 1;
    e->gate.spins = spins_for(e->threads);
    for (; started < e->threads; started++) {
        members[started] = (df_member){&start, started};
        if (pthread_create(&threads[started], NULL, take_part, &members[started]))
            break;
    }
    bool all = started == e->threads;
    pthread_mutex_lock(&start.lock);
    start.n = all ? e->threads : -1;
    pthread_cond_broadcast(&start.decided);
    pthread_mutex_unlock(&start.lock);
    if (all)
        df_run_frame(e, 0, e->threads);
    for (int k = 1; k < started; k++)
        pthread_join(threads[k], NULL);
    return all;
}

#endif
