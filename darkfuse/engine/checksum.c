/* What a chunk of weights is recognised by when it is read again. */
#include <string.h>

#include "reads.h"

#define LANES 4 /* sums that do not wait for one another: a multiplication takes four cycles */
#define PRIME 0x9e3779b97f4a7c15u

/* A word changed in one bit changes its sum for good, and two words' top bits do not cancel, thanks to the turn. */
static uint64_t added(uint64_t sum, uint64_t word)
{
    sum ^= word;
    return (sum << 29 | sum >> 35) * PRIME;
}

uint64_t df_checksum(const char *data, size_t bytes, size_t each)
{
    uint64_t lane[LANES] = {1, 2, 3, 4}, word;
    for (size_t page = 0; page < bytes; page += DF_PAGE) {
        size_t at = page, end = bytes - page < each ? bytes : page + each;
        for (; at + LANES * sizeof word <= end; at += LANES * sizeof word)
            for (size_t n = 0; n < LANES; n++) {
                memcpy(&word, data + at + n * sizeof word, sizeof word);
                lane[n] = added(lane[n], word);
            }
        for (; at < end; at++)
            lane[0] = added(lane[0], (unsigned char)data[at]);
    }
    for (size_t n = 1; n < LANES; n++)
        lane[0] = added(lane[0], lane[n]);
    return lane[0] | 1;
}
