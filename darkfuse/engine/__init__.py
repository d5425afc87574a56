"""Runs a `plan.program.Program` tile by tile inside one arena, reading weights as the plan says.

Offsets come from the program: nothing is placed here. Windows that move, and their row caches, are in
`view.c` (`windows.c` has layers that look through windows, `caches.c` is about the processor's).
"""
import os

# A team that waits must let the thread that reads weights have the core: GNU OpenMP's default is to spin for
# milliseconds, which on two cores doubles the time of a streamed frame (YOLOv2-608 in 32 MB, two threads:
# 400-600 ms against 220). Read once, when the library is loaded; a value the user set stays.
os.environ.setdefault("GOMP_SPINCOUNT", "30000")
