/* The functions of the layers: each computes a region of its output on tile `j`, the team sharing it. */
#ifndef DF_LAYERS_H
#define DF_LAYERS_H

#include "engine.h"

void df_convolve(df_team *t, const df_stage *s, const df_op *op, int j, df_region r);
void df_connected(df_team *t, const df_stage *s, const df_op *op, int j);
void df_layer_op(df_team *t, const df_op *op, int j, df_region r);
void df_reorg(df_team *t, const df_op *op, int j, df_region r);
void df_copy(df_team *t, const df_op *op, int j, df_region r);
void df_shortcut(df_team *t, const df_op *op, int j, df_region r);
void df_weighted_sum(df_team *t, const df_op *op, int j, df_region r);
void df_scale_channels(df_team *t, const df_op *op, int j, df_region r);
void df_batchnorm(df_team *t, const df_op *op, int j, df_region r);
void df_pool(df_team *t, const df_op *op, int j, df_region r);
void df_reorg3d(df_team *t, const df_op *op, int j, df_region r);
void df_crop(df_team *t, const df_op *op, int j, df_region r);
float df_activate(float x, int act);

/* Panels [p0, p1) of a layer's packed weights. */
typedef struct {
    const float *packed;
    int64_t panel_floats;
    int p0, p1;
} df_panels;

static inline const float *df_panel_of(const df_panels *b, int panel)
{
    return b->packed + (panel - b->p0) * b->panel_floats;
}

/* A Winograd layer of which these panels are in place, output region `conv`. */
void df_winograd(df_team *t, const df_stage *s, const df_op *op, const df_view *in, const df_view *out,
                 const df_panels *b, df_region conv);
/* One whose filters are streamed. */
void df_stream_winograd(df_team *t, const df_stage *s, const df_op *op, int j, df_region conv);
/* The output region of rows [y0, y1) in tiles of Winograd. */
df_strip df_strip_of(df_region conv, int y0, int y1);
void df_zero_panel_margin(const df_view *out, int panel, int y0, int y1);
#define DF_TOGETHER 4 /* pictures, or panels, that a thread computes with at a time, at most */
/* A Winograd layer whose filters are streamed for all pictures of a batch, output region `conv`. */
void df_stream_together(df_team *t, const df_stage *s, const df_op *op, int j, df_region conv);

#endif
