/* JPEG to the bytes stb_image gives: see jpeg_stb.h.
 *
 * libjpeg's documented way to coefficients keeps those of the whole picture. In its buffered-image mode it reads one
 * row of MCUs a call, and asks its memory manager, which may be replaced, for the place of those coefficients: it is
 * given the same place for every row. */
#ifdef DF_HAVE_JPEG
#include <string.h>

#include "jpeg_stb.h"

#include <jerror.h>

#define CARRIED 2 /* lines kept of the row of MCUs before: colour between lines is made of two */

/* Where the coefficients of one row of MCUs are: what libjpeg believes to be an array of the whole picture. */
struct band {
    JBLOCKARRAY rows;
    JDIMENSION blocks, count;
};

jvirt_barray_ptr df_stb_request(j_common_ptr c, JDIMENSION blocks, JDIMENSION rows)
{
    struct band *b = c->mem->alloc_small(c, JPOOL_IMAGE, sizeof *b);
    *b = (struct band){c->mem->alloc_barray(c, JPOOL_IMAGE, blocks, rows), blocks, rows};
    return (jvirt_barray_ptr)b;
}

JBLOCKARRAY df_stb_access(jvirt_barray_ptr array, boolean clear)
{
    struct band *b = (struct band *)array;
    for (JDIMENSION y = 0; clear && y < b->count; y++)
        memset(b->rows[y], 0, b->blocks * sizeof(JBLOCK));
    return b->rows;
}

bool df_stb_suits(const struct jpeg_decompress_struct *d)
{
    if (d->data_precision != 8 || d->num_components != (d->jpeg_color_space == JCS_GRAYSCALE ? 1 : 3))
        return false;
    if (d->jpeg_color_space != JCS_GRAYSCALE && d->jpeg_color_space != JCS_YCbCr)
        return false;
    for (int k = 0; k < d->num_components; k++)
        if (d->max_h_samp_factor % d->comp_info[k].h_samp_factor
            || d->max_v_samp_factor % d->comp_info[k].v_samp_factor)
            return false;
    return true;
}

/* The fast transform of Loeffler, Ligtenberg and Moschytz (1989) of the eight columns of `in`, in 12-bit fixed point; it
 * leaves them as rows. Sums wrap, as they may in a damaged file. Each constant is rounded as C does it: towards zero
 * after half is added. */
#define FIXED(x) ((uint32_t)(int32_t)((x) * 4096 + 0.5))

static inline void transform(const int32_t in[DCTSIZE2], uint32_t bias, int shift, int32_t out[DCTSIZE2])
{
    int32_t v[DCTSIZE2];
    for (int x = 0; x < DCTSIZE; x++) {
        uint32_t s[8];
        for (int k = 0; k < 8; k++)
            s[k] = (uint32_t)in[k * DCTSIZE + x];
        uint32_t turn = (s[2] + s[6]) * FIXED(0.5411961f);
        uint32_t low = turn + s[6] * FIXED(-1.847759065f), high = turn + s[2] * FIXED(0.765366865f);
        uint32_t sum = (s[0] + s[4]) * 4096 + bias, difference = (s[0] - s[4]) * 4096 + bias;
        uint32_t even[4] = {sum + high, difference + low, difference - low, sum - high};
        uint32_t all = (s[7] + s[3] + s[5] + s[1]) * FIXED(1.175875602f);
        uint32_t outer = (s[7] + s[1]) * FIXED(-0.899976223f) + all, inner = (s[5] + s[3]) * FIXED(-2.562915447f) + all;
        uint32_t one = (s[7] + s[3]) * FIXED(-1.961570560f), two = (s[5] + s[1]) * FIXED(-0.390180644f);
        uint32_t odd[4] = {s[1] * FIXED(1.501321110f) + outer + two, s[3] * FIXED(3.072711026f) + inner + one,
                           s[5] * FIXED(2.053119869f) + inner + two, s[7] * FIXED(0.298631336f) + outer + one};
        for (int k = 0; k < 4; k++) {
            v[k * DCTSIZE + x] = (int32_t)(even[k] + odd[k]) >> shift;
            v[(7 - k) * DCTSIZE + x] = (int32_t)(even[k] - odd[k]) >> shift;
        }
    }
    for (int y = 0; y < DCTSIZE; y++)
        for (int x = 0; x < DCTSIZE; x++)
            out[x * DCTSIZE + y] = v[y * DCTSIZE + x];
}

