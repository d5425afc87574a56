/* Winograd phase 2 for panels of 32 output channels: some input channels' filters, 36 GEMMs with these, output. */
#include "wino.h"

void DF_NAME(wino_panel)(const df_conv *c, const df_view *out, const df_strip *s, const df_filters *filters,
                         const float *bias, int panel, int panels, const float *u, int t0, int t1, float *scratch)
{
    const wino_order order = wino_order_of(s);
    const int tiles = order.all, blocks = (c->in_c + DF_CB - 1) / DF_CB;
    const int64_t m_step = wino_m_step(t1 - t0);
    int from_tile[WINO_FREQS], to_tile[WINO_FREQS]; /* those of [t0, t1) that have a frequency */
    wino_ranges(&order, t0, t1, from_tile, to_tile);
    /* Sums that are whole at once become outputs a block at a time, each block's in the place of the one before: half as
     * many have to stay in cache. */
    const bool whole = WINO_OUTS <= DF_CB && blocks <= WINO_STEP;
    float *w = scratch + panels * WINO_FREQS * m_step; /* (36: w_step, WINO_OUTS / WINO_LANES, 16 * n, WINO_LANES) */

    for (int b = 0, n; b < blocks; b += n) {
        n = wino_step_blocks(b, blocks);
        const int64_t u_step = wino_u_step(b, blocks, tiles), w_step = wino_w_step(n);
        const float *from = u + wino_u(b, tiles) + (int64_t)t0 * DF_CB;

        for (int p = 0; p < panels; p++) {
            float *m = scratch + p * WINO_FREQS * m_step; /* (36: m_step, t1 - t0, 32) */
            const wino_following next = wino_after(filters, p, panels, b, blocks);
            for (int lane = 0; lane < DF_PANEL; lane += WINO_OUTS) {
                DF_NAME(wino_filter)(&filters[p], c->in_c, b, n, lane, w);
                const wino_job job = {
                    .u = from,
                    .u_step = u_step,
                    .next = (int64_t)tiles * DF_CB,
                    .w = w,
                    .w_step = w_step,
                    .m = m + (whole ? lane % DF_CB : lane),
                    .m_step = m_step,
                    .first = from_tile,
                    .last = to_tile,
                    .blocks = n,
                    .add = b > 0,
                    .ahead = next.from,
                    .ahead_b = next.b,
                    .ahead_blocks = next.blocks,
                    .part = lane / WINO_OUTS,
                };
                DF_NAME(wino_products)(&job);
                const int oc = (panel + p) * DF_PANEL + lane / DF_CB * DF_CB;
                if (whole && (lane + WINO_OUTS) % DF_CB == 0)
                    DF_NAME(wino_output)(c, out, s, m, bias, oc, DF_CB, t0, t1);
            }
        }
    }
    for (int p = 0; p < panels && !whole; p++)
        DF_NAME(wino_output)(c, out, s, scratch + p * WINO_FREQS * m_step, bias, (panel + p) * DF_PANEL, DF_PANEL, t0,
                             t1);
}
