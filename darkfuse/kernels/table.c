/* This ISA's row of the dispatch. */
#include "wino.h"

const df_table DF_NAME(table) = {
    .isa = DF_STR(DF_ISA),
    .vector = DF_VL,
    .wino_channels = WINO_STEP * DF_CB,
    .wino_outputs = WINO_OUTS,
    .pack = DF_NAME(pack),
    .conv_direct = DF_NAME(conv_direct),
    .conv_first = DF_NAME(conv_first),
    .conv_general = DF_NAME(conv_general),
    .wino_input = DF_NAME(wino_input),
    .wino_panel = DF_NAME(wino_panel),
    .wino_pictures = DF_NAME(wino_pictures),
    .maxpool = DF_NAME(maxpool),
    .upsample = DF_NAME(upsample),
    .shortcut = DF_NAME(shortcut),
    .copy = DF_NAME(copy),
    .fma_burst = DF_NAME(fma_burst),
};
