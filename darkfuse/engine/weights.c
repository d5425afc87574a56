/* What is read once: batch norm folded into scale and bias, and the layers that stay. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <math.h>
#include <string.h>

#include "engine.h"

#define PARAMS_AT_ONCE 256

/* (x - mean) / (sqrt(variance + epsilon in the root) + epsilon beside it) * scale + bias: one of the two is zero,
 * which one the dialect says. */
static int fold(int fd, df_weights *w)
{
    size_t padded = df_round((size_t)w->filters, DF_PANEL);
    memset(w->scale, 0, padded * sizeof(float));
    memset(w->bias, 0, padded * sizeof(float));
    if (w->file_offset < 0)
        return 0;
    int64_t array = w->filters * (int64_t)sizeof(float);
    int64_t norm = w->norm_offset >= 0 ? w->norm_offset : w->params_offset + array;
    for (int from = 0; from < w->filters; from += PARAMS_AT_ONCE) {
        float p[4][PARAMS_AT_ONCE]; /* biases, scales, means, variances */
        int n = df_min(PARAMS_AT_ONCE, w->filters - from);
        if (w->params_offset < 0)
            memset(p[0], 0, sizeof p[0]);
        for (int a = w->params_offset < 0; a < (w->batch_normalize ? 4 : 1); a++) {
            int64_t at = (a == 0 ? w->params_offset : norm + (a - 1) * array) + from * (int64_t)sizeof(float);
            int failed = df_read(fd, p[a], (size_t)n * sizeof(float), at);
            if (failed)
                return failed;
        }
        for (int i = 0; i < n; i++) {
            double scale = w->batch_normalize ? p[1][i] / (sqrt(p[3][i] + w->epsilon_in_root) + w->epsilon_beside)
                                              : 1.0;
            double mean = w->batch_normalize ? p[2][i] : 0.0;
            w->scale[from + i] = (float)scale;
            w->bias[from + i] = (float)(p[0][i] - mean * scale);
        }
    }
    return 0;
}

/* A connected layer stored (inputs, units): one row of the file is a column of ours. */
static int pin_transposed(df_engine *e, df_weights *w, float *through)
{
    size_t row = (size_t)w->filters * sizeof(float);
    for (int64_t i = 0; i < w->per_filter; i++) {
        int failed = df_read(e->reader.fd, through, row, w->file_offset + i * (int64_t)row);
        if (failed)
            return failed;
        for (int o = 0; o < w->filters; o++)
            w->packed[o * w->per_filter + i] = through[o];
    }
    return 0;
}

static int pin(df_engine *e, df_weights *w, float *through, size_t through_bytes)
{
    if (w->per_filter == 0)
        return 0; /* parameters only: folded */
    if (w->file_offset < 0) {
        memset(w->packed, 0, w->packed_bytes);
        return 0;
    }
    if (w->transposed)
        return pin_transposed(e, w, through);
    size_t filter = (size_t)w->per_filter * sizeof(float), at_once = through_bytes / filter;
    if (at_once > DF_CB)
        at_once -= at_once % DF_CB; /* whole blocks pack fastest */
    for (int first = 0, n; first < w->filters; first += n) {
        n = (int)(at_once < (size_t)(w->filters - first) ? at_once : (size_t)(w->filters - first));
        int64_t offset = w->file_offset + first * (int64_t)filter;
        int failed = df_read(e->reader.fd, through, (size_t)n * filter, offset);
        if (!e->reader.cached)
            posix_fadvise(e->reader.fd, offset, (off_t)((size_t)n * filter), POSIX_FADV_DONTNEED);
        if (failed)
            return failed;
        df_pack(e->table, w, through, first, n, 0);
        if (e->poll && e->poll(e->poll_arg))
            return DF_POLLED;
    }
    return 0;
}

int df_load_weights(df_engine *e, float *through, size_t through_bytes, int *node)
{
    for (int n = 0; n < e->n_weights; n++) {
        df_weights *w = &e->weights[n];
        *node = w->node;
        int failed = fold(e->reader.fd, w);
        if (!failed && w->residency == DF_PINNED)
            failed = pin(e, w, through, through_bytes);
        if (failed)
            return failed;
    }
    return 0;
}
