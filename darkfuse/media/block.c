/* An upright picture scaled to a network's input, some rows at a time, while the file's rows go by.
 *
 * Where upright rows come in the file's order, the rows at hand slide down the picture and the file is read once.
 * Turned pictures' rows lie across it, or upwards: every time other rows are asked for the file is read from its
 * start, and each of its rows leaves its share in all rows at hand. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "source.h"

static int32_t smaller(int32_t a, int32_t b) { return a < b ? a : b; }

static size_t line_of(const df_block *b) { return (size_t)b->rows.columns * (size_t)b->rows.fit.to; }

static float *row_of(const df_block *b, int32_t y) { return b->values + (size_t)(y - b->first) * line_of(b); }

/* A stored row, one of the last two read; reads on to it. */
static const uint8_t *stored(df_block *b, int32_t row)
{
    df_source *s = b->source;
    while (b->pair_row[0] != row && b->pair_row[1] != row) {
        if (s->next > row || s->next >= s->height) {
            df_source_fail(s, DF_PICTURE_DAMAGED, "rows out of order");
            return NULL;
        }
        int into = b->pair_row[0] <= b->pair_row[1] ? 0 : 1;
        b->pair_row[into] = -1;
        if (!s->read(s, b->pair[into]))
            return NULL;
        b->pair_row[into] = s->next++;
    }
    return b->pair[b->pair_row[0] == row ? 0 : 1];
}

/* The two stored lines a tap takes, by their place in the file. */
typedef struct {
    int32_t one, two;
} lines;

static lines stored_lines(df_tap t, int32_t count, bool flip)
{
    return flip ? (lines){count - 1 - t.one, count - 1 - t.two} : (lines){t.one, t.two};
}

/* Both stored rows of a tap, read in the file's order. */
static bool stored_pair(df_block *b, lines at, const uint8_t **one, const uint8_t **two)
{
    bool good = stored(b, at.one < at.two ? at.one : at.two) && stored(b, at.one < at.two ? at.two : at.one);
    if (good) {
        *one = stored(b, at.one);
        *two = stored(b, at.two);
    }
    return good;
}

DF_ROUND_APART static void make_row(df_block *b, df_tap down, const uint8_t *one, const uint8_t *two, float *to)
{
    const df_fit *f = &b->rows.fit;
    for (int32_t x = 0; x < b->rows.columns; x++, to += f->to) {
        df_tap across = b->across[x];
        lines at = stored_lines(across, b->source->width, b->turn.flip_x);
        size_t left = (size_t)at.one * 3, right = (size_t)at.two * 3;
        df_mix(f, (df_four){one + left, one + right, two + left, two + right}, across, down, b->unit, to);
    }
}

DF_ROUND_APART static df_tap row_tap(const df_block *b, int32_t y) { return df_row_tap(&b->rows.fit, y); }

/* Column x of all rows at hand, from the two stored rows it lies between. */
DF_ROUND_APART static void make_column(df_block *b, int32_t x, const uint8_t *one, const uint8_t *two)
{
    const df_fit *f = &b->rows.fit;
    float *to = b->values + (size_t)x * (size_t)f->to;
    for (int32_t y = b->first; y < b->first + b->count; y++, to += line_of(b)) {
        df_tap down = df_row_tap(f, y);
        lines at = stored_lines(down, b->source->width, b->turn.flip_y);
        size_t upper = (size_t)at.one * 3, lower = (size_t)at.two * 3;
        df_mix(f, (df_four){one + upper, two + upper, one + lower, two + lower}, b->across[x], down, b->unit, to);
    }
}

static bool rewind_source(df_block *b)
{
    b->pair_row[0] = b->pair_row[1] = -1;
    b->count = 0;
    return df_source_seek(b->source, 0, b->pair[0]);
}

/* The file to its end: what is wrong with it must not depend on how much of it is used. */
static bool finish(df_block *b)
{
    b->pair_row[0] = b->pair_row[1] = -1;
    return df_source_seek(b->source, b->source->height, b->pair[0]);
}