static inline uint8_t level(int32_t value) { return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value); }

static bool is_flat(const JCOEF *block)
{
    int any = 0;
    for (int k = 1; k < DCTSIZE2; k++)
        any |= block[k];
    return !any;
}

/* Columns, then rows; 128 is added to every sample. */
static void inverse(const JCOEF *block, const UINT16 *quantum, uint8_t *out, int32_t stride)
{
    const uint32_t middle = (128u << 17) + 65536;
    int32_t v[DCTSIZE2], w[DCTSIZE2];
    if (is_flat(block)) {
        uint32_t flat = (uint32_t)(int16_t)(block[0] * quantum[0]) * 4 * 4096 + middle;
        for (int y = 0; y < DCTSIZE; y++)
            memset(out + y * stride, level((int32_t)flat >> 17), DCTSIZE);
        return;
    }
    for (int k = 0; k < DCTSIZE2; k++)
        v[k] = (int16_t)(block[k] * quantum[k]);
    transform(v, 512, 10, w);
    transform(w, middle, 17, v);
    for (int y = 0; y < DCTSIZE; y++)
        for (int x = 0; x < DCTSIZE; x++)
            out[y * stride + x] = level(v[y * DCTSIZE + x]);
}

void df_stb_start(df_stb *t, struct jpeg_decompress_struct *d)
{
    j_common_ptr c = (j_common_ptr)d;
    t->count = 0;
    t->next = t->row = 0;
    d->buffered_image = d->raw_data_out = TRUE;
    jpeg_start_decompress(d);
    while (t->whole && jpeg_consume_input(d) != JPEG_REACHED_EOI)
        if (d->progress)
            d->progress->progress_monitor(c);
    for (int k = 0; k < d->num_components; k++) {
        const jpeg_component_info *part = &d->comp_info[k];
        int32_t across = d->max_h_samp_factor / part->h_samp_factor, down = d->max_v_samp_factor / part->v_samp_factor;
        size_t stride = (size_t)part->width_in_blocks * DCTSIZE;
        size_t count = (size_t)part->v_samp_factor * DCTSIZE + CARRIED;
        t->planes[k] = (df_plane){.samples = c->mem->alloc_large(c, JPOOL_IMAGE, stride * count),
                                  .stride = (int32_t)stride,
                                  .first = -(int32_t)count,
                                  .lines = ((int32_t)d->image_height + down - 1) / down,
                                  .columns = ((int32_t)d->image_width + across - 1) / across,
                                  .across = across,
                                  .down = down};
        if (across > 1 || down > 1)
            t->planes[k].wide = c->mem->alloc_large(c, JPOOL_IMAGE, d->image_width + (size_t)across);
    }
}

/* The next row of MCUs as samples. */
static void advance(df_stb *t, struct jpeg_decompress_struct *d)
{
    if (!t->whole && jpeg_consume_input(d) == JPEG_SUSPENDED)
        ERREXIT(d, JERR_INPUT_EOF);
    for (int k = 0; k < d->num_components; k++) {
        const jpeg_component_info *part = &d->comp_info[k];
        df_plane *p = &t->planes[k];
        int32_t count = part->v_samp_factor * DCTSIZE;
        memcpy(p->samples, p->samples + (size_t)count * p->stride, (size_t)CARRIED * p->stride);
        p->first = t->next * count - CARRIED;
        JDIMENSION top = (JDIMENSION)(t->next * part->v_samp_factor);
        for (int y = 0; y < part->v_samp_factor && top + y < part->height_in_blocks; y++) {
            JBLOCKARRAY rows = t->whole ? d->mem->access_virt_barray((j_common_ptr)d, t->arrays[k], top + y, 1, FALSE)
                                        : df_stb_access(t->arrays[k], FALSE) + y;
            uint8_t *out = p->samples + (size_t)(CARRIED + y * DCTSIZE) * p->stride;
            if (!part->quant_table) { /* a file without a scan of this component */
                memset(out, 128, (size_t)DCTSIZE * p->stride);
                continue;
            }
            for (JDIMENSION x = 0; x < part->width_in_blocks; x++)
                inverse(rows[0][x], part->quant_table->quantval, out + x * DCTSIZE, p->stride);
        }
    }
    t->next++;
}

