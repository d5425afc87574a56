/* The tiles of one kernel, for whole panels and for half ones: include after KINDS(V) and KIND_NAMES(V), which
 * make and name them for V vectors across a panel.  No guard: each kernel file has its own. */
/* [stride 1, 2, any, and across rows][pixels - 1] */
KINDS(2)
static tile_fn *const full[][WIDEST] = KIND_NAMES(2);
#if DF_VL == 16 /* a panel's last 16 channels */
KINDS(1)
static tile_fn *const half[][WIDEST] = KIND_NAMES(1);
#else
#define half full
#endif
