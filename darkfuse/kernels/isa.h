/* What the per-ISA sources offer table.c, under this ISA's names (df_conv_direct__avx2, ...). */
#ifndef DF_ISA_H
#define DF_ISA_H

#include "vec.h"

/* A tap of a Winograd filter as it is packed. aarch64: what lies in the middle of a row or a column is multiplied by p =
 * sqrt(2) / 2 there and then, as the transform would do for every frame (wino.h); what lies in the middle of both, by
 * p^2. */
#ifdef __aarch64__
#define WINO_TAP(x, tap) ((x) * df_wino_taps[tap])
static const float df_wino_taps[9] __attribute__((unused)) = {
    1, 0.70710678118654752f, 1, 0.70710678118654752f, 0.5f, 0.70710678118654752f, 1, 0.70710678118654752f, 1};
#else
#define WINO_TAP(x, tap) ((void)(tap), (x))
#endif

#pragma GCC visibility push(hidden)

void DF_NAME(pack)(const df_conv *c, int kernel, const float *raw, const float *scale, int oc0, int n, int base_oc,
                   float *packed);
void DF_NAME(conv_direct)(const df_conv *c, const df_view *in, const df_view *out, const float *packed,
                          const float *bias, int panel, int y0, int y1, int x0, int x1);
void DF_NAME(conv_first)(const df_conv *c, const df_view *in, const df_view *out, const float *packed,
                         const float *bias, int panel, int y0, int y1, int x0, int x1);
void DF_NAME(conv_general)(const df_conv *c, const df_view *in, const df_view *out, const float *packed,
                           const float *bias, int panel, int y0, int y1, int x0, int x1);
void DF_NAME(wino_input)(const df_conv *c, const df_view *in, const df_strip *s, int b0, int b1, int t0, int t1,
                         float *u);
void DF_NAME(wino_panel)(const df_conv *c, const df_view *out, const df_strip *s, const df_filters *filters,
                         const float *bias, int panel, int panels, const float *u, int t0, int t1, float *scratch);
void DF_NAME(wino_pictures)(const df_conv *c, const df_view *in, const df_view *out, int pictures, const df_strip *s,
                            const df_filters *filters, int panels, const float *bias, int panel, float *scratch);
void DF_NAME(maxpool)(const df_view *in, const df_view *out, int size, int stride, int pad_before, int y0, int y1,
                      int x0, int x1, int b0, int b1);
void DF_NAME(upsample)(const df_view *in, const df_view *out, int stride, float scale, int y0, int y1, int x0, int x1,
                       int b0, int b1);
void DF_NAME(shortcut)(const df_view *a, const df_view *b, const df_view *out, int kind, int y0, int y1, int x0, int x1,
                       int b0, int b1);
void DF_NAME(copy)(const df_view *in, const df_view *out, int y0, int y1, int x0, int x1, int b0, int b1);
int64_t DF_NAME(fma_burst)(int64_t rounds);

extern const df_table DF_NAME(table);

#pragma GCC visibility pop

#endif
