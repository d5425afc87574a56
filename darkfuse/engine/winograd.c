/* Winograd's convolutions: strips of tile rows whose input is transformed once, panels of output channels and parts of
 * the tiles shared out over the team. */
#include "engine.h"

df_strip df_strip_of(df_region conv, int y0, int y1)
{
    return (df_strip){.y0 = y0,
                      .y1 = y1,
                      .x0 = conv.x0,
                      .x1 = conv.x1,
                      .tiles_y = (y1 - y0 + 3) / 4,
                      .tiles_x = (conv.x1 - conv.x0 + 3) / 4};
}

#define PART_LEAST 16 /* tiles worth a ticket of their own */
/* Tiles that fit one thread's scratch at a time. */
static int tile_room(const df_stage *s, const df_conv *c)
{
    return (int)(s->thread_bytes / sizeof(float) / 36 / DF_PANEL) - df_min(DF_WINO_IC, (c->in_c + 15) / 16 * 16) - 3;
}

/* Tiles of a part, about, where filters of some channels and outputs take turns: their sums (115 KB) and transformed
 * input of 64 channels (230 KB) stay in 512 KB of cache. */
#define PART_NEAR 25
#define TOGETHER 4 /* panels at most */
#define TOGETHER_TILES 64 /* of all of them: sums of 295 KB, which stay in 1 MB of cache beside input and filters */
#define TOGETHER_BYTES (300 << 10) /* of transformed input that stays there anyway */
/* Panels that read the transformed input together: not where filters are transformed for all of a panel's outputs. */
static int panels_together(const df_table *k, const df_conv *c, int tiles, size_t scratch_floats)
{
    bool once = k->wino_outputs == DF_PANEL || c->in_c <= k->wino_channels;
    if (once || df_wino_u_floats(c, tiles) * sizeof(float) <= TOGETHER_BYTES)
        return 1;
    return df_max(df_min(df_min(TOGETHER, TOGETHER_TILES / tiles), df_wino_together(k, c, tiles, scratch_floats)), 1);
}

/* Panels [panel, panel + count) of tiles [t0, t1) of a strip, their filters in place. */
static void run_panels(const df_table *k, const df_op *op, const df_view *out, const df_panels *b,
                       const df_strip *strip, int panel, int count, const float *u, int t0, int t1, float *scratch)
{
    df_filters filters[TOGETHER] = {0};
    int pool = op->conv.pool ? 2 : 1;
    for (int p = 0; p < count; p++)
        filters[p].packed = df_panel_of(b, panel + p);
    k->wino_panel(&op->conv, out, strip, filters, op->weights->bias, panel, count, u, t0, t1, scratch);
    for (int p = 0; t0 == 0 && p < count; p++)
        df_zero_panel_margin(out, panel + p, strip->y0 / pool, (strip->y1 + pool - 1) / pool);
}

static void transform_input(df_team *t, const df_stage *s, const df_conv *c, const df_view *in, const df_strip *strip)
{
    int blocks = (c->in_c + DF_CB - 1) / DF_CB, groups = df_min(blocks, 4 * t->n);
    /* Few channels: tiles are shared out too, some at a time */
    int tiles = strip->tiles_y * strip->tiles_x;
    int parts = t->n > 1 ? df_max(1, df_min(4 * t->n / groups, tiles / PART_LEAST)) : 1;
    long pieces = (long)groups * parts;
    for (long n; (n = df_take(t, pieces)) >= 0;) {
        int64_t group = n / parts, part = n % parts;
        t->e->table->wino_input(c, in, strip, (int)(blocks * group / groups), (int)(blocks * (group + 1) / groups),
                                (int)(tiles * part / parts), (int)(tiles * (part + 1) / parts), (float *)s->shared);
    }
    df_join(t, pieces);
    if (t->id == 0 && s->last > s->first)
        df_reader_step(t->e, s->last); /* the input is dead */
}

void df_winograd(df_team *t, const df_stage *s, const df_op *op, const df_view *in, const df_view *out,
                 const df_panels *b, df_region conv)
{
    const df_table *k = t->e->table;
    const df_conv *c = &op->conv;
    float *u = (float *)s->shared, *scratch = (float *)(s->shared + s->shared_bytes + t->id * s->thread_bytes);
    int step = op->strip > 0 ? 4 * op->strip : conv.y1 - conv.y0;
    int room = tile_room(s, c), panels = b->p1 - b->p0;
    for (int y = conv.y0; y < conv.y1; y += step) {
        df_strip strip = df_strip_of(conv, y, df_min(y + step, conv.y1));
        int tiles = strip.tiles_y * strip.tiles_x;
        transform_input(t, s, c, in, &strip);
        /* Every part of a panel's tiles transforms its filters anew: as few as fill the scratch and the team, and more
         * where these are long: of one each, all threads would wait for the slowest core's. */
        int parts = df_max((tiles + room - 1) / room, panels < t->n ? (t->n + panels - 1) / panels : 1);
        if (t->n > 1)
            parts = df_max(parts, df_min(3 * t->n / panels, tiles / (4 * PART_LEAST)));
        if (k->wino_outputs < DF_PANEL && c->in_c > k->wino_channels)
            parts = df_max(parts, (tiles + PART_NEAR / 2) / PART_NEAR);
        parts = df_min(parts, tiles);
        int together = panels_together(k, c, (tiles + parts - 1) / parts, s->thread_bytes / sizeof(float));
        together = t->n > 1 ? df_max(1, df_min(together, panels * parts / (4 * t->n))) : together;
        long items = (long)(panels + together - 1) / together * parts;
        for (long n; (n = df_take(t, items)) >= 0;) {
            int part = (int)(n % parts), panel = b->p0 + (int)(n / parts) * together;
            run_panels(k, op, out, b, &strip, panel, df_min(together, b->p1 - panel), u,
                       (int)((int64_t)tiles * part / parts), (int)((int64_t)tiles * (part + 1) / parts), scratch);
        }
        df_join(t, items);
    }
}

