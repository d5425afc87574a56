/* What all sources of rows have in common, and the plainest of them; orientation. */
#include <stdlib.h>
#include <string.h>

#include "source.h"

bool df_source_fail(df_source *s, int status, const char *message)
{
    if (s->status == DF_PICTURE_GOOD) {
        s->status = status;
        snprintf(s->message, sizeof s->message, "%s", message);
    }
    return false;
}

bool df_source_take(df_source *s, int64_t bytes)
{
    s->held += bytes;
    if (s->held > s->most)
        s->most = s->held;
    if (s->held <= s->limit)
        return true;
    return df_source_fail(s, DF_PICTURE_TOO_LARGE, "decoding it takes too much memory");
}

void df_source_close(df_source *s)
{
    if (s->stop)
        s->stop(s);
    if (s->file)
        fclose(s->file);
    s->stop = NULL;
    s->file = NULL;
}

bool df_source_seek(df_source *s, int32_t row, uint8_t *spare)
{
    if (row < s->next || s->next < 0) {
        s->next = -1;
        if (!s->start(s))
            return false;
        s->next = 0;
    }
    while (s->next < row) {
        if (!s->read(s, spare))
            return false;
        s->next++;
    }
    return true;
}

static bool start_raw(df_source *s)
{
    return !fseeko(s->file, 0, SEEK_SET) || df_source_fail(s, DF_PICTURE_DAMAGED, "its copy on disk cannot be read");
}

static bool read_raw(df_source *s, uint8_t *row)
{
    return fread(row, 3, (size_t)s->width, s->file) == (size_t)s->width
           || df_source_fail(s, DF_PICTURE_DAMAGED, "its copy on disk cannot be read");
}

static void stop_raw(df_source *s) { (void)s; }

bool df_raw_open(df_source *s, FILE *file, int32_t width, int32_t height)
{
    *s = (df_source){.file = file,
                     .width = width,
                     .height = height,
                     .next = -1,
                     .limit = INT64_MAX,
                     .start = start_raw,
                     .read = read_raw,
                     .stop = stop_raw};
    return true;
}

df_turn df_turn_of(int orientation)
{
    static const df_turn turns[9] = {
        {false, false, false}, {false, false, false}, {false, true, false}, {false, true, true}, {false, false, true},
        {true, false, false},  {true, true, false},   {true, true, true},   {true, false, true},
    };
    return turns[orientation >= 1 && orientation <= 8 ? orientation : 1];
}

/* Pixels of a stored row to `to`, `stride` bytes apart, backwards if `flip`. */
static void spread(const uint8_t *row, int32_t from, int32_t until, int32_t width, bool flip, uint8_t *to,
                   ptrdiff_t stride)
{
    for (int32_t i = from; i < until; i++, to += stride)
        memcpy(to, row + (size_t)(flip ? width - 1 - i : i) * 3, 3);
}

bool df_band(df_source *s, df_turn turn, int32_t top, int32_t bottom, uint8_t *to, uint8_t *spare)
{
    int32_t first = 0, last = s->height; /* stored rows */
    if (!turn.swap) {
        first = turn.flip_y ? s->height - bottom : top;
        last = turn.flip_y ? s->height - top : bottom;
    }
    if (!df_source_seek(s, first, spare))
        return false;
    size_t line = (size_t)(turn.swap ? s->height : s->width) * 3;
    for (int32_t row = first; row < last; row++) {
        if (!s->read(s, spare))
            return false;
        s->next++;
        int32_t at = turn.swap ? (turn.flip_x ? s->height - 1 - row : row)
                               : (turn.flip_y ? s->height - 1 - row : row) - top;
        if (turn.swap)
            spread(spare, top, bottom, s->width, turn.flip_y, to + (size_t)at * 3, (ptrdiff_t)line);
        else
            spread(spare, 0, s->width, s->width, turn.flip_x, to + (size_t)at * line, 3);
    }
    return true;
}
