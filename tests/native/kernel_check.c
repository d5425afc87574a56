/* Every kernel of every instruction set this CPU has against plain double arithmetic, on random awkward shapes.
 *
 *     kernel_check [rounds] [seed]
 *
 * For places without Python: cross-compiled under emulation (tools/cross_check.py) and under sanitizers.  Every
 * buffer is its own allocation of the exact size, so that a sanitizer sees a read one float too far. */
#include "kernel_check.h"

/* One value of the convolution, before pooling. */
static double conv_at(const df_conv *c, const df_view *in, const float *raw, const float *scale, const float *bias,
                      int oc, int y, int x)
{
    const int per_group = c->in_c / c->groups, first = oc / (c->out_c / c->groups) * per_group;
    double sum = 0;
    for (int i = 0; i < per_group; i++)
        for (int k = 0; k < c->size; k++)
            for (int t = 0; t < c->size; t++) {
                int yy = y * c->stride - c->pad + k * c->dilation, xx = x * c->stride - c->pad + t * c->dilation;
                if (yy >= 0 && yy < in->height && xx >= 0 && xx < in->width)
                    sum += (double)*at(in, first + i, yy, xx)
                           * raw[((size_t)(oc * per_group + i) * c->size + k) * c->size + t];
            }
    return activate(sum * scale[oc] + bias[oc], c->act);
}

static double expected_at(const df_conv *c, const df_view *in, const float *raw, const float *scale, const float *bias,
                          int oc, int y, int x)
{
    if (!c->pool)
        return conv_at(c, in, raw, scale, bias, oc, y, x);
    double best = -INFINITY;
    for (int yy = 2 * y; yy < 2 * y + 2 && yy < c->conv_h; yy++)
        for (int xx = 2 * x; xx < 2 * x + 2 && xx < c->conv_w; xx++)
            best = fmax(best, conv_at(c, in, raw, scale, bias, oc, yy, xx));
    return best;
}

static void compare(const char *isa, const char *name, const df_conv *c, const df_view *in, const df_view *out,
                    const double *want)
{
    for (int y = 0; y < out->height; y++)
        for (int ch = 0; ch < out->blocks * DF_CB; ch++)
            for (int x = 0; x < out->width; x++) {
                float got = *at(out, ch, y, x);
                if (ch >= c->out_c ? got != 0
                                   : !(fabs(got - want[((size_t)ch * out->height + y) * out->width + x])
                                       <= 3e-5 * (1 + fabs(want[((size_t)ch * out->height + y) * out->width + x]))))
                    fail(isa, name, c, in, ch >= c->out_c ? "padding channel not zero" : "wrong value");
            }
}

typedef void conv_fn(const df_conv *, const df_view *, const df_view *, const float *, const float *, int, int, int,
                     int, int);

/* Whole map, in random pieces, and into a view with room for fewer channels: same bits. */
static void check_direct(const df_table *k, const char *name, conv_fn *conv, const df_conv *c, const df_view *in,
                         const df_view *shape, const float *packed, size_t panel_floats, const float *bias,
                         const double *want)
{
    df_view out = map(c->out_c, shape->height, shape->width, 1, DF_CB);
    df_view cut = map(c->out_c, shape->height, shape->width, 1, DF_CB), narrow = cut;
    for (int p = 0; p * DF_PANEL < c->out_c; p++) {
        const float *w = packed + (size_t)p * panel_floats;
        int my = below(out.height + 1), mx = below(out.width + 1);
        conv(c, in, &out, w, bias, p, 0, out.height, 0, out.width);
        conv(c, in, &cut, w, bias, p, 0, my, 0, mx);
        conv(c, in, &cut, w, bias, p, 0, my, mx, out.width);
        conv(c, in, &cut, w, bias, p, my, out.height, 0, out.width);
    }
    compare(k->isa, name, c, in, &out, want);
    if (memcmp(out.base, cut.base, sizeof(float) * (size_t)(out.row_stride * out.height)))
        fail(k->isa, name, c, in, "other bits when cut into regions");
    memset(cut.base, 0, sizeof(float) * (size_t)(out.row_stride * out.height));
    narrow.blocks = 1 + below(out.blocks); /* the last panel's second half may have no place */
    for (int p = 0; 2 * p < narrow.blocks; p++)
        conv(c, in, &narrow, packed + (size_t)p * panel_floats, bias, p, 0, out.height, 0, out.width);
    for (int y = 0; y < out.height; y++)
        for (int b = 0; b < narrow.blocks; b++)
            if (memcmp(df_pixel(&out, y, b, 0), df_pixel(&cut, y, b, 0), sizeof(float) * (size_t)(out.width * DF_CB)))
                fail(k->isa, name, c, in, "other bits in a view of fewer channels");
    free(out.base);
    free(cut.base);
}

