/* A program in C structs, and what runs it. structs.pxi fills the structs from a plan.program.Program that
 * engine/check.py has found safe, every size and offset of it. The C trusts them, and asserts what it relies on:
 * debug and sanitizer builds have assertions on. */
#ifndef DF_ENGINE_H
#define DF_ENGINE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "df_kernels.h"
#include "df_picture.h"
#include "gate.h"

enum df_layout { DF_BLOCKS, DF_IMAGE, DF_CHW };
enum df_residency { DF_PINNED, DF_LOADED, DF_STREAMED };
enum df_kind {
    DF_INPUT,
    DF_CONV,
    DF_MAXPOOL,
    DF_AVGPOOL,
    DF_UPSAMPLE,
    DF_SHORTCUT,
    DF_REORG,
    DF_COPY,
    DF_EXPORT,
    DF_CONNECTED,
    DF_SOFTMAX,
    DF_ACTIVATE,
    DF_LOCAL,
    DF_LOCAL_AVGPOOL,
    DF_REORG3D,
    DF_CROP,
    DF_BATCHNORM,
    DF_SAM,
    DF_SCALE_CHANNELS
};
enum df_stop { DF_RUNNING, DF_INTERRUPTED, DF_READ_FAILED, DF_NO_THREAD, DF_PICTURE_FAILED };

typedef struct {
    int32_t from, to; /* [from, to) */
} df_span;

/* Region of one operation at one tile. */
typedef struct {
    int y0, y1, x0, x1;
} df_region;

/* plan.program.Keep */
typedef struct {
    float *base; /* (slots, blocks, cols, pixel) */
    int32_t slots, cols, x0;
    bool columns;
    const int32_t *top, *left; /* per tile row; per tile column */
} df_keep;

/* plan.program.Tensor */
typedef struct {
    float *base;
    int64_t row_stride;
    enum df_layout layout;
    int32_t pixel, channels, blocks, height, width, cols, slots;
    bool moves;        /* x0 has one entry per tile column, not one for all */
    const int32_t *x0;
    const df_keep *keep; /* NULL: none */
} df_tensor;

/* plan.program.Weights, with the convolution they belong to */
typedef struct {
    enum df_residency residency;
    int32_t node, filters, block, raw_filters, resident;
    int64_t per_filter;                               /* floats */
    int64_t file_offset, params_offset, norm_offset;  /* bytes; file_offset -1: all zero */
    double epsilon_in_root, epsilon_beside;           /* of batch norm */
    bool batch_normalize, transposed, connected;
    int32_t kernel; /* enum df_kernel */
    df_conv conv;
    float *scale, *bias, *packed;
    size_t packed_bytes;
    int64_t slot_bytes;
    char *resident_raw;       /* slots of the first `resident` chunks, read in the first frame only */
    char **slots;             /* where the chunks after them may go, none over another */
    const int32_t *slot_step; /* the first step each may be written in */
    int32_t n_slots;
    int32_t first_chunk; /* in df_reader.chunks */
    int32_t *first_read; /* per tile of the stage, in df_reader.order; where it is loaded, of the first tile alone */
    int32_t rounds;      /* in a batch, strips of so many groups of pictures compute with each panel; else 0 */
    int32_t parts;       /* of a panel's tiles: the rounds, or one a thread where a block has too few panels */
} df_weights;

/* Weights of a shortcut: none, one for each map, one for each channel of each map */
enum df_weighting { DF_UNWEIGHTED, DF_BY_MAP, DF_BY_CHANNEL };

/* plan.program.Op */
typedef struct {
    enum df_kind kind;
    int32_t node;
    df_tensor **in; /* (n_in,) */
    df_tensor *out;
    int32_t n_in;
    const df_span *y, *x; /* per tile row; per tile column */
    df_weights *weights;
    df_conv conv;
    int32_t kernel, strip, pictures, panels; /* Winograd in a batch: what a thread has at a time of these; else 0 */
    int32_t size, stride, pad, act, groups;
    int32_t stride_x;  /* along a row */
    int32_t top, left; /* crop */
    int32_t weighting; /* shortcut: enum df_weighting */
    bool relu_weights, softmax_weights; /* shortcut: how its weights are normalised */
    float scale; /* upsample, crop; softmax: temperature */
    float shift; /* crop */
    int32_t from_channel, to_channel, channels; /* copy */
    df_region *parts; /* (n_parts,) of the output that are computed in place of all of it, where some_parts */
    int32_t n_parts;
    bool some_parts;
    bool keep_in, keep_out; /* first, last operation of the stage to write this tensor */
} df_op;