static bool slide(df_block *b, int32_t y0, int32_t y1)
{
    if (y0 < b->first || b->source->next < 0) {
        if (!rewind_source(b))
            return false;
    } else {
        int32_t gone = smaller(y0 - b->first, b->count);
        b->count -= gone;
        memmove(b->values, b->values + (size_t)gone * line_of(b), (size_t)b->count * line_of(b) * sizeof(float));
    }
    b->first = y0;
    while (b->first + b->count < y1) {
        int32_t y = b->first + b->count;
        df_tap down = row_tap(b, y);
        const uint8_t *one, *two;
        if (!stored_pair(b, stored_lines(down, b->source->height, false), &one, &two))
            return false;
        make_row(b, down, one, two, row_of(b, y));
        b->count++;
        if (y == b->rows.fit.down - 1 && !finish(b))
            return false;
    }
    return true;
}

static bool pass(df_block *b, int32_t y0)
{
    const uint8_t *one, *two;
    if (!rewind_source(b))
        return false;
    b->first = y0;
    b->count = smaller(b->rows.most, b->rows.fit.down - y0);
    for (int32_t i = 0; i < (b->turn.swap ? b->rows.columns : b->count); i++) {
        bool back = b->turn.swap ? b->turn.flip_x : true;
        int32_t line = back ? (b->turn.swap ? b->rows.columns : b->count) - 1 - i : i;
        df_tap tap = b->turn.swap ? b->across[line] : row_tap(b, y0 + line);
        if (!stored_pair(b, stored_lines(tap, b->source->height, back), &one, &two))
            return false;
        if (b->turn.swap)
            make_column(b, line, one, two);
        else
            make_row(b, tap, one, two, row_of(b, y0 + line));
    }
    return finish(b);
}

static int prepare(void *self, int32_t y0, int32_t y1)
{
    df_block *b = self;
    if (y0 >= b->first && y1 <= b->first + b->count)
        return 0;
    struct timespec begun, done;
    clock_gettime(CLOCK_MONOTONIC, &begun);
    bool in_order = !b->turn.swap && !b->turn.flip_y;
    bool good = in_order ? slide(b, y0, y1) : pass(b, y0);
    clock_gettime(CLOCK_MONOTONIC, &done);
    b->rows.ms += (done.tv_sec - begun.tv_sec) * 1e3 + (done.tv_nsec - begun.tv_nsec) * 1e-6;
    if (!good)
        b->count = 0;
    return good ? 0 : 1;
}

static const float *row(void *self, int32_t y) { return row_of(self, y); }

DF_ROUND_APART static void make_taps(df_block *b)
{
    for (int32_t x = 0; x < b->rows.columns; x++)
        b->across[x] = df_column_tap(&b->rows.fit, b->rows.first + x);
    df_unit(b->unit);
}

bool df_block_open(df_block *b, df_source *s, df_turn turn, df_net net, int64_t bytes)
{
    *b = (df_block){.source = s,
                    .turn = turn,
                    .pair_row = {-1, -1},
                    .first = INT32_MAX}; /* none: the file is read from its start */
    df_fit f = df_fit_picture(turn.swap ? s->height : s->width, turn.swap ? s->width : s->height, 3, net.width,
                              net.height, net.channels, net.shape, net.centres);
    int32_t first = f.left < 0 ? -f.left : 0, columns = smaller(f.across, net.width - f.left) - first;
    int64_t line = (int64_t)columns * net.channels * (int64_t)sizeof(float), fits = bytes / line;
    int32_t useful = smaller(f.down, net.height);
    int32_t most = fits < 1 ? 1 : fits > useful ? useful : (int32_t)fits;
    b->rows = (df_rows){
        .self = b, .fit = f, .first = first, .columns = columns, .most = most, .prepare = prepare, .row = row};
    b->values = malloc((size_t)most * (size_t)line);
    b->across = malloc((size_t)columns * sizeof *b->across);
    b->pair[0] = malloc((size_t)s->width * 3);
    b->pair[1] = malloc((size_t)s->width * 3);
    if (!b->values || !b->across || !b->pair[0] || !b->pair[1])
        return df_source_fail(s, DF_PICTURE_NO_MEMORY, "the system refuses memory");
    make_taps(b);
    return true;
}

void df_block_close(df_block *b)
{
    free(b->values);
    free(b->across);
    free(b->pair[0]);
    free(b->pair[1]);
    *b = (df_block){0};
}
