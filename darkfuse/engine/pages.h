#ifndef DF_PAGES_H
#define DF_PAGES_H

#include <stdbool.h>
#include <stddef.h>

/* Gives back memory this process can do without until it asks again: free pages of the heap and, with `files`,
 * pages of program files that nobody has changed, which come back from the page cache when they are used. Returns
 * the bytes of files let go. Files only where no other thread could map memory anew where one was. */
size_t df_give_back(bool files);

#endif
