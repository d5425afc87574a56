/* The network's input, row by row where the first layer wants it: no resized or float copy of the photo. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine.h"

static void chw_row(const float *chw, const df_view *out, int y, df_region r)
{
    for (int c = 0; c < out->channels; c++) {
        const float *from = chw + ((int64_t)c * out->height + y) * out->width;
        float *to = df_pixel(out, y, c / DF_CB, 0) + c % DF_CB;
        for (int x = r.x0; x < r.x1; x++)
            to[(int64_t)x * out->pixel] = from[x];
    }
}

/* Channels past the last one are zeros. */
static void zero_lanes(const df_view *out, int y, df_region r)
{
    int used = out->channels % DF_CB;
    for (int x = r.x0; used && x < r.x1; x++)
        memset(df_pixel(out, y, out->blocks - 1, x) + used, 0, (size_t)(DF_CB - used) * sizeof(float));
}

/* A photo that was swapped out comes back at once, not in a fault here and another there: as much of it as is used
 * before the rest could go out again. */
void df_expect_frame(const void *frame, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), into = (uintptr_t)frame % page;
    madvise((char *)frame - into, (bytes < DF_EXPECTED ? bytes : DF_EXPECTED) + into, MADV_WILLNEED);
}

static void input_rows(df_team *t, const df_view *out, const float *unit, df_region r)
{
    const df_frame *f = &t->e->frame;
    long items = r.y1 - r.y0;
    for (long n; (n = df_take(t, items)) >= 0;) {
        int y = r.y0 + (int)n;
        if (out->pixel == DF_CB)
            zero_lanes(out, y, r);
        if (f->chw)
            chw_row(f->chw, out, y, r);
        else
            df_photo_row(f, unit, out, y, r);
        df_zero_margin(out, y, y + 1, 0, out->blocks);
    }
    df_join(t, items);
}

void df_input(df_team *t, const df_op *op, int j, df_region r)
{
    df_view out = df_tile_view(op->out, j);
    df_rows *rows = t->e->frame.rows;
    float unit[256];
    df_unit(unit);
    int most = rows ? rows->most : r.y1 - r.y0;
    for (int y = r.y0; y < r.y1; y += most) {
        df_region part = {y, df_min(y + most, r.y1), r.x0, r.x1};
        if (rows)
            df_photo_prepare(t, rows, part.y0, part.y1);
        input_rows(t, &out, unit, part);
    }
}
