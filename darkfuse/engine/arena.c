/* The one arena: anonymous pages, so that what the kernel charges is what the plan said. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine.h"

void *df_arena_map(size_t bytes)
{
    void *arena = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (arena == MAP_FAILED)
        return NULL;
    /* Now rather than in the first frame: page faults there would count as compute. */
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t at = 0; at < bytes; at += page)
        ((volatile char *)arena)[at] = 0;
    return arena;
}

void df_arena_unmap(void *arena, size_t bytes) { munmap(arena, bytes); }
