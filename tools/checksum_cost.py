#!/usr/bin/env python3
"""What recognising streamed weights costs: processor time of their checksums, of the engine's own code.

    checksum_cost.py                  per 100 MB, and of frames that stream so much
    checksum_cost.py --megabytes 203

A chunk's first read takes a checksum of all of it; each later one looks at a cache line of each page.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ENGINE = Path(__file__).resolve().parent.parent / "darkfuse" / "engine"
PROGRAM = r"""
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "reads.h"

static double cpu_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * 1e3 + now.tv_nsec * 1e-6;
}

int main(int n, char **word)
{
    size_t bytes = (size_t)atol(word[1]) * 1000000, chunk = 600000;
    char *data = aligned_alloc(4096, (bytes / 4096 + 1) * 4096);
    uint64_t sum = 0;
    memset(data, n, bytes);
    for (int round = 0; round < 7; round++)
        for (int whole = 0; whole < 2; whole++) {
            double began = cpu_ms();
            for (size_t at = 0; at + chunk <= bytes; at += chunk)
                sum += df_checksum(data + at, chunk, whole ? DF_PAGE : 64);
            printf("%d %f\n", whole, cpu_ms() - began);
        }
    return sum == 0;
}
"""


def measured(megabytes: int) -> tuple[float, float]:
    """Milliseconds of a frame that reads so many MB again, and of one that reads them first."""
    with tempfile.TemporaryDirectory() as folder:
        program, source = os.path.join(folder, "cost"), os.path.join(folder, "cost.c")
        Path(source).write_text(PROGRAM)
        words = [os.environ.get("CC", "cc"), "-O3", "-I", str(ENGINE), "-I", str(ENGINE.parent / "kernels"),
                 source, str(ENGINE / "checksum.c"), "-o", program]
        subprocess.run(words, check=True)
        done = subprocess.run([program, str(megabytes)], check=True, capture_output=True, text=True)
    times: dict[str, list[float]] = {"0": [], "1": []}
    for line in done.stdout.splitlines():
        whole, took = line.split()
        times[whole].append(float(took))
    again, first = (sorted(times[which])[len(times[which]) // 2] for which in "01")
    return again, first


def main() -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--megabytes", type=int, default=100, help="of weights a frame reads (default 100)")
    args = parser.parse_args()
    again, first = measured(args.megabytes)
    print(f"{args.megabytes} MB: {again:.2f} ms of processor time a frame, {first:.2f} ms in the first")
    return 0


if __name__ == "__main__":
    sys.exit(main())
