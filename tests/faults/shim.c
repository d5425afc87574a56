/* Preloaded into a test: the n-th call of a kind fails, or ends the process as kill -9 does. Files count only below one
 * folder, and nothing counts before `fault_arm`, so that what fails is what darkfuse asked for. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define DESCRIPTORS 4096

enum { OPEN, READ, WRITE, SYNC, RENAME, MMAP, THREAD, ALLOC, KINDS };

static char folder[4096];
static int wanted = -1, error_number, deadly, trace = -1;
static long nth;
static atomic_long calls;
static atomic_char ours[DESCRIPTORS];

/* Fail or kill the n-th call of `kind` (-1: only count files' calls below `under`; 100: any of them). */
void fault_arm(int kind, long n, int error, int kill_instead, const char *under)
{
    strncpy(folder, under, sizeof folder - 1);
    nth = n;
    error_number = error;
    deadly = kill_instead;
    atomic_store(&calls, 0);
    wanted = kind;
}

/* Have the stack of the call that fails written to a descriptor: whose call it was. */
void fault_trace(int descriptor)
{
    void *first[1];
    backtrace(first, 1); /* loads what it needs now, not in the middle of a call */
    trace = descriptor;
}

long fault_calls(void) { return atomic_load(&calls); }

static int due(int kind)
{
    if (wanted != kind && !(wanted == 100 && kind <= RENAME))
        return 0;
    if (atomic_fetch_add(&calls, 1) + 1 != nth)
        return 0;
    if (deadly)
        kill(getpid(), SIGKILL);
    if (trace >= 0) {
        void *stack[32];
        backtrace_symbols_fd(stack, backtrace(stack, 32), trace);
    }
    errno = error_number;
    return 1;
}

static int below(const char *path)
{
    char here[4096];
    if (wanted < 0 || !folder[0])
        return 0;
    if (path[0] == '/')
        return !strncmp(path, folder, strlen(folder));
    return getcwd(here, sizeof here) && !strncmp(here, folder, strlen(folder));
}

static int mine(int fd) { return fd >= 0 && fd < DESCRIPTORS && ours[fd]; }

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int opened(int fd, int counted)
{
    if (fd >= 0 && fd < DESCRIPTORS)
        ours[fd] = (char)counted;
    return fd;
}

#define OPENING(name)                                                                                                  \
    int name(const char *path, int flags, ...)                                                                         \
    {                                                                                                                  \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        int mode = va_arg(more, int), counted = below(path);                                                           \
        va_end(more);                                                                                                  \
        if (counted && due(OPEN))                                                                                      \
            return -1;                                                                                                 \
        return opened(REAL(name)(path, flags, mode), counted);                                                         \
    }
OPENING(open)
OPENING(open64)

ssize_t read(int fd, void *to, size_t bytes) { return mine(fd) && due(READ) ? -1 : REAL(read)(fd, to, bytes); }
ssize_t pread(int fd, void *to, size_t bytes, off_t at)
{
    return mine(fd) && due(READ) ? -1 : REAL(pread)(fd, to, bytes, at);
}
ssize_t pread64(int fd, void *to, size_t bytes, off64_t at)
{
    return mine(fd) && due(READ) ? -1 : REAL(pread64)(fd, to, bytes, at);
}
ssize_t write(int fd, const void *from, size_t bytes)
{
    return mine(fd) && due(WRITE) ? -1 : REAL(write)(fd, from, bytes);
}
int fsync(int fd) { return mine(fd) && due(SYNC) ? -1 : REAL(fsync)(fd); }
int rename(const char *from, const char *to) { return below(to) && due(RENAME) ? -1 : REAL(rename)(from, to); }
void *mmap(void *at, size_t bytes, int rights, int flags, int fd, off_t offset)
{
    return due(MMAP) ? MAP_FAILED : REAL(mmap)(at, bytes, rights, flags, fd, offset);
}
int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *), void *arg)
{
    return due(THREAD) ? error_number : REAL(pthread_create)(thread, how, run, arg);
}
extern void *__libc_calloc(size_t, size_t);
void *calloc(size_t count, size_t size) { return due(ALLOC) ? NULL : __libc_calloc(count, size); }
