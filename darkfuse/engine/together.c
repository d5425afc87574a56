/* Winograd layers that stream their filters for a batch: each thread takes some panels of filters for some pictures,
 * from the maps to the maps, so that nobody waits for anybody within a layer but for filters that have yet to come. */
#include <assert.h>

#include "engine.h"

/* What one thread computes at a time: a strip of `pictures` pictures from the first one's number on. */
typedef struct {
    df_view in[DF_TOGETHER], out[DF_TOGETHER];
    int pictures;
    df_strip strip;
} part;

static part part_of(const df_stage *s, const df_op *op, int j, df_region conv, int first, int end, int strip)
{
    part p = {.pictures = df_min(op->pictures, end - first)};
    for (int n = 0; n < p.pictures; n++) {
        const df_op *own = op + (first + n) * s->n_ops;
        p.in[n] = df_tile_view(own->in[0], j);
        p.out[n] = df_tile_view(own->out, j);
    }
    int rows = op->strip > 0 ? 4 * op->strip : conv.y1 - conv.y0, y = conv.y0 + strip * rows;
    p.strip = df_strip_of(conv, y, df_min(y + rows, conv.y1));
    return p;
}

/* Wait for the panels of filters [from, end). False when the frame was stopped meanwhile. */
static bool await_panels(df_team *t, const df_weights *w, int from, int end, df_filters *filters)
{
    for (int first = from, n = 0; first < end; first += DF_PANEL, n++) {
        filters[n] = (df_filters){.scale = w->scale + first};
        if (!df_await_filters(t, w, first, &filters[n]))
            return false;
    }
    return true;
}

void df_stream_together(df_team *t, const df_stage *s, const df_op *op, int j, df_region conv)
{
    df_weights *w = op->weights;
    float *scratch = (float *)(s->shared + s->shared_bytes + t->id * s->thread_bytes);
    int rows = op->strip > 0 ? 4 * op->strip : conv.y1 - conv.y0, strips = (conv.y1 - conv.y0 + rows - 1) / rows;
    int pictures = df_pictures(t->e), groups = (pictures + op->pictures - 1) / op->pictures, rounds = groups * strips;
    int each = op->panels * DF_PANEL, pool = op->conv.pool ? 2 : 1;
    long items = (long)rounds * ((w->filters + each - 1) / each);
    assert(op->pictures <= DF_TOGETHER && op->panels <= DF_TOGETHER && rounds <= w->parts);
    for (long n; (n = df_take(t, items)) >= 0;) {
        int from = (int)(n / rounds) * each, end = df_min(from + each, w->filters), round = (int)(n % rounds);
        int panels = (end - from + DF_PANEL - 1) / DF_PANEL;
        df_filters filters[DF_TOGETHER];
        if (!await_panels(t, w, from, end, filters))
            continue;
        part p = part_of(s, op, j, conv, round / strips * op->pictures, pictures, round % strips);
        t->e->table->wino_pictures(&op->conv, p.in, p.out, p.pictures, &p.strip, filters, panels, w->bias,
                                   from / DF_PANEL, scratch);
        for (int panel = from / DF_PANEL; panel * DF_PANEL < end; panel++)
            for (int q = 0; q < p.pictures; q++)
                df_zero_panel_margin(&p.out[q], panel, p.strip.y0 / pool, (p.strip.y1 + pool - 1) / pool);
        /* The last round stands for those of pictures that did not come, too. */
        df_free_filters(t, w, from, end, round == rounds - 1 ? w->parts - round : 1);
    }
    df_wait_with_others(t, w, w->filters - 1);
    df_join(t, items);
}
