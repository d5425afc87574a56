/* The one arena: anonymous pages, so that what the kernel charges is what the plan said. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine.h"

#if defined(__SANITIZE_ADDRESS__)
#define WATCHED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WATCHED
#endif
#endif
#ifdef WATCHED
#include <sanitizer/asan_interface.h>
#endif

#define HUGE_PAGE ((size_t)DF_HUGE_PAGE)

/* Begins, or ends, at a multiple of the huge page and asks for huge pages as far as whole ones reach: reads past
 * the page cache then go to memory that lies in one piece (3 GB/s against 1.2 with scattered pages, on a virtual
 * disk), and walking weights costs fewer TLB misses. The rest, at the other end, is small pages, so that no byte
 * is charged beyond `bytes`. */
void *df_arena_map(size_t bytes, bool small_first)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), slack = bytes >= HUGE_PAGE ? HUGE_PAGE : 0;
    if (bytes > SIZE_MAX - slack - page)
        return NULL;
    size_t whole = (bytes + page - 1) / page * page;
    char *got = mmap(NULL, whole + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (got == MAP_FAILED)
        return NULL;
    char *arena = got;
    if (slack) {
        size_t rest = small_first ? whole % HUGE_PAGE : 0, huge = whole / HUGE_PAGE * HUGE_PAGE;
        char *first = (char *)(((uintptr_t)got + rest + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
        arena = first - rest;
        if (arena > got)
            munmap(got, (size_t)(arena - got));
        if (arena + whole < got + whole + slack)
            munmap(arena + whole, (size_t)(got + slack - arena));
        madvise(first, huge, MADV_HUGEPAGE); /* a wish: small pages do too */
    }
    /* Now rather than in the first frame: page faults there would count as compute. */
    for (size_t at = 0; at < bytes; at += page)
        ((volatile char *)arena)[at] = 0;
    return arena;
}

void df_arena_unmap(void *arena, size_t bytes)
{
    df_arena_forbid(arena, bytes, false);
    munmap(arena, bytes);
}

void df_arena_forbid(void *start, size_t bytes, bool forbidden)
{
#ifdef WATCHED
    if (forbidden)
        ASAN_POISON_MEMORY_REGION(start, bytes);
    else
        ASAN_UNPOISON_MEMORY_REGION(start, bytes);
#else
    (void)start, (void)bytes, (void)forbidden;
#endif
}
