#ifndef DF_PAGES_H
#define DF_PAGES_H

#include <stddef.h>

/* Gives back memory this process can do without until it asks again: pages of program files that nobody has
 * changed, which come back from the page cache when they are used, and free pages of the heap. Returns the bytes
 * of files let go. For a process with one thread: another could map memory anew where a file was. */
size_t df_give_back(void);

#endif
