/* A frame: stages, their tiles, the operations of each tile; every thread of the team walks all of it. */
#include <assert.h>

#include "engine.h"

static void run_op(df_team *t, const df_stage *s, const df_op *op, int i, int j)
{
    df_region r = {op->y[i].from, op->y[i].to, op->x[j].from, op->x[j].to};
    assert(0 <= r.y0 && r.y1 <= op->out->height && 0 <= r.x0 && r.x1 <= op->out->width);
    if (op->out->keep && op->keep_in)
        df_keep_in(t, op, i, j);
    if (r.y0 < r.y1 && r.x0 < r.x1) {
        if (op->kind == DF_INPUT)
            df_input(t, op, j, r);
        else if (op->kind == DF_CONV)
            df_convolve(t, s, op, j, r);
        else if (op->kind == DF_CONNECTED || op->kind == DF_LOCAL)
            df_connected(t, op, j);
        else
            df_layer_op(t, op, j, r);
    }
    if (op->out->keep && op->keep_out)
        df_keep_out(t, op, i, j, s->rows);
}

void df_run_frame(df_engine *e, int id, int n)
{
    df_team t = {.e = e, .id = id, .n = n, .base = 0};
    for (int number = 0; number < e->n_stages; number++) {
        df_stage *s = &e->stages[number];
        double since = df_now_ms();
        if (id == 0)
            df_reader_step(e, s->first);
        for (int w = 0; w < s->n_loaded; w++)
            df_fill_block(&t, s->loaded[w], 0, s->loaded[w]->filters, 0);
        for (int i = 0; i < s->rows; i++)
            for (int j = 0; j < s->cols; j++)
                for (int op = 0; op < s->n_ops; op++)
                    run_op(&t, s, &s->ops[op], i, j);
        if (id == 0)
            s->ms = df_now_ms() - since;
    }
}

int df_run(df_engine *e)
{
    atomic_store(&e->ticket, 0);
    atomic_store(&e->stop, DF_RUNNING);
    e->macs = 0;
    e->polled = df_now_ms();
    if (df_reader_start(e))
        return DF_NO_THREAD;
    bool started = df_start_team(e);
    df_reader_stop(e);
    int stopped = started ? atomic_load(&e->stop) : DF_NO_THREAD;
    e->reader.warm = e->reader.warm || stopped == DF_RUNNING;
    return stopped;
}
