/* A JPEG decoded to the bytes stb_image gives, with libjpeg reading the file.
 *
 * Both Darknets read pictures by stb_image. It and libjpeg-turbo (so Pillow and OpenCV) may differ by 3 levels in a
 * pixel: stb_image transforms with constants of 12 bits instead of 13, always rounds to nearest when it scales colour
 * up, and turns colour into RGB with 12 bits instead of 16. That is a hundredth of a score. */
#ifndef DF_JPEG_STB_H
#define DF_JPEG_STB_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jpeglib.h>

/* Samples of one component: the last two lines of the row of MCUs before, then a row of MCUs. */
typedef struct {
    uint8_t *samples, *wide; /* a line as wide as the picture, where the component is not */
    int32_t stride, first;   /* bytes a line; which line of the component `samples` begins with */
    int32_t lines, columns;  /* of the component, as far as the picture reaches */
    int32_t across, down;    /* pixels of the picture to a sample */
} df_plane;

typedef struct {
    bool used, whole; /* whole: libjpeg keeps all coefficients, as it must when a file has several scans */
    int count;
    jvirt_barray_ptr arrays[3]; /* coefficients */
    df_plane planes[3];
    int32_t next, row; /* the next row of MCUs, the next row of pixels */
} df_stb;

/* Whether this is for it: grey, or colours as light and two differences. Others are decoded as libjpeg does. */
bool df_stb_suits(const struct jpeg_decompress_struct *d);

/* After the header was read. What goes wrong in either leaves through libjpeg's error_exit. */
void df_stb_start(df_stb *t, struct jpeg_decompress_struct *d);
/* The next row of pixels, (width, 3). */
void df_stb_row(df_stb *t, struct jpeg_decompress_struct *d, uint8_t *rgb);

/* libjpeg's calls for coefficients, answered with the row of MCUs it is at and no more. */
jvirt_barray_ptr df_stb_request(j_common_ptr c, JDIMENSION blocks, JDIMENSION rows);
JBLOCKARRAY df_stb_access(jvirt_barray_ptr array, boolean clear);

#endif
