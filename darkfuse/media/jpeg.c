/* JPEG by libjpeg-turbo: its own scanlines, or the bytes stb_image gives. What it holds is counted before it is
 * allocated. */
#include <stdlib.h>
#include <string.h>

#include "source.h"

#ifdef DF_HAVE_JPEG
#include <jerror.h>
#include <jpeglib.h>

#include "jpeg_stb.h"

#define MOST_SCANS 500 /* of a progressive file; more are an attack on our time */

typedef struct {
    struct jpeg_decompress_struct d;
    struct jpeg_error_mgr errors;
    struct jpeg_memory_mgr own; /* libjpeg's memory manager, as it was */
    struct jpeg_progress_mgr progress;
    uint8_t *cmyk; /* a row, where the file's colours are such */
    uint8_t *row;  /* being read */
    bool made;
    bool as_stb; /* wanted, where the file suits */
    df_stb stb;
} reading;

static df_source *owner(j_common_ptr c) { return c->client_data; }
static reading *state_of(j_common_ptr c) { return owner(c)->state; }

_Noreturn static void give_up(j_common_ptr c, int status, const char *why)
{
    df_source_fail(owner(c), status, why);
    longjmp(owner(c)->jump, 1);
}

_Noreturn static void on_error(j_common_ptr c)
{
    char text[JMSG_LENGTH_MAX];
    c->err->format_message(c, text);
    bool memory = c->err->msg_code == JERR_OUT_OF_MEMORY;
    give_up(c, memory ? DF_PICTURE_NO_MEMORY : DF_PICTURE_DAMAGED, text);
}

/* Warnings are about pixels that are there all the same, but for the file's end. */
static void on_message(j_common_ptr c, int level)
{
    if (level < 0 && c->err->msg_code == JWRN_JPEG_EOF)
        give_up(c, DF_PICTURE_DAMAGED, "the file ends too soon");
}

static void say_nothing(j_common_ptr c) { (void)c; }

static void on_progress(j_common_ptr c)
{
    if (((j_decompress_ptr)c)->input_scan_number > MOST_SCANS)
        give_up(c, DF_PICTURE_DAMAGED, "more than 500 scans");
}

static void take(j_common_ptr c, int64_t bytes)
{
    if (!df_source_take(owner(c), bytes))
        longjmp(owner(c)->jump, 1);
}

static void *alloc_small(j_common_ptr c, int pool, size_t bytes)
{
    take(c, (int64_t)bytes);
    return state_of(c)->own.alloc_small(c, pool, bytes);
}

static void *alloc_large(j_common_ptr c, int pool, size_t bytes)
{
    take(c, (int64_t)bytes);
    return state_of(c)->own.alloc_large(c, pool, bytes);
}

static JSAMPARRAY alloc_sarray(j_common_ptr c, int pool, JDIMENSION samples, JDIMENSION rows)
{
    take(c, (int64_t)samples * rows);
    return state_of(c)->own.alloc_sarray(c, pool, samples, rows);
}

static JBLOCKARRAY alloc_barray(j_common_ptr c, int pool, JDIMENSION blocks, JDIMENSION rows)
{
    take(c, (int64_t)blocks * rows * (int64_t)sizeof(JBLOCK));
    return state_of(c)->own.alloc_barray(c, pool, blocks, rows);
}

/* Arrays that hold all of a picture are asked for one after another and allocated together; so they are counted. */
static jvirt_barray_ptr request_virt_barray(j_common_ptr c, int pool, boolean zero, JDIMENSION blocks, JDIMENSION rows,
                                            JDIMENSION most)
{
    df_source *s = owner(c);
    reading *r = s->state;
    if (r->stb.used && !r->stb.whole)
        return r->stb.arrays[r->stb.count++] = df_stb_request(c, blocks, most);
    s->held += (int64_t)blocks * rows * (int64_t)sizeof(JBLOCK);
    jvirt_barray_ptr array = r->own.request_virt_barray(c, pool, zero, blocks, rows, most);
    if (r->stb.used)
        r->stb.arrays[r->stb.count++] = array;
    return array;
}

static JBLOCKARRAY access_virt_barray(j_common_ptr c, jvirt_barray_ptr array, JDIMENSION row, JDIMENSION rows,
                                      boolean writable)
{
    reading *r = state_of(c);
    if (r->stb.used && !r->stb.whole)
        return df_stb_access(array, writable);
    return r->own.access_virt_barray(c, array, row, rows, writable);
}

static void realize_virt_arrays(j_common_ptr c)
{
    take(c, 0);
    state_of(c)->own.realize_virt_arrays(c);
}

static void count_memory(reading *r)
{
    struct jpeg_memory_mgr *m = r->d.mem;
    r->own = *m;
    m->alloc_small = alloc_small;
    m->alloc_large = alloc_large;
    m->alloc_sarray = alloc_sarray;
    m->alloc_barray = alloc_barray;
    m->request_virt_barray = request_virt_barray;
    m->access_virt_barray = access_virt_barray;
    m->realize_virt_arrays = realize_virt_arrays;
}

