/* A JPEG or PNG file, written a row at a time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "source.h"

void df_sink_close(df_sink *s)
{
    if (s->stop)
        s->stop(s);
    if (s->file)
        fclose(s->file);
    s->stop = NULL;
    s->file = NULL;
}

static bool no_memory(df_sink *s)
{
    snprintf(s->message, sizeof s->message, "the system refuses memory");
    return false;
}

#ifdef DF_HAVE_JPEG
#include <jpeglib.h>

#include <jerror.h>

typedef struct {
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
} jpeg_writing;

_Noreturn static void on_jpeg_error(j_common_ptr c)
{
    df_sink *s = c->client_data;
    char text[JMSG_LENGTH_MAX];
    int failed = errno; /* the library knows that writing failed, and not why */
    bool writing = c->err->msg_code == JERR_FILE_WRITE;
    c->err->format_message(c, text);
    snprintf(s->message, sizeof s->message, "%s", writing && failed ? strerror(failed) : text);
    longjmp(s->jump, 1);
}

static bool write_jpeg_row(df_sink *s, const uint8_t *row)
{
    jpeg_writing *w = s->state;
    if (setjmp(s->jump))
        return false;
    JSAMPROW from = (JSAMPROW)row; /* read only, whatever its type says */
    return jpeg_write_scanlines(&w->c, &from, 1) == 1;
}

static bool finish_jpeg(df_sink *s)
{
    jpeg_writing *w = s->state;
    if (setjmp(s->jump))
        return false;
    jpeg_finish_compress(&w->c);
    return true;
}

static void stop_jpeg(df_sink *s)
{
    jpeg_writing *w = s->state;
    jpeg_destroy_compress(&w->c);
    free(w);
}

bool df_jpeg_create(df_sink *s, FILE *file, int32_t width, int32_t height, int quality)
{
    *s = (df_sink){.file = file, .width = width, .height = height, .write = write_jpeg_row, .finish = finish_jpeg};
    jpeg_writing *w = s->state = calloc(1, sizeof *w);
    if (!w)
        return no_memory(s);
    s->stop = stop_jpeg;
    w->c.err = jpeg_std_error(&w->errors);
    w->errors.error_exit = on_jpeg_error;
    w->c.client_data = s;
    if (setjmp(s->jump))
        return false;
    jpeg_create_compress(&w->c);
    jpeg_stdio_dest(&w->c, file);
    w->c.image_width = (JDIMENSION)width;
    w->c.image_height = (JDIMENSION)height;
    w->c.input_components = 3;
    w->c.in_color_space = JCS_RGB;
    jpeg_set_defaults(&w->c);
    jpeg_set_quality(&w->c, quality, TRUE);
    jpeg_start_compress(&w->c, TRUE);
    return true;
}

#else

bool df_jpeg_create(df_sink *s, FILE *file, int32_t width, int32_t height, int quality)
{
    (void)quality;
    *s = (df_sink){.file = file, .width = width, .height = height, .message = "built without libjpeg"};
    return false;
}

#endif

#ifdef DF_HAVE_PNG
#include <png.h>

typedef struct {
    png_structp png;
    png_infop info;
} png_writing;

_Noreturn static void on_png_error(png_structp png, png_const_charp text)
{
    df_sink *s = png_get_error_ptr(png);
    snprintf(s->message, sizeof s->message, "%s", text);
    longjmp(s->jump, 1);
}

static void on_png_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static bool write_png_row(df_sink *s, const uint8_t *row)
{
    png_writing *w = s->state;
    if (setjmp(s->jump))
        return false;
    png_write_row(w->png, row);
    return true;
}

static bool finish_png(df_sink *s)
{
    png_writing *w = s->state;
    if (setjmp(s->jump))
        return false;
    png_write_end(w->png, NULL);
    return true;
}

static void stop_png(df_sink *s)
{
    png_writing *w = s->state;
    if (w->png)
        png_destroy_write_struct(&w->png, &w->info);
    free(w);
}

bool df_png_create(df_sink *s, FILE *file, int32_t width, int32_t height)
{
    *s = (df_sink){.file = file, .width = width, .height = height, .write = write_png_row, .finish = finish_png};
    png_writing *w = s->state = calloc(1, sizeof *w);
    if (!w)
        return no_memory(s);
    s->stop = stop_png;
    if (setjmp(s->jump))
        return false;
    w->png = png_create_write_struct(PNG_LIBPNG_VER_STRING, s, on_png_error, on_png_warning);
    if (!w->png || !(w->info = png_create_info_struct(w->png)))
        return no_memory(s);
    png_init_io(w->png, file);
    png_set_IHDR(w->png, w->info, (png_uint_32)width, (png_uint_32)height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(w->png, w->info);
    return true;
}

#else

bool df_png_create(df_sink *s, FILE *file, int32_t width, int32_t height)
{
    *s = (df_sink){.file = file, .width = width, .height = height, .message = "built without libpng"};
    return false;
}

#endif
