/* Rows of a picture file, one after another, in bounded memory; and what is made of them. */
#ifndef DF_SOURCE_H
#define DF_SOURCE_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "df_picture.h"

#ifdef DF_HAVE_JPEG
#define DF_JPEG_HERE 1
#else
#define DF_JPEG_HERE 0
#endif
#ifdef DF_HAVE_PNG
#define DF_PNG_HERE 1
#else
#define DF_PNG_HERE 0
#endif

enum df_picture_status { DF_PICTURE_GOOD, DF_PICTURE_DAMAGED, DF_PICTURE_TOO_LARGE, DF_PICTURE_NO_MEMORY };

/* A picture file, open. Rows are (width, 3) uint8 RGB, as they are stored: orientation is the caller's. */
typedef struct df_source {
    FILE *file; /* owned */
    int32_t width, height;
    int32_t next; /* the row `read` gives; `height`: none */
    bool whole;   /* its format makes the decoder hold all of it: progressive, interlaced */
    int64_t limit, held, most; /* bytes the decoder may hold, holds, has held at most (or asked for, and not got) */
    int status;                /* enum df_picture_status */
    char message[200];
    jmp_buf jump; /* where libjpeg and libpng go when they give up */
    void *state;
    bool (*start)(struct df_source *); /* before the first row; again, too */
    bool (*read)(struct df_source *, uint8_t *row);
    void (*stop)(struct df_source *); /* lets go of the decoder */
} df_source;

/* What is in `file`, which is taken in any case; false with `status` set. A raw one is rows of pixels, nothing else.
 * `as_stb`: the bytes stb_image makes of a JPEG, not libjpeg-turbo's. */
bool df_jpeg_open(df_source *s, FILE *file, int64_t limit, bool as_stb);
bool df_png_open(df_source *s, FILE *file, int64_t limit);
bool df_raw_open(df_source *s, FILE *file, int32_t width, int32_t height);
void df_source_close(df_source *s);

/* Note what is wrong, the first time only; false. */
bool df_source_fail(df_source *s, int status, const char *message);
/* Account for bytes the decoder takes; false when that is too many. */
bool df_source_take(df_source *s, int64_t bytes);
/* To before row `row`: from the start again if need be, reading what lies between into `spare`. */
bool df_source_seek(df_source *s, int32_t row, uint8_t *spare);

/* How an upright picture lies in the file: EXIF's eight orientations. */
typedef struct {
    bool swap;           /* rows are columns; the flips come after */
    bool flip_x, flip_y; /* of the upright picture */
} df_turn;
df_turn df_turn_of(int orientation);

/* Rows [top, bottom) of the upright picture as (rows, width, 3). `spare` holds a stored row. */
bool df_band(df_source *s, df_turn turn, int32_t top, int32_t bottom, uint8_t *to, uint8_t *spare);

/* An upright picture, scaled to a network's input some rows at a time. */
typedef struct {
    df_source *source;
    df_turn turn;
    df_rows rows;
    int32_t first, count;    /* rows at hand */
    float *values;           /* (rows.most, rows.columns, channels) */
    uint8_t *pair[2];        /* the last two stored rows */
    int32_t pair_row[2];
    df_tap *across;          /* (rows.columns) */
    float unit[256];
} df_block;

/* The network's input, and how a picture gets into it. */
typedef struct {
    int32_t width, height, channels;
    enum df_shape shape;
    bool centres;
} df_net;

/* With room for as many rows as `bytes` hold, one at least. False when memory is refused. */
bool df_block_open(df_block *b, df_source *s, df_turn turn, df_net net, int64_t bytes);
void df_block_close(df_block *b);

/* A picture file being written, a row (width, 3) at a time. */
typedef struct df_sink {
    FILE *file; /* owned */
    int32_t width, height;
    char message[200];
    jmp_buf jump;
    void *state;
    bool (*write)(struct df_sink *, const uint8_t *row);
    bool (*finish)(struct df_sink *);
    void (*stop)(struct df_sink *);
} df_sink;

bool df_jpeg_create(df_sink *s, FILE *file, int32_t width, int32_t height, int quality);
bool df_png_create(df_sink *s, FILE *file, int32_t width, int32_t height);
void df_sink_close(df_sink *s);

#endif
