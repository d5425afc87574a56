/* Which filters come in which read, and the frame's reads in the order the team uses them. */
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
    df_chunk *c = &r->chunks[r->n_chunks];
    int turn = r->n_chunks++ - w->first_chunk;
    *c = (df_chunk){.weights = w, .first = first, .count = df_min(w->raw_filters, end - first)};
    c->resident = turn < w->resident;
    c->slot = c->resident ? w->resident_raw + turn * w->slot_bytes : NULL;
}

/* Append all chunks of a layer, block after block: none reaches from one block into the next. */
static void plan_layer(df_reader *r, df_weights *w, int threads)
{
    int panels = df_max(1, block_of(w) / DF_PANEL);
    w->first_chunk = r->n_chunks;
    w->parts = w->rounds                                                 ? w->rounds
               : w->residency == DF_STREAMED && w->kernel == DF_WINOGRAD ? (threads + panels - 1) / panels
                                                                         : 1;
    if (w->file_offset < 0)
        return;
    for (int start = 0, end; start < w->filters; start = end) {
        end = df_min(start + block_of(w), w->filters);
        for (int first = start; first < end; first += w->raw_filters)
            plan_chunk(r, w, first, end);
    }
}

/* Append the reads of a layer for one tile of its stage. */
static void plan_reads(df_reader *r, df_weights *w, int tile)
{
    w->first_read[tile] = r->count;
    for (int n = 0; n < chunks_of(w); n++)
        r->order[r->count++] = w->first_chunk + n;
}

/* The layer that an operation streams, or NULL. */
static df_weights *streamed(const df_op *op)
{
    return op->weights && op->weights->residency == DF_STREAMED ? op->weights : NULL;
}

/* Reads of a frame: what is loaded comes once, what is streamed for each tile that computes something of it. */
static size_t count_reads(const df_engine *e)
{
    size_t total = 0;
    for (int n = 0; n < e->n_stages; n++) {
        const df_stage *s = &e->stages[n];
        for (int k = 0; k < s->n_loaded; k++)
            total += (size_t)chunks_of(s->loaded[k]);
        for (int k = 0; k < s->n_ops; k++)
            for (int tile = 0; streamed(&s->ops[k]) && tile < s->rows * s->cols; tile++)
                total += df_computes(s, &s->ops[k], tile) ? (size_t)chunks_of(s->ops[k].weights) : 0;
    }
    return total;
}

static void plan_stage(df_reader *r, df_stage *s, int threads)
{
    for (int n = 0; n < s->n_loaded; n++) {
        plan_layer(r, s->loaded[n], threads);
        plan_reads(r, s->loaded[n], 0);
    }
    for (int n = 0; n < s->n_ops; n++)
        if (streamed(&s->ops[n]))
            plan_layer(r, s->ops[n].weights, threads);
    for (int tile = 0; s->streams && tile < s->rows * s->cols; tile++)
        for (int n = 0; n < s->n_ops; n++)
            if (streamed(&s->ops[n]) && df_computes(s, &s->ops[n], tile))
                plan_reads(r, s->ops[n].weights, tile);
}

bool df_reader_plan(df_engine *e, const char *base, size_t bytes)
{
    df_reader *r = &e->reader;
    size_t chunks = 1, reads = count_reads(e) + 1;
    if (reads > INT32_MAX)
        return false;
    for (int n = 0; n < e->n_weights; n++)
        chunks += (size_t)chunks_of(&e->weights[n]);
    r->chunks = calloc(chunks, sizeof *r->chunks);
    r->inside = calloc(chunks, sizeof *r->inside);
    r->order = calloc(reads, sizeof *r->order);
    r->here = calloc(reads, 1);
    r->n_used = bytes / DF_GRAIN + 1;
    r->used = calloc(r->n_used, sizeof *r->used);
    r->base = base;
    r->can_flush = r->direct >= 0 && df_can_flush();
    if (!r->chunks || !r->inside || !r->order || !r->here || !r->used)
        return false;
    for (int n = 0; n < e->n_stages; n++)
        plan_stage(r, &e->stages[n], e->threads);
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