/* plan.program.Stage. Each picture of a batch has operations of its own, alike but for the maps they name. */
typedef struct {
    df_op *ops; /* (pictures of a batch, n_ops) */
    df_weights **loaded; /* read and packed when the stage starts */
    int32_t n_ops, n_loaded, rows, cols;
    int32_t first, last; /* steps; two where all of the input is read before anything is written */
    char *shared; /* scratch of the team; the threads' own follow it */
    size_t shared_bytes, thread_bytes;
    bool streams; /* its weights are read a block at a time, each for all pictures */
    double ms;
} df_stage;

/* A run of one layer's filters on its way through a slot; in a stage of several tiles, once for each of them. */
typedef struct {
    const df_weights *weights;
    int32_t first, count; /* filters */
    bool resident;        /* stays in its slot over frames */
    bool cached;          /* its slot was in the processor's caches before the read, from what lay there */
    bool wanted;          /* it has to be read when its turn comes: what is resident need not be, a second time */
    int32_t left;         /* filters that the team has still to compute with, counted once a part of the tiles; of
                             what is resident 0 */
    uint64_t samples, all; /* checksums as first read; 0: not read yet */
    char *slot;           /* a whole page; the chunk begins as far into it as it does into a page of the file */
} df_chunk;

#define DF_PAGE 4096
#define DF_HUGE_PAGE (2 << 20)
#define DF_LONG_READ (256 << 10) /* bytes of a read that takes long enough to be timed */
#define DF_GRAIN (64 << 10) /* bytes of the arena that one entry of `used` stands for */
/* Direct reads at a time. A single one would leave the disk idle until it is told of the next. */
#define DF_READERS 2

/* Threads that read the frame's weights ahead of the team, in the order they are used. */
typedef struct {
    int fd;
    int direct; /* the same file without page cache, or -1 */
    bool cached; /* leave what was read in the page cache */
    df_chunk *chunks;
    int32_t n_chunks;
    int32_t *order;      /* (count,) the chunk of each read of a frame */
    int32_t count;
    int32_t next;        /* read the next free reader takes */
    uint8_t *here;       /* (count,) whether a read is done, also beyond `ready` */
    pthread_t thread[DF_READERS];
    int threads;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool doubt;          /* the file was changed since the last frame: all of it is compared */
    bool quit;
    bool running;        /* the threads were started and not joined yet */
    double rate;         /* bytes a millisecond storage is held to; 0: as fast as it is */
    double free_ms;      /* when storage of that rate will be done with what it was asked for */
    bool warm;           /* a whole frame has run: resident chunks are in their slots */
    int32_t step;        /* the team's present step */
    _Atomic int32_t ready; /* reads [0, ready) are done */
    int32_t *inside;     /* (n_chunks,) the `n_inside` chunks that are in their slots, or on their way there */
    int32_t n_inside;
    const char *base;    /* of the arena */
    /* (n_used = bytes of the arena / DF_GRAIN + 1,) when the weights that lay in that grain of the arena were last
     * computed with, counted in twos; an odd count says that they were left in the processor's caches */
    uint32_t *used;
    size_t n_used;
    uint32_t uses;
    bool can_flush;      /* the processor can, and direct reads go to the slots themselves */
    double last_ms;      /* when the last read was done */
    bool last_cached;
    uint32_t turns;
    int64_t bytes;       /* read this frame */
    double wait_ms;      /* summed over the team's threads */
    atomic_bool failed;
    int32_t failed_node, failed_errno; /* errno 0: the file ended; DF_CHANGED: it is another than it was */
} df_reader;

/* The frame: a photo (height, width, channels) uint8, or one whose rows come as they are asked for, or a map (channels,
 * height, width) float32. */
typedef struct {
    const uint8_t *pixels;
    df_rows *rows;
    const float *chw;
    df_fit fit; /* of the photo */
} df_frame;

typedef struct df_engine {
    const df_table *table;
    df_tensor *tensors;
    df_weights *weights;
    df_stage *stages;
    int32_t n_weights, n_stages, threads;
    int32_t alone;       /* the first stages, that run for each picture of a batch as it comes */
    df_reader reader;
    df_frame frame;      /* of the picture that has come */
    int32_t picture;     /* its number in the batch */
    bool more;           /* the batch is finished by another call: only the stages alone run */
    bool come;           /* a picture has; else only the other stages run */
    int (*poll)(void *); /* nonzero: leave; called by the caller's own thread only. May be NULL */
    void *poll_arg;
    double polled;
    df_gate gate;
    atomic_long ticket;
    atomic_int stop; /* enum df_stop */
    int64_t macs;
} df_engine;

