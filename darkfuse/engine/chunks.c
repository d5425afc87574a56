/* The list of a frame's reads, in the order the team uses them: which filters come in which. */
#include <assert.h>
#include <stdlib.h>

#include "engine.h"

int df_chunks_in(const df_weights *w, int filters)
{
    assert(filters >= 0 && w->raw_filters > 0);
    return (filters + w->raw_filters - 1) / w->raw_filters;
}

/* Filters the team computes with at a time; a loaded layer is a single block. */
static int block_of(const df_weights *w) { return w->residency == DF_STREAMED ? w->block : w->filters; }

static int chunks_of(const df_weights *w)
{
    int block = block_of(w);
    if (w->residency == DF_PINNED || w->file_offset < 0)
        return 0;
    return w->filters / block * df_chunks_in(w, block) + df_chunks_in(w, w->filters % block);
}

/* Append the read of filters from `first` on, as many as one read takes, up to `end`. */
static void plan_chunk(df_reader *r, df_weights *w, int first, int end)
{
    assert(first < end && end <= w->filters);
    df_chunk *c = &r->chunks[r->count];
    int turn = r->count++ - w->first_chunk;
    *c = (df_chunk){.weights = w, .first = first, .count = df_min(w->raw_filters, end - first)};
    c->resident = turn < w->resident;
    c->slot = c->resident ? w->resident_raw + turn * w->slot_bytes : NULL;
}

/* Append all reads of a layer, block after block: no read reaches from one block into the next. */
static void plan_layer(df_reader *r, df_weights *w, int threads)
{
    int panels = df_max(1, block_of(w) / DF_PANEL);
    w->first_chunk = r->count;
    w->parts = w->residency == DF_STREAMED && w->kernel == DF_WINOGRAD ? (threads + panels - 1) / panels : 1;
    if (w->file_offset < 0)
        return;
    for (int start = 0, end; start < w->filters; start = end) {
        end = df_min(start + block_of(w), w->filters);
        for (int first = start; first < end; first += w->raw_filters)
            plan_chunk(r, w, first, end);
    }
}

bool df_reader_plan(df_engine *e, const char *base, size_t bytes)
{
    df_reader *r = &e->reader;
    size_t total = 1;
    for (int n = 0; n < e->n_weights; n++)
        total += (size_t)chunks_of(&e->weights[n]);
    r->chunks = calloc(total, sizeof *r->chunks);
    r->inside = calloc(total, sizeof *r->inside);
    r->here = calloc(total, 1);
    r->n_used = bytes / DF_GRAIN + 1;
    r->used = calloc(r->n_used, sizeof *r->used);
    r->base = base;
    r->can_flush = r->direct >= 0 && df_can_flush();
    if (!r->chunks || !r->inside || !r->here || !r->used)
        return false;
    for (int s = 0; s < e->n_stages; s++) {
        df_stage *stage = &e->stages[s];
        for (int n = 0; n < stage->n_loaded; n++)
            plan_layer(r, stage->loaded[n], e->threads);
        for (int n = 0; n < stage->n_ops; n++)
            if (stage->ops[n].weights && stage->ops[n].weights->residency == DF_STREAMED)
                plan_layer(r, stage->ops[n].weights, e->threads);
    }
    if (r->count && r->can_flush)
        df_flush(base, bytes); /* mapping the arena has just written zeros to it, which are in the caches */
    return true;
}

int df_chunk_at(const df_weights *w, int filter)
{
    assert(filter >= 0 && filter < w->filters);
    int block = block_of(w);
    return w->first_chunk + filter / block * df_chunks_in(w, block) + filter % block / w->raw_filters;
}