/* Streamed filters, a panel at a time for all strips: each thread has tiles of its own in every strip, transforms them and
 * computes with them, so that nobody waits for anybody but the reader. A panel's filters are transformed by all
 * threads. */
static void stream_apart(df_team *t, const df_stage *s, const df_op *op, int j, df_region conv)
{
    const df_table *k = t->e->table;
    const df_conv *c = &op->conv;
    const df_weights *w = op->weights;
    float *u = (float *)s->shared, *scratch = (float *)(s->shared + s->shared_bytes + t->id * s->thread_bytes);
    int step = op->strip > 0 ? 4 * op->strip : conv.y1 - conv.y0, room = tile_room(s, c), pool = c->pool ? 2 : 1;
    df_view in = df_tile_view(op->in[0], j), out = df_tile_view(op->out, j);
    int64_t before = 0; /* tiles of the strip before */
    for (int first = 0, panel = 0; first < w->filters; first += DF_PANEL, panel++) {
        df_filters filters = {.scale = w->scale + first};
        bool here = df_going(t) && df_await_filters(t, w, first, &filters);
        for (int y = conv.y0; y < conv.y1; y += step) {
            df_strip strip = df_strip_of(conv, y, df_min(y + step, conv.y1));
            int64_t tiles = strip.tiles_y * strip.tiles_x;
            if (before && before != tiles)
                df_meet(t); /* a thread's tiles lie elsewhere now, where others may still compute with theirs */
            before = tiles;
            if (!here)
                continue;
            int t0 = (int)(tiles * t->id / t->n), t1 = (int)(tiles * (t->id + 1) / t->n);
            k->wino_input(c, &in, &strip, 0, (c->in_c + DF_CB - 1) / DF_CB, t0, t1, u);
            for (; t0 < t1; t0 += room)
                k->wino_panel(c, &out, &strip, &filters, w->bias, panel, 1, u, t0, df_min(t0 + room, t1), scratch);
            if (t->id == 0)
                df_zero_panel_margin(&out, panel, strip.y0 / pool, (strip.y1 + pool - 1) / pool);
        }
        if (here)
            df_free_filters(t, w, first, df_min(first + DF_PANEL, w->filters), 1);
    }
    df_wait_with_others(t, w, w->filters - 1);
    df_meet(t);
}

/* Streamed filters, from the reader's slots into the transform. Where all tiles are one strip, nobody
 * waits for anybody within the layer, and a core the reader has taken for a while just takes fewer panels. Otherwise
 * the team goes through the layer block by block, and through the strips in each: no byte is read twice. */
static void stream_shared(df_team *t, const df_stage *s, const df_op *op, int j, df_region conv, bool one_strip)
{
    const df_table *k = t->e->table;
    const df_conv *c = &op->conv;
    df_weights *w = op->weights;
    float *u = (float *)s->shared, *scratch = (float *)(s->shared + s->shared_bytes + t->id * s->thread_bytes);
    int step = one_strip ? conv.y1 - conv.y0 : 4 * op->strip, room = tile_room(s, c), pool = c->pool ? 2 : 1;
    /* Too few panels in the slots for the team: each takes some of a panel's tiles, and transforms its filters
     * anew. */
    int rounds = (conv.y1 - conv.y0 + step - 1) / step;
    bool once = rounds == 1;
    int block = once ? w->filters : w->block, parts = w->parts;
    df_view in = df_tile_view(op->in[0], j), out = df_tile_view(op->out, j);
    for (int first = 0; first < w->filters; first += block) {
        int end = df_min(first + block, w->filters), panels = (end - first + DF_PANEL - 1) / DF_PANEL;
        for (int round = 0; round < rounds; round++) {
            int y = conv.y0 + round * step;
            df_strip strip = df_strip_of(conv, y, df_min(y + step, conv.y1));
            int tiles = strip.tiles_y * strip.tiles_x;
            if (!once || first == 0)
                transform_input(t, s, c, &in, &strip);
            long items = (long)panels * parts;
            for (long n; (n = df_take(t, items)) >= 0;) {
                int from = first + (int)(n / parts) * DF_PANEL, panel = from / DF_PANEL, part = (int)(n % parts);
                int t1 = (int)((int64_t)tiles * (part + 1) / parts);
                df_filters filters = {.scale = w->scale + from}, next = {0};
                if (!df_await_filters(t, w, from, &filters))
                    continue;
                if (df_peek_filters(t, w, from + (int)((n + t->n) / parts - n / parts) * DF_PANEL, &next))
                    filters.next = &next;
                for (int t0 = (int)((int64_t)tiles * part / parts); t0 < t1; t0 += room)
                    k->wino_panel(c, &out, &strip, &filters, w->bias, panel, 1, u, t0, df_min(t0 + room, t1), scratch);
                if (part == 0)
                    df_zero_panel_margin(&out, panel, strip.y0 / pool, (strip.y1 + pool - 1) / pool);
                if (round == rounds - 1)
                    df_free_filters(t, w, from, df_min(from + DF_PANEL, end), 1);
            }
            df_wait_with_others(t, w, end - 1);
            df_join(t, items);
        }
    }
}

void df_stream_winograd(df_team *t, const df_stage *s, const df_op *op, int j, df_region conv)
{
    bool one_strip = op->strip <= 0 || 4 * op->strip >= conv.y1 - conv.y0;
    if (!one_strip && op->weights->parts == t->n && op->weights->block == DF_PANEL)
        stream_apart(t, s, op, j, conv);
    else
        stream_shared(t, s, op, j, conv, one_strip);
}
