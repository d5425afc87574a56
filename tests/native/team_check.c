/* The team without OpenMP: `work` of every thread between two barriers is seen by all after the second.
 *
 * Prints the rounds done, or fails with the thread and the round that saw too little. */
#include <stdio.h>
#include <stdlib.h>

#include "engine.h"

#define ROUNDS 200

static long written[DF_THREADS];
static atomic_long in_frame;

void df_run_frame(df_engine *e, int id, int n)
{
    atomic_fetch_add(&in_frame, 1);
    for (long round = 1; round <= ROUNDS; round++) {
        written[id] = round;
        df_barrier(e, n);
        for (int k = 0; k < n; k++)
            if (written[k] != round) {
                fprintf(stderr, "thread %d of %d in round %ld: thread %d wrote %ld\n", id, n, round, k, written[k]);
                exit(1);
            }
        df_barrier(e, n);
    }
}

int main(int argc, char **argv)
{
    static df_engine engine;
    engine.threads = argc > 1 ? atoi(argv[1]) : 2;
    for (int frame = 0; frame < 3; frame++)
        if (!df_start_team(&engine)) {
            fprintf(stderr, "no threads\n");
            return 2;
        }
    printf("%ld\n", atomic_load(&in_frame));
    return 0;
}
