/* Two threads take turns in adding to one number. With any argument they meet at a barrier between turns, which is
 * sound; without, it is a race that a thread sanitizer worth its name reports. tools/sanitize.py runs both. */
#include <omp.h>

int main(int argc, char **argv)
{
    (void)argv;
    int value = 0;
#pragma omp parallel num_threads(2)
    for (int turn = 0; turn < 1000; turn++) {
        if (turn % 2 == omp_get_thread_num())
            value++;
        if (argc > 1) {
#pragma omp barrier
        }
    }
    return argc > 1 && value != 1000;
}
