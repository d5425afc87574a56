/* A photo scaled to the network's input, row by row where the first layer wants it: no resized or float copy of it
 * is ever held. */
#include <string.h>

#include "engine.h"

/* Columns [x0, x1) of row `y` of the scaled photo, to `out`, `step` floats apart. */
DF_ROUND_APART static void scaled_row(const df_frame *f, const float *unit, int y, int x0, int x1, float *out, int step)
{
    size_t pixel = (size_t)f->fit.from, line = pixel * f->fit.width;
    df_tap down = df_row_tap(&f->fit, y);
    const uint8_t *one = f->pixels + line * down.one, *two = f->pixels + line * down.two;
    for (int x = x0; x < x1; x++, out += step) {
        df_tap across = df_column_tap(&f->fit, x);
        size_t a = pixel * across.one, b = pixel * across.two;
        df_mix(&f->fit, (df_four){one + a, one + b, two + a, two + b}, across, down, unit, out);
    }
}

/* The same of a row that was made elsewhere. */
static void copied_row(const df_rows *rows, int y, int x0, int x1, float *out, int step)
{
    size_t pixel = (size_t)rows->fit.to;
    const float *from = rows->row(rows->self, y) + pixel * (size_t)(x0 - rows->first);
    for (int x = x0; x < x1; x++, out += step, from += pixel)
        memcpy(out, from, pixel * sizeof(float));
}

static void row_of(const df_frame *f, const float *unit, int y, int x0, int x1, float *out, int step)
{
    if (f->rows)
        copied_row(f->rows, y, x0, x1, out, step);
    else
        scaled_row(f, unit, y, x0, x1, out, step);
}

void df_photo_row(const df_frame *f, const float *unit, const df_view *out, int y, df_region r)
{
    const df_fit *p = &f->fit;
    int row = y - p->top;
    int x0 = df_min(df_max(p->left, r.x0), r.x1), x1 = df_max(df_min(p->left + p->across, r.x1), x0);
    if (p->crop)
        row = df_within(row, p->down);
    else if (row < 0 || row >= p->down)
        x0 = x1 = r.x1;
    for (int x = r.x0; x < r.x1; x++) {
        if (x >= x0 && x < x1)
            continue;
        int edge = df_within(x - p->left, p->across);
        if (p->crop)
            row_of(f, unit, row, edge, edge + 1, df_pixel(out, y, 0, x), out->pixel);
        for (int k = 0; k < out->channels && !p->crop; k++)
            df_pixel(out, y, 0, x)[k] = 0.5f;
    }
    if (x0 < x1)
        row_of(f, unit, row, x0 - p->left, x1 - p->left, df_pixel(out, y, 0, x0), out->pixel);
}

/* Rows [y0, y1) of the input, as much of them as is the scaled photo, at hand; a failure stops the frame. */
void df_photo_prepare(df_team *t, df_rows *rows, int y0, int y1)
{
    const df_fit *p = &rows->fit;
    int from = df_max(y0 - p->top, 0), to = df_min(y1 - p->top, p->down);
    if (p->crop) {
        from = df_within(y0 - p->top, p->down);
        to = df_within(y1 - 1 - p->top, p->down) + 1;
    }
    if (t->id == 0 && from < to && atomic_load(&t->e->stop) == DF_RUNNING && rows->prepare(rows->self, from, to))
        atomic_store(&t->e->stop, DF_PICTURE_FAILED);
    df_meet(t);
}