static void drop(df_source *s)
{
    reading *r = s->state;
    if (r->made)
        jpeg_destroy_decompress(&r->d);
    r->made = false;
    free(r->cmyk);
    r->cmyk = NULL;
    s->held = 0;
}

/* The header, and with it the sizes; libjpeg's colour conversions do the rest but for four inks. */
static bool begin(df_source *s)
{
    reading *r = s->state;
    drop(s);
    if (fseeko(s->file, 0, SEEK_SET))
        return df_source_fail(s, DF_PICTURE_DAMAGED, "the file cannot be read from its start");
    r->d.err = jpeg_std_error(&r->errors);
    r->errors.error_exit = on_error;
    r->errors.emit_message = on_message;
    r->errors.output_message = say_nothing;
    r->d.client_data = s;
    if (setjmp(s->jump)) {
        drop(s);
        return false;
    }
    jpeg_create_decompress(&r->d);
    r->made = true;
    count_memory(r);
    r->progress.progress_monitor = on_progress;
    r->d.progress = &r->progress;
    jpeg_stdio_src(&r->d, s->file);
    jpeg_read_header(&r->d, TRUE);
    if (r->d.num_components != 1 && r->d.num_components != 3 && r->d.num_components != 4)
        give_up((j_common_ptr)&r->d, DF_PICTURE_DAMAGED, "a JPEG of neither grey, colours nor four inks");
    r->d.out_color_space = r->d.num_components == 4 ? JCS_CMYK : JCS_RGB;
    return true;
}

static bool start(df_source *s)
{
    reading *r = s->state;
    if (!begin(s))
        return false;
    if (setjmp(s->jump)) {
        drop(s);
        return false;
    }
    if (r->d.num_components == 4) {
        take((j_common_ptr)&r->d, (int64_t)s->width * 4);
        r->cmyk = malloc((size_t)s->width * 4);
        if (!r->cmyk)
            give_up((j_common_ptr)&r->d, DF_PICTURE_NO_MEMORY, "the system refuses memory");
    }
    r->stb.used = r->as_stb && df_stb_suits(&r->d);
    r->stb.whole = s->whole;
    if (r->stb.used)
        df_stb_start(&r->stb, &r->d);
    else
        jpeg_start_decompress(&r->d);
    if (r->d.output_width != (JDIMENSION)s->width || r->d.output_height != (JDIMENSION)s->height)
        give_up((j_common_ptr)&r->d, DF_PICTURE_DAMAGED, "the file changed while it was read");
    return true;
}

/* Inks are stored as Adobe does, inverted: what is left of the light after each and black. */
static void inks_to_rgb(const uint8_t *cmyk, uint8_t *rgb, int32_t width)
{
    for (int32_t x = 0; x < width; x++, cmyk += 4, rgb += 3)
        for (int k = 0; k < 3; k++)
            rgb[k] = (uint8_t)((cmyk[k] * cmyk[3] + 127) / 255);
}

static bool read_row(df_source *s, uint8_t *row)
{
    reading *r = s->state;
    r->row = row;
    if (setjmp(s->jump)) {
        drop(s);
        s->next = -1;
        return false;
    }
    if (r->made && r->stb.used) {
        df_stb_row(&r->stb, &r->d, r->row);
        return true;
    }
    JSAMPROW to = r->cmyk ? r->cmyk : r->row;
    if (!r->made || jpeg_read_scanlines(&r->d, &to, 1) != 1)
        return df_source_fail(s, DF_PICTURE_DAMAGED, "the file ends too soon");
    if (r->cmyk)
        inks_to_rgb(r->cmyk, r->row, s->width);
    return true;
}

static void stop(df_source *s)
{
    drop(s);
    free(s->state);
    s->state = NULL;
}

bool df_jpeg_open(df_source *s, FILE *file, int64_t limit, bool as_stb)
{
    *s = (df_source){.file = file, .limit = limit, .next = -1, .start = start, .read = read_row};
    reading *r = s->state = calloc(1, sizeof(reading));
    if (!r)
        return df_source_fail(s, DF_PICTURE_NO_MEMORY, "the system refuses memory");
    s->stop = stop;
    r->as_stb = as_stb;
    if (!begin(s))
        return false;
    s->width = (int32_t)r->d.image_width;
    s->height = (int32_t)r->d.image_height;
    s->whole = jpeg_has_multiple_scans(&r->d);
    drop(s);
    return true;
}

#else

bool df_jpeg_open(df_source *s, FILE *file, int64_t limit, bool as_stb)
{
    (void)as_stb;
    *s = (df_source){.file = file, .limit = limit};
    return df_source_fail(s, DF_PICTURE_DAMAGED, "built without libjpeg");
}

#endif
