/* PNG, by libpng's rows: what it allocates is counted. */
#include <stdlib.h>
#include <string.h>

#include "source.h"

#ifdef DF_HAVE_PNG
#include <png.h>

#define HEAD 16 /* bytes before each allocation, that say how large it is */

typedef struct {
    png_structp png;
    png_infop info;
    uint8_t *image; /* all rows, where they come interlaced */
} reading;

_Noreturn static void on_error(png_structp png, png_const_charp text)
{
    df_source *s = png_get_error_ptr(png);
    df_source_fail(s, DF_PICTURE_DAMAGED, text);
    longjmp(s->jump, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static png_voidp allocate(png_structp png, png_alloc_size_t bytes)
{
    df_source *s = png_get_mem_ptr(png);
    if (bytes > (size_t)INT64_MAX / 2 || !df_source_take(s, (int64_t)bytes + HEAD))
        return NULL;
    uint8_t *made = malloc(bytes + HEAD);
    if (!made) {
        df_source_fail(s, DF_PICTURE_NO_MEMORY, "the system refuses memory");
        return NULL;
    }
    int64_t size = (int64_t)bytes + HEAD;
    memcpy(made, &size, sizeof size);
    return made + HEAD;
}

static void release(png_structp png, png_voidp made)
{
    df_source *s = png_get_mem_ptr(png);
    int64_t size;
    if (!made)
        return;
    uint8_t *whole = (uint8_t *)made - HEAD;
    memcpy(&size, whole, sizeof size);
    s->held -= size;
    free(whole);
}

static void read_bytes(png_structp png, png_bytep to, size_t bytes)
{
    df_source *s = png_get_io_ptr(png);
    if (fread(to, 1, bytes, s->file) != bytes)
        png_error(png, "the file ends too soon");
}

static void drop(df_source *s)
{
    reading *r = s->state;
    free(r->image);
    r->image = NULL;
    if (r->png)
        png_destroy_read_struct(&r->png, &r->info, NULL);
    r->png = NULL;
    r->info = NULL;
    s->held = 0;
}

/* Text, colour profiles and all else that does not change the pixels stays unread. */
static void leave_out(png_structp png)
{
    static const png_byte names[] = "bKGD\0cHRM\0eXIf\0gAMA\0hIST\0iCCP\0iTXt\0oFFs\0pCAL\0pHYs\0sBIT\0sCAL\0"
                                    "sPLT\0sRGB\0tEXt\0tIME\0zTXt";
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, 0);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, names, (int)(sizeof names / 5));
}

/* The header. Rows will be 8-bit RGB: of 16 bits the high byte, transparency dropped, grey three times. */
static bool begin(df_source *s)
{
    reading *r = s->state;
    drop(s);
    if (fseeko(s->file, 0, SEEK_SET))
        return df_source_fail(s, DF_PICTURE_DAMAGED, "the file cannot be read from its start");
    if (setjmp(s->jump)) {
        drop(s);
        return false;
    }
    r->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, s, on_error, on_warning, s, allocate, release);
    if (!r->png)
        return df_source_fail(s, DF_PICTURE_NO_MEMORY, "the system refuses memory");
    r->info = png_create_info_struct(r->png);
    if (!r->info)
        png_error(r->png, "the system refuses memory");
    png_set_read_fn(r->png, s, read_bytes);
    png_set_user_limits(r->png, 1000000, 1000000);
    leave_out(r->png);
    png_read_info(r->png, r->info);
    return true;
}

/* All passes of an interlaced file, each adding pixels to the rows of those before. */
static bool read_passes(df_source *s, int passes)
{
    reading *r = s->state;
    int64_t line = (int64_t)s->width * 3;
    if (!df_source_take(s, line * s->height))
        return false;
    r->image = malloc((size_t)(line * s->height));
    if (!r->image)
        return df_source_fail(s, DF_PICTURE_NO_MEMORY, "the system refuses memory");
    for (int pass = 0; pass < passes; pass++)
        for (int32_t y = 0; y < s->height; y++)
            png_read_row(r->png, r->image + line * y, NULL);
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
    png_set_expand(r->png);
    png_set_strip_16(r->png);
    png_set_strip_alpha(r->png);
    png_set_gray_to_rgb(r->png);
    int passes = png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
    if (png_get_image_width(r->png, r->info) != (png_uint_32)s->width
        || png_get_image_height(r->png, r->info) != (png_uint_32)s->height
        || png_get_rowbytes(r->png, r->info) != (size_t)s->width * 3)
        png_error(r->png, "the file changed while it was read");
    if (passes > 1 && !read_passes(s, passes)) {
        drop(s);
        return false;
    }
    return true;
}

static bool read_row(df_source *s, uint8_t *row)
{
    reading *r = s->state;
    if (!r->png)
        return df_source_fail(s, DF_PICTURE_DAMAGED, "the file ends too soon");
    if (r->image) {
        memcpy(row, r->image + (size_t)s->next * s->width * 3, (size_t)s->width * 3);
        return true;
    }
    if (setjmp(s->jump)) {
        drop(s);
        s->next = -1;
        return false;
    }
    png_read_row(r->png, row, NULL);
    return true;
}

static void stop(df_source *s)
{
    drop(s);
    free(s->state);
    s->state = NULL;
}

bool df_png_open(df_source *s, FILE *file, int64_t limit)
{
    *s = (df_source){.file = file, .limit = limit, .next = -1, .start = start, .read = read_row};
    reading *r = s->state = calloc(1, sizeof(reading));
    if (!r)
        return df_source_fail(s, DF_PICTURE_NO_MEMORY, "the system refuses memory");
    s->stop = stop;
    if (!begin(s))
        return false;
    s->width = (int32_t)png_get_image_width(r->png, r->info);
    s->height = (int32_t)png_get_image_height(r->png, r->info);
    s->whole = png_get_interlace_type(r->png, r->info) != PNG_INTERLACE_NONE;
    drop(s);
    return true;
}

#else

bool df_png_open(df_source *s, FILE *file, int64_t limit)
{
    *s = (df_source){.file = file, .limit = limit};
    return df_source_fail(s, DF_PICTURE_DAMAGED, "built without libpng");
}

#endif