static void check_winograd(const df_table *k, const df_conv *c, const df_view *in, const df_view *shape,
                           const float *packed, size_t panel_floats, const float *bias, const double *want)
{
    df_view out = map(c->out_c, shape->height, shape->width, 1, DF_CB);
    const int step = 4 * (1 + below(4)), across = (c->conv_w + 3) / 4;
    for (int y = 0; y < c->conv_h; y += step) {
        df_strip s = {
            .y0 = y, .y1 = y + step < c->conv_h ? y + step : c->conv_h, .x0 = 0, .x1 = c->conv_w, .tiles_x = across};
        s.tiles_y = (s.y1 - s.y0 + 3) / 4;
        const int tiles = s.tiles_y * s.tiles_x, cut = below(tiles);
        float *u = floats(df_wino_u_floats(c, tiles));
        k->wino_input(c, in, &s, 0, in->blocks, 0, cut, u);
        k->wino_input(c, in, &s, 0, in->blocks, cut, tiles, u);
        const int panels = (c->out_c + DF_PANEL - 1) / DF_PANEL, together = 1 + below(2);
        for (int p = 0; p < panels; p += together)
            for (int half = 0; half < 2; half++) {
                int t0 = half ? cut : 0, t1 = half ? tiles : cut;
                if (t0 == t1)
                    continue;
                const int count = p + together <= panels ? together : 1;
                const size_t room = count * df_wino_scratch_floats(c, t1 - t0);
                const df_filters filters[2] = {{.packed = packed + (size_t)p * panel_floats},
                                               {.packed = packed + (size_t)(p + 1) * panel_floats}};
                if (df_wino_together(k, c, t1 - t0, room) < count)
                    fail(k->isa, "winograd", c, in, "no room for panels together");
                float *scratch = floats(room);
                k->wino_panel(c, &out, &s, filters, bias, p, count, u, t0, t1, scratch);
                free(scratch);
            }
        free(u);
    }
    compare(k->isa, "winograd", c, in, &out, want);
    free(out.base);
}

static df_conv random_conv(int *h, int *w)
{
    for (;;) {
        df_conv c = {
            .in_c = ONE_OF(1, 3, 3, 12, 13, 16, 24, 31, 32, 33, 70, 300), /* 300: several passes of any size */
            .out_c = ONE_OF(1, 12, 16, 24, 31, 32, 33, 64, 65),
            .size = ONE_OF(1, 1, 1, 2, 2, 3, 3, 3, 5),
            .stride = ONE_OF(1, 1, 1, 2, 3),
            .dilation = ONE_OF(1, 1, 1, 2),
            .groups = 1,
            .act = below(DF_ELU + 1),
            .pool = ONE_OF(0, 0, 2),
        };
        c.pad = ONE_OF(0, c.size / 2, c.size / 2 * c.dilation);
        if (below(4) == 0)
            c.out_c = c.in_c, c.groups = c.in_c;
        if (below(8) == 0) /* the first layer of most networks, which some have kernels for */
            c.in_c = c.size = 3, c.stride = c.dilation = c.groups = 1, c.pad = below(2), c.pool = 2,
            c.act = below(DF_RELU + 1);
        *h = 1 + below(20);
        *w = 1 + below(33);
        const int span = (c.size - 1) * c.dilation + 1;
        c.conv_h = (*h + 2 * c.pad - span) / c.stride + 1;
        c.conv_w = (*w + 2 * c.pad - span) / c.stride + 1;
        if (*h + 2 * c.pad >= span && *w + 2 * c.pad >= span)
            return c;
    }
}

static void check_conv(const df_table *const *tables, int n)
{
    int h, w;
    df_conv c = random_conv(&h, &w);
    const int image = c.in_c == 3, per_group = c.in_c / c.groups;
    const size_t filter = (size_t)per_group * c.size * c.size, lanes = df_round((size_t)c.out_c, DF_PANEL);
    df_view in = random_map(c.in_c, h, w, c.pad + 4, image ? 3 : DF_CB);
    float *raw = floats(filter * (size_t)c.out_c), *scale = floats((size_t)c.out_c), *bias = floats(lanes);
    for (size_t i = 0; i < filter * (size_t)c.out_c; i++)
        raw[i] = value() / sqrtf((float)filter);
    for (size_t i = 0; i < lanes; i++)
        bias[i] = i < (size_t)c.out_c ? value() : 0;
    for (int i = 0; i < c.out_c; i++)
        scale[i] = 1 + value() / 2;

    df_view shape = {.height = c.pool ? (c.conv_h + 1) / 2 : c.conv_h, .width = c.pool ? (c.conv_w + 1) / 2 : c.conv_w};
    double *want = malloc(sizeof(double) * (size_t)c.out_c * (size_t)shape.height * (size_t)shape.width), *to = want;
    for (int oc = 0; oc < c.out_c; oc++)
        for (int y = 0; y < shape.height; y++)
            for (int x = 0; x < shape.width; x++)
                *to++ = expected_at(&c, &in, raw, scale, bias, oc, y, x);

    for (int t = 0; t < n; t++)
        for (int kernel = DF_DIRECT; kernel <= DF_WINOGRAD; kernel++) {
            const df_table *k = tables[t];
            if (kernel != DF_GENERAL && (c.groups > 1 || image != (kernel == DF_FIRST)))
                continue;
            if (kernel == DF_FIRST && c.dilation > 1)
                continue;
            if (kernel == DF_WINOGRAD && (c.size != 3 || c.stride != 1 || c.dilation != 1))
                continue;
            const size_t panel = df_packed_floats(&c, kernel, DF_PANEL);
            float *packed = floats(df_packed_floats(&c, kernel, c.out_c));
            const int cut = below(c.out_c);
            if (cut)
                k->pack(&c, kernel, raw, scale, 0, cut, 0, packed);
            k->pack(&c, kernel, raw + filter * (size_t)cut, scale, cut, c.out_c - cut, 0, packed);
            if (kernel == DF_WINOGRAD)
                check_winograd(k, &c, &in, &shape, packed, panel, bias, want);
            else if (kernel == DF_DIRECT)
                check_direct(k, "direct", k->conv_direct, &c, &in, &shape, packed, panel, bias, want);
            else if (kernel == DF_FIRST)
                check_direct(k, "first", k->conv_first, &c, &in, &shape, packed, panel, bias, want);
            else
                check_direct(k, "general", k->conv_general, &c, &in, &shape, packed, panel, bias, want);
            free(packed);
        }
    free(want);
    free(raw);
    free(scale);
    free(bias);
    free(in.base);
}

