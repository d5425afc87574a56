/* Winograd phase 2 for one panel of 32 output channels: filters, 36 GEMMs per 64 input channels, output. */
#include "wino.h"

void DF_NAME(wino_panel)(const df_conv *c, const df_view *out, const df_strip *s, const df_filters *filters,
                         const float *bias, int panel, const float *u, int t0, int t1, float *scratch)
{
    const wino_order order = wino_order_of(s);
    int tiles = order.all, blocks = (c->in_c + DF_CB - 1) / DF_CB;
    int64_t m_step = wino_m_step(t1 - t0);
    float *m = scratch;                       /* (36: m_step, t1 - t0, 32) */
    float *w = scratch + WINO_FREQS * m_step; /* (36: w_step, 32 / WINO_LANES, 16 * n, WINO_LANES) */

    for (int b = 0; b < blocks; b += WINO_BLOCKS) {
        int n = wino_panel_blocks(b, blocks), next = b + n < blocks ? wino_panel_blocks(b + n, blocks) : 0;
        int64_t u_step = wino_u_step(b, blocks, tiles), w_step = wino_w_step(n);
        const float *from = u + wino_u(b, tiles) + (int64_t)t0 * DF_CB;

        DF_NAME(wino_filter)(filters, c->in_c, b, n, w);
        for (int f = 0; f < WINO_FREQS; f++) {
            int floats = 0, first, last;
            wino_range(&order, f, &first, &last);
            first = first > t0 ? first - t0 : 0;
            last = last < t1 ? last - t0 : t1 - t0;
            if (first >= last)
                continue;
            const float *ahead = next ? wino_ahead(filters, f, b + n, next, &floats)
                                 : filters->next
                                     ? wino_ahead(filters->next, f, 0, wino_panel_blocks(0, blocks), &floats)
                                     : NULL;
            DF_NAME(wino_gemm)(from + f * u_step + first * DF_CB, (int64_t)tiles * DF_CB, n, last - first,
                               w + f * w_step, m + f * m_step + first * DF_PANEL, b > 0, ahead, floats);
        }
    }
    DF_NAME(wino_output)(c, out, s, m, bias, panel, t0, t1);
}