static const uint8_t *line_of(const df_plane *p, int32_t y)
{
    y = y < 0 ? 0 : y < p->lines ? y : p->lines - 1;
    return p->samples + (size_t)(y - p->first) * p->stride;
}

/* Line `y` of the picture from the component's lines: three parts of the nearer sample to one of the farther. */
static const uint8_t *widened(const df_plane *p, int32_t y)
{
    const uint8_t *near = line_of(p, y / p->down);
    if (p->across == 1 && p->down == 1)
        return near;
    /* With lines as many as the picture's near is far: 3 parts and 1 of the same make each sum below 4 times as large,
     * and the division stays. */
    const uint8_t *far = p->down == 2 ? line_of(p, y / 2 + (y % 2 ? 1 : -1)) : near;
    int32_t last = p->columns - 1;
    if (p->across == 1 && p->down == 2) {
        for (int32_t x = 0; x <= last; x++)
            p->wide[x] = (uint8_t)((3 * near[x] + far[x] + 2) >> 2);
    } else if (p->across == 2 && p->down <= 2) {
        int before = 3 * near[0] + far[0], here = before;
        for (int32_t x = 0; x <= last; x++) {
            int after = x < last ? 3 * near[x + 1] + far[x + 1] : here;
            p->wide[2 * x] = (uint8_t)((3 * here + before + 8) >> 4);
            p->wide[2 * x + 1] = (uint8_t)((3 * here + after + 8) >> 4);
            before = here;
            here = after;
        }
    } else {
        for (int32_t x = 0; x <= last; x++)
            memset(p->wide + x * p->across, near[x], (size_t)p->across);
    }
    return p->wide;
}

/* 12-bit constants in 20-bit sums. Green drops the low half of blue's part before it is added. */
#define COLOUR(x) ((int32_t)((x) * 4096.0f + 0.5f) * 256)

static void to_rgb(const uint8_t *light, const uint8_t *blue, const uint8_t *red, uint8_t *rgb, int32_t width)
{
    for (int32_t x = 0; x < width; x++, rgb += 3) {
        int32_t y = light[x] * 1048576 + 524288, b = blue[x] - 128, r = red[x] - 128;
        int32_t part = (int32_t)((uint32_t)(b * -COLOUR(0.34414f)) & 0xffff0000u);
        rgb[0] = level((y + r * COLOUR(1.40200f)) >> 20);
        rgb[1] = level((y - r * COLOUR(0.71414f) + part) >> 20);
        rgb[2] = level((y + b * COLOUR(1.77200f)) >> 20);
    }
}

void df_stb_row(df_stb *t, struct jpeg_decompress_struct *d, uint8_t *rgb)
{
    const uint8_t *lines[3];
    for (int k = 0; k < d->num_components; k++) {
        const df_plane *p = &t->planes[k];
        int32_t lowest = t->row / p->down + (p->down == 2 && t->row % 2);
        lowest = lowest < p->lines ? lowest : p->lines - 1;
        while (lowest >= p->first + CARRIED + d->comp_info[k].v_samp_factor * DCTSIZE)
            advance(t, d);
    }
    for (int k = 0; k < d->num_components; k++)
        lines[k] = widened(&t->planes[k], t->row);
    int32_t width = (int32_t)d->image_width;
    if (d->num_components == 3)
        to_rgb(lines[0], lines[1], lines[2], rgb, width);
    else
        for (int32_t x = 0; x < width; x++)
            memset(rgb + 3 * x, lines[0][x], 3);
    t->row++;
}

#endif