static void check_layers(const df_table *k)
{
    const int ch = 1 + below(40), h = 1 + below(15), w = 1 + below(20), act = below(DF_ELU + 1);
    const int size = 1 + below(5), stride = 1 + below(3), before = (size - 1) / 2, up = 1 + below(3);
    const int ph = (h - 1) / stride + 1, pw = (w - 1) / stride + 1;
    const df_conv none = {.in_c = ch, .out_c = ch, .size = size, .stride = stride, .act = act, .groups = 1};
    df_view a = random_map(ch, h, w, 1, DF_CB), b = random_map(ch, h, w, 2, DF_CB);
    df_view pooled = map(ch, ph, pw, 1, DF_CB), big = map(ch, h * up, w * up, 1, DF_CB);
    df_view sum = map(ch, h, w, 1, DF_CB), same = map(ch, h, w, 3, DF_CB);
    k->maxpool(&a, &pooled, size, stride, before, 0, ph, 0, pw, 0, a.blocks);
    k->upsample(&a, &big, up, 0.5f, 0, h * up, 0, w * up, 0, a.blocks);
    k->shortcut(&a, &b, &sum, act, 0, h, 0, w, 0, a.blocks);
    k->copy(&a, &same, 0, h, 0, w, 0, a.blocks);
    for (int c = 0; c < a.blocks * DF_CB; c++) {
        for (int y = 0; y < ph; y++)
            for (int x = 0; x < pw; x++) {
                float best = -INFINITY;
                for (int yy = y * stride - before; yy < y * stride - before + size; yy++)
                    for (int xx = x * stride - before; xx < x * stride - before + size; xx++)
                        if (yy >= 0 && yy < h && xx >= 0 && xx < w)
                            best = fmaxf(best, *at(&a, c, yy, xx));
                if (*at(&pooled, c, y, x) != best)
                    fail(k->isa, "maxpool", &none, &a, "wrong value");
            }
        for (int y = 0; y < h * up; y++)
            for (int x = 0; x < w * up; x++)
                if (*at(&big, c, y, x) != *at(&a, c, y / up, x / up) * 0.5f)
                    fail(k->isa, "upsample", &none, &a, "wrong value");
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++) {
                double want = c < ch ? activate((double)*at(&a, c, y, x) + *at(&b, c, y, x), act) : 0;
                if (!(fabs(*at(&sum, c, y, x) - want) <= 1e-5))
                    fail(k->isa, "shortcut", &none, &a, "wrong value");
                if (*at(&same, c, y, x) != *at(&a, c, y, x))
                    fail(k->isa, "copy", &none, &a, "wrong value");
            }
    }
    free(a.base), free(b.base), free(pooled.base), free(big.base), free(sum.base), free(same.base);
}

int main(int argc, char **argv)
{
    const int rounds = argc > 1 ? atoi(argv[1]) : 100;
    state = 88172645463325252u + (argc > 2 ? (uint64_t)atoi(argv[2]) : 0);
    const char *names[] = {"generic", "avx2", "avx512", "neon", "a53"};
    const df_table *tables[sizeof names / sizeof *names];
    int n = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (df_kernels(names[i]))
            tables[n++] = df_kernels(names[i]);
    for (int r = 0; r < rounds; r++) {
        check_conv(tables, n);
        for (int t = 0; t < n; t++)
            check_layers(tables[t]);
    }
    printf("%d random shapes agree on", rounds);
    for (int t = 0; t < n; t++)
        printf(" %s(%d)", tables[t]->isa, tables[t]->vector);
    printf("\n");
    return 0;
}
