/* Both phases of Winograd for some pictures and panels at once, 64 input channels of theirs at a time. */
#include "wino.h"

void DF_NAME(wino_pictures)(const df_conv *c, const df_view *in, const df_view *out, int pictures, const df_strip *s,
                            const df_filters *filters, int panels, const float *bias, int panel, float *scratch)
{
    const wino_order order = wino_order_of(s);
    const int tiles = order.all, blocks = (c->in_c + DF_CB - 1) / DF_CB, most = wino_step_blocks(0, blocks);
    const int64_t m_step = wino_m_step(tiles), u_size = WINO_FREQS * wino_u_step(0, blocks, tiles);
    int first[WINO_FREQS], last[WINO_FREQS];
    wino_ranges(&order, 0, tiles, first, last);
    float *u = scratch;                                     /* (pictures: u_size) */
    float *w = u + pictures * u_size; /* (36: w_step, WINO_OUTS / WINO_LANES, 16 * n, WINO_LANES) */
    float *m = w + WINO_FREQS * wino_w_step(most); /* (panels, pictures, 36: m_step, tiles, 32) */

    for (int b = 0; b < blocks; b += WINO_BLOCKS) {
        const int n = wino_panel_blocks(b, blocks);
        const int64_t u_step = wino_u_step(b, blocks, tiles);
        for (int q = 0; q < pictures; q++)
            DF_NAME(wino_input_from)(c, &in[q], s, b, b + n, 0, tiles, b, u + q * u_size);
        for (int at = b, step; at < b + n; at += step) {
            step = wino_step_blocks(at, blocks);
            for (int i = 0; i < panels * DF_PANEL / WINO_OUTS; i++) {
                const int p = i * WINO_OUTS / DF_PANEL, lane = i * WINO_OUTS % DF_PANEL;
                const wino_following next = wino_after(filters, p, panels, at, blocks);
                DF_NAME(wino_filter)(&filters[p], c->in_c, at, step, lane, w);
                for (int q = 0; q < pictures; q++) {
                    const wino_job job = {
                        .u = u + q * u_size + (int64_t)(at - b) * tiles * DF_CB,
                        .u_step = u_step,
                        .next = (int64_t)tiles * DF_CB,
                        .w = w,
                        .w_step = wino_w_step(step),
                        .m = m + (p * pictures + q) * WINO_FREQS * m_step + lane,
                        .m_step = m_step,
                        .first = first,
                        .last = last,
                        .blocks = step,
                        .add = at > 0,
                        .ahead = q == 0 ? next.from : NULL,
                        .ahead_b = next.b,
                        .ahead_blocks = next.blocks,
                        .part = lane / WINO_OUTS,
                    };
                    DF_NAME(wino_products)(&job);
                }
            }
        }
    }
    for (int p = 0; p < panels; p++)
        for (int q = 0; q < pictures; q++)
            DF_NAME(wino_output)(c, &out[q], s, m + (p * pictures + q) * WINO_FREQS * m_step, bias,
                                 (panel + p) * DF_PANEL, DF_PANEL, 0, tiles);
}
