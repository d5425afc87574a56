/* Start-up touches pages that running does not need again, and they count as long as they are mapped. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "pages.h"

typedef struct {
    size_t start, end; /* addresses */
    size_t bytes;      /* resident */
    bool clean;        /* of a file and as the file has it: nothing is lost */
} mapping;

static size_t drop(const mapping *m)
{
    if (!m->clean || !m->bytes || madvise((void *)m->start, m->end - m->start, MADV_DONTNEED))
        return 0;
    return m->bytes;
}

size_t df_give_back(bool files)
{
#ifdef __GLIBC__
    /* Once a picture was freed, glibc would put the next ones into the heap, one above the other (1.3 MB a frame
     * of 768x576 that stay): large blocks go on to be mappings of their own. */
    mallopt(M_MMAP_THRESHOLD, 256 << 10);
    mallopt(M_TRIM_THRESHOLD, 256 << 10);
    malloc_trim(0);
#endif
    FILE *maps = files ? fopen("/proc/self/smaps", "re") : NULL;
    if (!maps)
        return 0;
    size_t given = 0, inode, bytes;
    char line[512], rights[5], name[32];
    mapping now = {.clean = false}, next = {.clean = false};
    bool whole = true; /* a line longer than `line` has a rest that is no line of its own */
    while (fgets(line, sizeof line, maps)) {
        bool begins = whole;
        whole = strchr(line, '\n') != NULL;
        if (!begins)
            continue;
        if (sscanf(line, "%zx-%zx %4s %*s %*s %zu", &next.start, &next.end, rights, &inode) == 4) {
            given += drop(&now);
            now = next;
            now.clean = inode && rights[1] == '-' && rights[3] == 'p';
        } else if (sscanf(line, "%31[^:]: %zu", name, &bytes) == 2) {
            if (!strcmp(name, "Rss"))
                now.bytes = bytes << 10;
            /* private copies, as the loader makes them while it relocates: those exist nowhere else */
            else if (bytes && (!strcmp(name, "Anonymous") || !strcmp(name, "Swap")))
                now.clean = false;
        }
    }
    given += drop(&now);
    fclose(maps);
    return given;
}
