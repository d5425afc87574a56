/* Maps as the kernels see them, and what moving windows carry from tile to tile. */
#include <assert.h>
#include <string.h>

#include "engine.h"

df_view df_tile_view(const df_tensor *t, int tile_col)
{
    assert(tile_col >= 0 && t->slots > 0);
    return (df_view){
        .base = t->base,
        .row_stride = t->row_stride,
        .pixel = t->pixel,
        .cols = t->cols,
        .x0 = t->x0[t->moves ? tile_col : 0],
        .slots = t->slots,
        .blocks = t->blocks,
        .channels = t->channels,
        .height = t->height,
        .width = t->width,
    };
}

void df_zero_margin(const df_view *v, int y0, int y1, int b0, int b1)
{
    int left = df_min(-v->x0, v->cols), right = v->x0 + v->cols - v->width;
    right = df_min(right, v->cols);
    for (int y = y0; y < y1; y++)
        for (int b = b0; b < b1; b++) {
            if (left > 0)
                memset(df_pixel(v, y, b, v->x0), 0, (size_t)left * v->pixel * sizeof(float));
            if (right > 0)
                memset(df_pixel(v, y, b, v->x0 + v->cols - right), 0, (size_t)right * v->pixel * sizeof(float));
        }
}

/* The row cache, as a view of the same map. */
static df_view cache_view(const df_tensor *t)
{
    const df_keep *k = t->keep;
    df_view v = df_tile_view(t, 0);
    v.base = k->base;
    v.row_stride = (int64_t)t->blocks * k->cols * t->pixel;
    v.cols = k->cols;
    v.x0 = k->x0;
    v.slots = k->slots;
    return v;
}

static void copy_columns(const df_view *from, const df_view *to, int y, int b, int x0, int x1)
{
    if (x0 < x1)
        memmove(df_pixel(to, y, b, x0), df_pixel(from, y, b, x0), (size_t)(x1 - x0) * to->pixel * sizeof(float));
}

/* Before the producer of a moving window runs at tile (i, j): columns left behind by tile (i, j - 1) move to
 * their new place, rows left behind by tile row i - 1 come from the row cache. */
void df_keep_in(df_team *t, const df_op *op, int i, int j)
{
    const df_tensor *map = op->out;
    const df_keep *k = map->keep;
    df_view now = df_tile_view(map, j), before = df_tile_view(map, j > 0 ? j - 1 : 0), cache = cache_view(map);
    df_span y = op->y[i], x = op->x[j];
    int top = df_min(k->top[i], y.from), left = k->left[j];
    long items = df_max(y.to - top, 0);
    for (long n; (n = df_take(t, items)) >= 0;) {
        int row = top + (int)n;
        for (int b = 0; b < map->blocks; b++) {
            if (k->columns && j > 0)
                copy_columns(&before, &now, row, b, left, x.from);
            if (i > 0 && row < y.from)
                copy_columns(&cache, &now, row, b, k->columns ? x.from : df_min(left, x.from), x.to);
        }
        df_zero_margin(&now, row, row + 1, 0, map->blocks);
    }
    df_join(t, items);
}

/* After it ran: rows the next tile row needs go to the row cache, before another tile takes their slots. */
void df_keep_out(df_team *t, const df_op *op, int i, int j, int rows)
{
    const df_tensor *map = op->out;
    const df_keep *k = map->keep;
    if (i + 1 >= rows)
        return;
    df_view now = df_tile_view(map, j), cache = cache_view(map);
    int top = k->top[i + 1];
    long items = df_max(op->y[i].to - top, 0);
    for (long n; (n = df_take(t, items)) >= 0;)
        for (int b = 0; b < map->blocks; b++)
            copy_columns(&now, &cache, top + (int)n, b, op->x[j].from, op->x[j].to);
    df_join(t, items);
}
