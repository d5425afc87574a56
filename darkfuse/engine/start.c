/* Starting the team of a frame where OpenMP alone would hang or end the process. threads.c has the team of a build
 * without OpenMP. */
#ifdef _OPENMP
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <omp.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "engine.h"

/* A child that was forked has its parent's OpenMP team on record, and none of its threads: the first barrier would
 * wait for ever. The record belongs to the thread that had the team, so another thread gets a team of its own. */
static bool forked;
static _Thread_local int largest; /* team this thread has had: OpenMP keeps its threads */

static void note_fork(void)
{
    forked = true;
    largest = 0;
}

__attribute__((constructor)) static void watch_forks(void) { pthread_atfork(NULL, NULL, note_fork); }

static void *wait_for_all(void *gate)
{
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

/* Whether the system allows so many threads beside this one. OpenMP ends the process where it does not. */
static bool allowed(int more)
{
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    pthread_t thread[DF_THREADS];
    int started = 0;
    pthread_mutex_lock(&gate);
    while (started < more && !pthread_create(&thread[started], NULL, wait_for_all, &gate))
        started++;
    pthread_mutex_unlock(&gate);
    for (int n = 0; n < started; n++)
        pthread_join(thread[n], NULL);
    return started == more;
}

/* A team ends with the thread that had it, by pthread_exit, for which glibc loads a library: refused, it aborts. */
static bool can_end(void)
{
#ifdef __GLIBC__
    return dlopen("libgcc_s.so.1", RTLD_NOW); /* and stays */
#else
    return true;
#endif
}

static void *run_team(void *arg)
{
    df_engine *e = arg;
#pragma omp parallel num_threads(e->threads)
    df_run_frame(e, omp_get_thread_num(), omp_get_num_threads());
    return NULL;
}

#define POLL_NS 20000000 /* as df_take looks for signals */

static bool run_apart(df_engine *e)
{
    pthread_t apart;
    int (*poll)(void *) = e->poll;
    e->poll = NULL; /* signals are this thread's to see */
    bool started = !pthread_create(&apart, NULL, run_team, e);
    while (started) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += POLL_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (pthread_timedjoin_np(apart, NULL, &until) != ETIMEDOUT)
            break;
        if (poll && atomic_load(&e->stop) == DF_RUNNING && poll(e->poll_arg))
            atomic_store(&e->stop, DF_INTERRUPTED);
    }
    e->poll = poll;
    return started;
}

bool df_start_team(df_engine *e)
{
    if (e->threads == 1) {
        df_run_frame(e, 0, 1);
        return true;
    }
    bool first = syscall(SYS_gettid) == getpid() && !forked; /* its team ends with the process */
    if (largest < e->threads && !((first || can_end()) && allowed(e->threads - !forked)))
        return false;
    largest = df_max(largest, e->threads);
    if (forked)
        return run_apart(e);
    run_team(e);
    return true;
}

void df_barrier(df_engine *e, int n)
{
    (void)e;
    (void)n;
#pragma omp barrier
}

#endif
