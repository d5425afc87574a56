/* Weights that are read while a frame runs: what engine.h's structs mean for them. Included by engine.h. */
#ifndef DF_READS_H
#define DF_READS_H

#include "engine.h"

/* chunks.c: which filters come in which read. */

/* List the frame's chunks, and its reads of them in order of use, for an arena at `base`. False when memory is
 * refused. */
bool df_reader_plan(df_engine *e, const char *base, size_t bytes);
/* Chunks that `filters` filters of one block come in. The block's last chunk may be short, for no chunk reaches
 * into the next block. */
int df_chunks_in(const df_weights *w, int filters);
/* The chunk that a filter comes in. */
int df_chunk_at(const df_weights *w, int filter);
/* Whether a tile of a stage, counted row after row, computes anything of an operation. */
static inline bool df_computes(const df_stage *s, const df_op *op, int tile)
{
    df_span y = op->y[tile / s->cols], x = op->x[tile % s->cols];
    return y.from < y.to && x.from < x.to;
}

static inline size_t df_chunk_bytes(const df_chunk *c)
{
    return (size_t)c->count * (size_t)c->weights->per_filter * sizeof(float);
}
/* Where the chunk begins in the file. */
static inline int64_t df_chunk_offset(const df_chunk *c)
{
    return c->weights->file_offset + c->first * c->weights->per_filter * (int64_t)sizeof(float);
}
/* The chunk's filters in its slot, in the file's order. */
static inline const float *df_chunk_data(const df_chunk *c)
{
    return (const float *)(c->slot + df_chunk_offset(c) % DF_PAGE);
}

/* checksum.c: what weights are recognised by. */

/* Of the first `each` bytes of every DF_PAGE; never 0. */
uint64_t df_checksum(const char *data, size_t bytes, size_t each);

/* caches.c: whether slots leave the processor's caches before storage writes to them. */

/* Whether this processor can take memory out of its caches. */
bool df_can_flush(void);
/* Note that a read into a slot, cached or not, took from `begun_ms` until now. */
void df_timed_read(df_reader *r, bool cached, double begun_ms, size_t bytes);
/* Whether the slot that gets free next should leave the caches. */
bool df_worth_flushing(df_reader *r);
/* Take memory out of the caches. */
void df_flush(const char *from, size_t bytes);

/* reader.c: threads that fill slots ahead of the team. */

/* Start the frame's reader threads. Returns 0, or an errno when not a single thread is to be had. */
int df_reader_start(df_engine *e);
/* Stop and join them, whatever they have read by then. */
void df_reader_stop(df_engine *e);
/* Tell them that the team has come to a step: landings that others used until then may be written to. */
void df_reader_step(df_engine *e, int step);
/* In df_reader.failed_errno: the file holds other weights than in the frame before. */
#define DF_CHANGED (-3)
/* Read [offset, offset + bytes) whole. Returns 0, an errno, or -1 where the file ends before. */
int df_read(int fd, void *to, size_t bytes, int64_t offset);

/* stream.c: the team's side; it waits for chunks, packs them or computes with them, and gives their slots back. */

/* Pack filters [first, first + count), which lie at `raw` in the file's order, into w->packed, whose first filter
 * is `base_filter`. */
void df_pack(const df_table *table, const df_weights *w, const float *raw, int first, int count, int base_filter);
/* The whole team: pack filters [first, first + count) as they arrive into w->packed, whose first is `base_filter`. */
void df_fill_block(df_team *t, df_weights *w, int first, int count, int base_filter);
/* One thread alone: pack filters [first, first + count), whole panels and whole chunks, to `packed`.
 * False when the frame was stopped meanwhile. */
bool df_fill_filters(df_team *t, df_weights *w, int first, int count, float *packed);
/* Wait for the panel of streamed filters that begins at `first`, and point filters->filter at each of them in its
 * slot. They stay there until df_free_filters of [first, end), as often as there are parts, and until every other
 * filter of their chunks is freed too. False when the frame was stopped meanwhile. */
bool df_await_filters(df_team *t, const df_weights *w, int first, df_filters *filters);
/* The same without waiting: false when the panel has not arrived yet. */
bool df_peek_filters(const df_team *t, const df_weights *w, int first, df_filters *filters);
/* Filters [first, end) have been computed with for `times` parts of the tiles. */
void df_free_filters(df_team *t, const df_weights *w, int first, int end, int times);
/* Before a join: the caller's own thread, which has no filters left to take, sees signals while others still wait for
 * filters up to `last`. */
void df_wait_with_others(df_team *t, const df_weights *w, int last);

/* weights.c: what is done once, when the engine is made. */

/* Fold scale and bias of every layer and pack the pinned layers. Weights pass through `through`, which holds one
 * filter, or one row of a transposed layer, at least. Returns 0, what df_read says, or DF_POLLED when a signal's
 * handler wants out; *node is the layer where it stopped. */
#define DF_POLLED (-2)
int df_load_weights(df_engine *e, float *through, size_t through_bytes, int *node);

#endif
