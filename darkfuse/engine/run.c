/* A frame: stages, their tiles, the operations of each tile; every thread of the team walks all of it. */
#include <assert.h>

#include "engine.h"

static void run_region(df_team *t, const df_stage *s, const df_op *op, int j, df_region r)
{
    assert(0 <= r.y0 && r.y1 <= op->out->height && 0 <= r.x0 && r.x1 <= op->out->width);
    if (r.y0 < r.y1 && r.x0 < r.x1) {
        if (op->kind == DF_INPUT)
            df_input(t, op, j, r);
        else if (op->kind == DF_CONV)
            df_convolve(t, s, op, j, r);
        else if (op->kind == DF_CONNECTED || op->kind == DF_LOCAL)
            df_connected(t, s, op, j);
        else
            df_layer_op(t, op, j, r);
    }
}

/* One operation on tile (i, j): what its window keeps of earlier tiles comes in, the tile's region is computed, and
 * what later tiles need goes out. */
static void run_op(df_team *t, const df_stage *s, const df_op *op, int i, int j)
{
    if (op->out->keep && op->keep_in)
        df_keep_in(t, op, i, j);
    for (int part = 0; op->some_parts && part < op->n_parts; part++)
        run_region(t, s, op, j, op->parts[part]);
    if (!op->some_parts)
        run_region(t, s, op, j, (df_region){op->y[i].from, op->y[i].to, op->x[j].from, op->x[j].to});
    if (op->out->keep && op->keep_out)
        df_keep_out(t, op, i, j, s->rows);
}

/* A tile of a stage that streams weights. They come once for all `pictures`, so that each operation is done for every
 * picture before the next one. */
static void run_tile(df_team *t, const df_stage *s, int i, int j, int pictures)
{
    t->tile = i * s->cols + j;
    for (int n = 0; n < s->n_ops; n++) {
        const df_op *op = &s->ops[n];
        bool together = op->weights && op->weights->residency == DF_STREAMED;
        for (int p = 0; p < (together ? 1 : pictures); p++)
            run_op(t, s, op + p * s->n_ops, i, j);
    }
    t->tile = 0;
}

/* One stage for pictures [from, to) of a batch. */
static void run_stage(df_team *t, df_stage *s, int from, int to)
{
    for (int i = 0; s->streams && i < s->rows; i++)
        for (int j = 0; j < s->cols; j++)
            run_tile(t, s, i, j, to);
    for (int p = from; !s->streams && p < to; p++)
        for (int i = 0; i < s->rows; i++)
            for (int j = 0; j < s->cols; j++)
                for (int n = 0; n < s->n_ops; n++)
                    run_op(t, s, &s->ops[p * s->n_ops + n], i, j);
}

void df_run_frame(df_engine *e, int id, int n)
{
    df_team t = {.e = e, .id = id, .n = n};
    int pictures = df_pictures(e);
    for (int number = e->come ? 0 : e->alone; number < (e->more ? e->alone : e->n_stages); number++) {
        df_stage *s = &e->stages[number];
        bool alone = number < e->alone;
        bool first = !alone || e->picture == 0; /* whether the stage runs for the first time in this batch */
        double since = df_now_ms();
        if (id == 0 && first)
            df_reader_step(e, s->first);
        for (int w = 0; first && w < s->n_loaded; w++)
            df_fill_block(&t, s->loaded[w], 0, s->loaded[w]->filters, 0);
        run_stage(&t, s, alone ? e->picture : 0, pictures);
        if (id == 0)
            s->ms = df_now_ms() - since + (first ? 0 : s->ms);
    }
}

int df_run(df_engine *e)
{
    atomic_store(&e->ticket, 0);
    atomic_store(&e->stop, DF_RUNNING);
    e->polled = df_now_ms();
    if (e->picture == 0 && e->come) {
        e->macs = 0;
        df_reader_stop(e); /* of a batch that was never finished */
        if (df_reader_start(e))
            return DF_NO_THREAD;
    } else if (atomic_load(&e->reader.failed)) {
        atomic_store(&e->stop, DF_READ_FAILED); /* between two pictures */
    }
    bool started = df_start_team(e);
    int stopped = started ? atomic_load(&e->stop) : DF_NO_THREAD;
    if (e->more && (stopped == DF_RUNNING || stopped == DF_PICTURE_FAILED))
        return stopped;
    df_reader_stop(e);
    stopped = started ? atomic_load(&e->stop) : DF_NO_THREAD;
    e->reader.warm = e->reader.warm || stopped == DF_RUNNING;
    return stopped;
}