/* One thread's place in the team. */
typedef struct {
    df_engine *e;
    int id, n;
    int tile;  /* of the stage, row after row, where weights are read for each of them; else 0 */
    long base; /* the present loop's first ticket */
} df_team;

/* The team's loops: `for (long k; (k = df_take(t, n)) >= 0;) ...; df_join(t, n);` in every thread.  Items are
 * handed out one by one, so a slow core takes fewer.  Each thread draws exactly one ticket past the end, which
 * makes every loop's first ticket known without a reset.  After a stop no item is handed out any more and the
 * frame runs dry: no thread ever leaves another waiting. */
long df_take(df_team *t, long items);
void df_join(df_team *t, long items);

bool df_going(const df_team *t); /* false when the frame is to stop; the caller's own thread looks for signals */
/* Waits for the whole team without a loop before it: a join would count tickets nobody drew. */
void df_meet(const df_team *t);

df_view df_tile_view(const df_tensor *t, int tile_col);
/* Zero the stored columns outside the map, rows [y0, y1), blocks [b0, b1). */
void df_zero_margin(const df_view *v, int y0, int y1, int b0, int b1);
/* How many strips of rows make a loop over `pieces` pieces of `rows` rows worth sharing out. */
int df_strips(const df_team *t, int64_t cost, long pieces, int rows);

/* A loop over channel blocks and strips of rows [y0, y1): `while (df_next(t, &p))` sees one block p.b and rows
 * [p.y0, p.y1); df_next joins the team at the end. */
typedef struct {
    int first, rows, blocks, strips; /* the whole */
    int b, y0, y1;                   /* the piece */
} df_pieces;
/* Pieces of a region of `blocks` channel blocks; `per_value`: floats read for each value written. */
df_pieces df_cut(const df_team *t, int blocks, df_region r, int per_value);
bool df_next(df_team *t, df_pieces *p);

void df_keep_in(df_team *t, const df_op *op, int i, int j);
void df_keep_out(df_team *t, const df_op *op, int i, int j, int rows);

#define DF_EXPECTED (4u << 20)
void df_expect_frame(const void *frame, size_t bytes);
void df_input(df_team *t, const df_op *op, int j, df_region r);
/* Columns of one row of the input: the photo, and grey around it; `unit` is level / 255 for each level. */
void df_photo_row(const df_frame *f, const float *unit, const df_view *out, int y, df_region r);
void df_photo_prepare(df_team *t, df_rows *rows, int y0, int y1);
/* Pictures that a stage which streams its weights runs for at once: operation `op` of them all, the first one given. */
static inline int df_pictures(const df_engine *e) { return e->picture + 1; }

/* Run the stages alone for the picture that has come; then, unless there are more in its batch, all other stages, each
 * for every picture of the batch. Returns enum df_stop. A batch that was stopped is over, but for a picture that
 * cannot be read: another one may take its number. */
int df_run(df_engine *e);
/* One thread's walk through the frame, of a team of n. */
void df_run_frame(df_engine *e, int id, int n);
#define DF_THREADS 256 /* a team has at most */
/* All of the team's walks, to their end; false when the system refuses its threads. */
bool df_start_team(df_engine *e);
double df_now_ms(void);

/* Pages of an anonymous mapping, touched; NULL when refused. small_first: its small pages, if it has any beside
 * huge ones, are at the bottom. */
void *df_arena_map(size_t bytes, bool small_first);
void df_arena_unmap(void *arena, size_t bytes);
void df_arena_forbid(void *start, size_t bytes, bool forbidden); /* for the address sanitizer, where there is one */

/* One value of a map of any layout; `v` is the tile's view of `t`. */
static inline float *df_value(const df_tensor *t, const df_view *v, int c, int y, int x)
{
    if (t->layout == DF_CHW)
        return v->base + ((int64_t)c * t->height + y) * t->width + x;
    return df_pixel(v, y, c / DF_CB, x) + c % DF_CB;
}

static inline int df_min(int a, int b) { return a < b ? a : b; }
static inline int df_max(int a, int b) { return a > b ? a : b; }

#include "layers.h"
#include "reads.h"

#endif
