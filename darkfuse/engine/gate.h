/* Where the threads of a frame's team wait for one another. */
#ifndef DF_GATE_H
#define DF_GATE_H

#include <stdatomic.h>

struct df_engine;

/* Used by a team without OpenMP only. */
typedef struct {
    atomic_int round, arrived, sleepers;
    int spins;
} df_gate;

/* Waits until all n threads of the team are here. */
void df_barrier(struct df_engine *e, int n);

#endif
