/* Layers without weights, over blocks of 16 channels. */
#include <float.h>

#include "panel.h"

/* Darknet's: cells outside the map are ignored, whatever the margin holds. */
void DF_NAME(maxpool)(const df_view *in, const df_view *out, int size, int stride, int pad_before, int y0, int y1,
                      int x0, int x1, int b0, int b1)
{
    for (int y = y0; y < y1; y++) {
        const int top = y * stride - pad_before;
        const int ya = top > 0 ? top : 0, yb = least(top + size, in->height);
        for (int b = b0; b < b1; b++) {
            float *o = df_pixel(out, y, b, x0);
            for (int x = x0; x < x1; x++, o += DF_CB) {
                const int left = x * stride - pad_before;
                const int xa = left > 0 ? left : 0, xb = least(left + size, in->width);
                vf m[DF_CB / DF_VL];
                for (int v = 0; v < DF_CB / DF_VL; v++)
                    m[v] = vf_set(-FLT_MAX);
                for (int r = ya; r < yb; r++) {
                    const float *a = df_pixel(in, r, b, xa);
                    for (int col = xa; col < xb; col++, a += DF_CB)
                        for (int v = 0; v < DF_CB / DF_VL; v++)
                            m[v] = vf_max(m[v], vf_load(a + v * DF_VL));
                }
                for (int v = 0; v < DF_CB / DF_VL; v++)
                    vf_store(o + v * DF_VL, m[v]);
            }
        }
    }
}

/* Nearest neighbour, times scale. */
void DF_NAME(upsample)(const df_view *in, const df_view *out, int stride, float scale, int y0, int y1, int x0, int x1,
                       int b0, int b1)
{
    for (int y = y0; y < y1; y++)
        for (int b = b0; b < b1; b++) {
            float *o = df_pixel(out, y, b, x0);
            for (int x = x0; x < x1; x++, o += DF_CB) {
                const float *a = df_pixel(in, y / stride, b, x / stride);
                for (int v = 0; v < DF_CB; v += DF_VL)
                    vf_store(o + v, vf_load(a + v) * scale);
            }
        }
}

/* Darknet's shortcut_cpu of maps that differ: the larger is sampled, the smaller spread, and only channels both
 * have are added. */
static void shortcut_any(const df_view *a, const df_view *b, const df_view *out, int kind, int y, int x, int cb)
{
    const int stride = b->width > a->width ? b->width / a->width : 1;
    const int sample = a->width > b->width ? a->width / b->width : 1;
    const int there = y % sample == 0 && x % sample == 0 && y / sample * stride < b->height
                      && x / sample * stride < b->width;
    for (int l = 0; l < DF_CB; l += DF_VL) {
        vf v = vf_load(df_pixel(a, y, cb, x) + l);
        const int common = least(a->channels, b->channels) - cb * DF_CB - l;
        if (there && common > 0) {
            vf add = vf_load(df_pixel(b, y / sample * stride, cb, x / sample * stride) + l);
            v += (vf)((vi)add & vi_first(common));
        }
        v = (vf)((vi)act(v, kind) & vi_first(out->channels - cb * DF_CB - l));
        vf_store(df_pixel(out, y, cb, x) + l, v);
    }
}

void DF_NAME(shortcut)(const df_view *a, const df_view *b, const df_view *out, int kind, int y0, int y1, int x0, int x1,
                       int b0, int b1)
{
    const int equal = a->width == b->width && a->height == b->height && a->channels == b->channels;
    for (int y = y0; y < y1; y++)
        for (int cb = b0; cb < b1; cb++) {
            if (!equal || !act_is_slope(kind)) {
                for (int x = x0; x < x1; x++)
                    shortcut_any(a, b, out, kind, y, x, cb);
                continue;
            }
            const float *p = df_pixel(a, y, cb, x0), *q = df_pixel(b, y, cb, x0);
            float *o = df_pixel(out, y, cb, x0);
            const float slope = act_slope(kind);
            for (int i = 0; i < (x1 - x0) * DF_CB; i += DF_VL)
                vf_store(o + i, act_sloped(vf_load(p + i) + vf_load(q + i), slope));
        }
}

void DF_NAME(copy)(const df_view *in, const df_view *out, int y0, int y1, int x0, int x1, int b0, int b1)
{
    for (int y = y0; y < y1; y++)
        for (int b = b0; b < b1; b++)
            memcpy(df_pixel(out, y, b, x0), df_pixel(in, y, b, x0), sizeof(float) * DF_CB * (size_t)(x1 - x0));
}
