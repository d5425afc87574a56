/* Convolutions: panels of 32 output channels and strips of rows shared out over the team, weights from a
 * pinned layer or block by block from the reader. Winograd's are in winograd.c. */
#include "engine.h"

void df_zero_panel_margin(const df_view *out, int panel, int y0, int y1)
{
    int per = DF_PANEL / DF_CB;
    df_zero_margin(out, y0, y1, panel * per, df_min(panel * per + per, out->blocks));
}

static int64_t macs_per_pixel(const df_conv *c) { return (int64_t)(c->in_c / c->groups) * c->size * c->size; }

typedef void kernel(const df_conv *, const df_view *, const df_view *, const float *, const float *, int, int, int, int,
                    int);

static kernel *direct_kernel(const df_table *k, const df_op *op)
{
    return op->kernel == DF_FIRST ? k->conv_first : op->kernel == DF_GENERAL ? k->conv_general : k->conv_direct;
}

static void run_direct(df_team *t, const df_op *op, const df_view *in, const df_view *out, const df_panels *b,
                       df_region r)
{
    kernel *run = direct_kernel(t->e->table, op);
    int panels = b->p1 - b->p0, rows = r.y1 - r.y0, cols = r.x1 - r.x0;
    int64_t cost = macs_per_pixel(&op->conv) * DF_PANEL * panels * rows * cols * (op->conv.pool ? 4 : 1);
    int strips = df_strips(t, cost, panels, rows);
    /* Few rows for many threads (line buffers): cut the rows too. */
    int parts = strips < rows ? 1 : df_strips(t, cost, (long)panels * strips, (cols + 27) / 28);
    long items = (long)panels * strips * parts;
    for (long n; (n = df_take(t, items)) >= 0;) {
        /* Strips of one panel follow each other: the team shares its weights in the cache. */
        int part = (int)(n % parts), strip = (int)(n / parts % strips), panel = b->p0 + (int)(n / parts / strips);
        int y0 = r.y0 + (int)((int64_t)rows * strip / strips), y1 = r.y0 + (int)((int64_t)rows * (strip + 1) / strips);
        int x0 = r.x0 + (int)((int64_t)cols * part / parts), x1 = r.x0 + (int)((int64_t)cols * (part + 1) / parts);
        run(&op->conv, in, out, df_panel_of(b, panel), op->weights->bias, panel, y0, y1, x0, x1);
        if (part == 0)
            df_zero_panel_margin(out, panel, y0, y1);
    }
    df_join(t, items);
}

/* Filters of the least that one thread can read and compute with: a panel, or a read of several. */
static int filters_apart(const df_weights *w) { return df_max(DF_PANEL, w->raw_filters); }

/* Streamed weights, each thread on filters of its own from the reader's slot to the map. */
static void stream_direct(df_team *t, const df_stage *s, const df_op *op, int j, df_region r)
{
    df_weights *w = op->weights;
    kernel *run = direct_kernel(t->e->table, op);
    int each = filters_apart(w);
    int64_t panel_floats = (int64_t)df_packed_floats(&op->conv, op->kernel, DF_PANEL);
    float *packed = w->packed + t->id * (each / DF_PANEL) * panel_floats; /* `each` filters of the block */
    long items = (w->filters + each - 1) / each;
    for (long n; (n = df_take(t, items)) >= 0;) {
        int first = (int)n * each, end = df_min(first + each, w->filters);
        if (!df_fill_filters(t, w, first, end - first, packed))
            continue;
        for (int picture = 0; picture < df_pictures(t->e); picture++) {
            const df_op *own = op + picture * s->n_ops;
            df_view in = df_tile_view(own->in[0], j), out = df_tile_view(own->out, j);
            for (int p = first / DF_PANEL, p0 = p; p * DF_PANEL < end; p++) {
                run(&op->conv, &in, &out, packed + (p - p0) * panel_floats, w->bias, p, r.y0, r.y1, r.x0, r.x1);
                df_zero_panel_margin(&out, p, r.y0, r.y1);
            }
        }
    }
    df_wait_with_others(t, w, w->filters - 1);
    df_join(t, items);
}

void df_convolve(df_team *t, const df_stage *s, const df_op *op, int j, df_region r)
{
    df_weights *w = op->weights;
    const df_conv *c = &op->conv;
    int pool = c->pool ? 2 : 1;
    df_region conv = {r.y0 * pool, df_min(r.y1 * pool, c->conv_h), r.x0 * pool, df_min(r.x1 * pool, c->conv_w)};
    bool streamed = w->residency == DF_STREAMED;
    int pictures = streamed ? df_pictures(t->e) : 1;
    if (t->id == 0)
        t->e->macs += macs_per_pixel(c) * c->out_c * (conv.y1 - conv.y0) * (conv.x1 - conv.x0) * pictures;

    if (streamed && op->kernel == DF_WINOGRAD) {
        (op->pictures ? df_stream_together : df_stream_winograd)(t, s, op, j, conv);
        return;
    }
    int each = filters_apart(w);
    if (streamed && t->n > 1 && w->block / each >= t->n && each % w->raw_filters == 0 && each % DF_PANEL == 0
        && w->file_offset >= 0) {
        stream_direct(t, s, op, j, r);
        return;
    }
    int per_block = streamed ? w->block : w->filters;
    for (int first = 0; first < w->filters; first += per_block) {
        int count = df_min(per_block, w->filters - first);
        if (streamed)
            df_fill_block(t, w, first, count, first);
        df_panels b = {
            .packed = w->packed,
            .panel_floats = (int64_t)df_packed_floats(c, op->kernel, DF_PANEL),
            .p0 = first / DF_PANEL,
            .p1 = (first + count + DF_PANEL - 1) / DF_PANEL,
        };
        for (int p = 0; p < pictures; p++) {
            const df_op *own = op + p * s->n_ops;
            df_view in = df_tile_view(own->in[0], j), out = df_tile_view(own->out, j);
            if (op->kernel == DF_WINOGRAD)
                df_winograd(t, s, op, &in, &out, &b, conv);
            else
                run_direct(t, op, &in, &out, &b, r);
        }
    }
}
