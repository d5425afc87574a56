/* Both phases of Winograd for some pictures and panels at once, 64 input channels at a time. */
#include "wino.h"

void DF_NAME(wino_pictures)(const df_conv *c, const df_view *in, const df_view *out, int pictures, const df_strip *s,
                            const df_filters *filters, int panels, const float *bias, int panel, float *scratch)
{
    const wino_order order = wino_order_of(s);
    const int tiles = order.all, blocks = (c->in_c + DF_CB - 1) / DF_CB, most = wino_panel_blocks(0, blocks);
    const int64_t m_step = wino_m_step(tiles), u_size = WINO_FREQS * wino_u_step(0, blocks, tiles);
    float *u = scratch;                                     /* (pictures: u_size) */
    float *w = u + pictures * u_size;                       /* (36: w_step, 32 / WINO_LANES, 16 * n, WINO_LANES) */
    float *m = w + WINO_FREQS * wino_w_step(most);          /* (panels, pictures, 36: m_step, tiles, 32) */

    for (int b = 0; b < blocks; b += WINO_BLOCKS) {
        const int n = wino_panel_blocks(b, blocks);
        const int64_t u_step = wino_u_step(b, blocks, tiles), w_step = wino_w_step(n);
        for (int q = 0; q < pictures; q++)
            DF_NAME(wino_input_from)(c, &in[q], s, b, b + n, 0, tiles, b, u + q * u_size);
        for (int p = 0; p < panels; p++) {
            float *sums = m + p * pictures * WINO_FREQS * m_step;
            DF_NAME(wino_filter)(&filters[p], c->in_c, b, n, w);
            /* What the next filter transform reads is brought near meanwhile, a part with each frequency. */
            const df_filters *next = p + 1 < panels ? &filters[p + 1] : filters;
            const int at = p + 1 < panels ? b : b + WINO_BLOCKS, near = at < blocks ? wino_panel_blocks(at, blocks) : 0;
            for (int f = 0; f < WINO_FREQS; f++) {
                int floats = 0, first, last;
                wino_range(&order, f, &first, &last);
                if (first >= last)
                    continue;
                const float *ahead = near ? wino_ahead(next, f, at, near, &floats) : NULL;
                for (int q = 0; q < pictures; q++)
                    DF_NAME(wino_gemm)(u + q * u_size + f * u_step + first * DF_CB, (int64_t)tiles * DF_CB, n,
                                       last - first, w + f * w_step,
                                       sums + (q * WINO_FREQS + f) * m_step + first * DF_PANEL, b > 0, ahead,
                                       q == 0 ? floats : 0);
            }
        }
    }
    for (int p = 0; p < panels; p++)
        for (int q = 0; q < pictures; q++)
            DF_NAME(wino_output)(c, &out[q], s, m + (p * pictures + q) * WINO_FREQS * m_step, bias, panel + p, 0,
                                 tiles);
}
