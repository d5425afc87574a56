/* Darknet's weights, (oc, ic, kh, kw), into panels of 32 output channels, batch norm's scale multiplied in.
 *
 * A panel is a list of rows of 32 floats, one lane per output channel, in the order its kernel walks them:
 *   direct:  (ic/16, kh, kw, ic%16) with ic padded to 16    first: (kh, kw, ic)    general: (ic, kh, kw)
 * One filter is a contiguous run of j = (ic, kh, kw), so packing is a transpose of (oc, j) whose rows are
 * then scattered. */
#include "isa.h"

typedef struct {
    int kernel, ic, taps; /* input channels of one filter; size * size */
    int winograd;
} order;

/* Row of the panel for element j of a filter. */
DF_INLINE int64_t row_of(const order *o, int j)
{
    if (o->kernel == DF_GENERAL)
        return j;
    int ic = j / o->taps, tap = j % o->taps;
    if (o->kernel == DF_FIRST)
        return (int64_t)tap * o->ic + ic;
    return ((int64_t)(ic / DF_CB) * o->taps + tap) * DF_CB + ic % DF_CB;
}

DF_INLINE float scaled(const order *o, float x, int j) { return o->winograd ? WINO_TAP(x, j % o->taps) : x; }

/* n filters (8, or DF_VL) starting at raw into lanes starting at dst. */
DF_INLINE void pack_lanes(const order *o, const float *raw, const float *scale, int n, float *dst)
{
    const int len = o->ic * o->taps;
    int j = 0;
    for (; j + DF_VL <= len; j += DF_VL) {
        vf r[DF_VL];
#pragma GCC unroll 16
        for (int i = 0; i < DF_VL; i++) {
            r[i] = vf_zero();
            if (i < n)
                r[i] = vf_load(raw + (int64_t)i * len + j) * scale[i];
        }
        vf_transpose(r);
        int ic = j / o->taps, tap = j % o->taps;
#pragma GCC unroll 16
        for (int i = 0; i < DF_VL; i++) {
            int64_t row = o->kernel == DF_GENERAL ? j + i
                          : o->kernel == DF_FIRST ? (int64_t)tap * o->ic + ic
                                                  : ((int64_t)(ic / DF_CB) * o->taps + tap) * DF_CB + ic % DF_CB;
            if (o->winograd)
                r[i] = WINO_TAP(r[i], tap);
            if (n == DF_VL)
                vf_store(dst + row * DF_PANEL, r[i]);
            else
                memcpy(dst + row * DF_PANEL, &r[i], 8 * sizeof(float));
            if (++tap == o->taps) {
                tap = 0;
                ic++;
            }
        }
    }
    for (; j < len; j++)
        for (int i = 0; i < n; i++)
            dst[row_of(o, j) * DF_PANEL + i] = scaled(o, raw[(int64_t)i * len + j] * scale[i], j);
}

static void pack_vector(const order *o, const float *raw, const float *scale, float *dst)
{
    pack_lanes(o, raw, scale, DF_VL, dst);
}

#if DF_VL == 16
/* What a reader of 8 filters at a time hands over. */
static void pack_eight(const order *o, const float *raw, const float *scale, float *dst)
{
    pack_lanes(o, raw, scale, 8, dst);
}
#endif

static void pack_lane(const order *o, const float *raw, float scale, float *dst)
{
    for (int j = 0; j < o->ic * o->taps; j++)
        dst[row_of(o, j) * DF_PANEL] = scaled(o, raw[j] * scale, j);
}

void DF_NAME(pack)(const df_conv *c, int kernel, const float *raw, const float *scale, int oc0, int n, int base_oc,
                   float *packed)
{
    const order o = {
        .kernel = kernel == DF_WINOGRAD ? DF_DIRECT : kernel,
        .ic = kernel == DF_GENERAL ? c->in_c / c->groups : c->in_c,
        .taps = c->size * c->size,
        .winograd = kernel == DF_WINOGRAD,
    };
    const int64_t len = (int64_t)o.ic * o.taps;
    const int64_t rows = o.kernel == DF_DIRECT ? (int64_t)df_round(o.ic, DF_CB) * o.taps : len;
    const int end = oc0 + n;

    for (int oc = oc0; oc < end;) {
        int lane = (oc - base_oc) % DF_PANEL;
        float *dst = packed + (oc - base_oc) / DF_PANEL * rows * DF_PANEL + lane;
        const float *src = raw + (oc - oc0) * len;
        int lanes = 1;
        if (end - oc >= DF_VL && lane + DF_VL <= DF_PANEL) {
            lanes = DF_VL;
            pack_vector(&o, src, scale + oc, dst);
#if DF_VL == 16
        } else if (end - oc >= 8 && lane + 8 <= DF_PANEL) {
            lanes = 8;
            pack_eight(&o, src, scale + oc, dst);
#endif
        } else {
            pack_lane(&o, src, scale[oc], dst);
        }
        /* input channels that only pad the last block */
        for (int ic = o.ic; o.kernel == DF_DIRECT && ic % DF_CB; ic++)
            for (int tap = 0; tap < o.taps; tap++)
                memset(dst + row_of(&o, ic * o.taps + tap) * DF_PANEL, 0, sizeof(float) * (size_t)lanes);
        oc += lanes;
    }
    if (end == c->out_c && (end - base_oc) % DF_PANEL) {
        int lane = (end - base_oc) % DF_PANEL;
        float *dst = packed + (end - base_oc) / DF_PANEL * rows * DF_PANEL + lane;
        for (int64_t row = 0; row < rows; row++)
            memset(dst + row * DF_PANEL, 0, sizeof(float) * (size_t)(DF_PANEL - lane));
    }
}
