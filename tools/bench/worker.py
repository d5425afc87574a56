"""One peer in a process of its own.

    worker.py NAME THREADS JOB.json [--frames N | --prepare | --version]

Serves commands from standard input, one a line, answered by one line of JSON each:

    run N       N timed frames                  {"ms": [...]}
    save FILE   the last frame's outputs (.npz) {"saved": FILE}
    peak        most memory ever resident       {"peak_bytes": ...}

and leaves at the end of input. With --frames it runs N frames, prints {"ms", "peak_bytes"} and leaves.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, TextIO

# Last, so that an installed darkfuse comes before a checkout that is not built.
sys.path.append(str(Path(__file__).resolve().parent.parent.parent))

import numpy as np

from tools.bench.peer import Forward, Job
from tools.bench.registry import PEERS


def end_with_parent() -> None:
    """Have the kernel kill this process when the one that started it dies, even while it is stopped."""
    if sys.platform == "linux":
        set_death_signal = 1  # PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)


def peak_bytes() -> int:
    """VmHWM of this process: the most that was ever resident."""
    with open("/proc/self/status") as status:
        kilobytes = next(line.split()[1] for line in status if line.startswith("VmHWM:"))
    return int(kilobytes) << 10


def timed(forward: Forward, frames: int) -> tuple[list[float], list[np.ndarray]]:
    """Milliseconds of each frame, and the outputs of the last."""
    times, outputs = [], []
    for _ in range(frames):
        start = time.perf_counter()
        outputs = forward()
        times.append((time.perf_counter() - start) * 1e3)
    return times, outputs


def serve(forward: Forward, replies: TextIO) -> None:
    """Answer commands until the input ends."""
    outputs: list[np.ndarray] = []
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        reply: dict[str, Any]
        if command == "run":
            times, outputs = timed(forward, int(argument))
            reply = {"ms": times}
        elif command == "save":
            np.savez(argument, *outputs)
            reply = {"saved": argument}
        elif command == "peak":
            reply = {"peak_bytes": peak_bytes()}
        else:
            reply = {"error": f"unknown command {command}"}
        print(json.dumps(reply), file=replies, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", choices=PEERS)
    parser.add_argument("threads", type=int)
    parser.add_argument("job")
    parser.add_argument("--frames", type=int)
    parser.add_argument("--prepare", action="store_true", help="write the peer's model files and leave")
    parser.add_argument("--version", action="store_true", help="print the runtime's version and leave")
    options = parser.parse_args()
    end_with_parent()
    # runtimes print what they like on standard output: it goes to standard error, and the replies past it
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    peer = PEERS[options.name]
    try:
        if options.version:
            reply: dict[str, Any] = {"version": peer.version()}
        else:
            with open(options.job) as file:
                job = Job(**json.load(file))
            if options.prepare:
                peer.prepare(job)
                reply = {"prepared": True}
            else:
                start = time.perf_counter()
                forward = peer.start(job, options.threads)
                reply = {"load_ms": (time.perf_counter() - start) * 1e3}
                if options.frames:
                    reply = {**reply, "ms": timed(forward, options.frames)[0], "peak_bytes": peak_bytes()}
    except Exception as error:  # whatever a runtime raises is a line in the table, not a traceback
        reply = {"error": f"{type(error).__name__}: {error}".replace("\n", " ")}
    print(json.dumps(reply), file=replies, flush=True)
    if "load_ms" in reply and not options.frames:
        serve(forward, replies)
    return 1 if "error" in reply else 0


if __name__ == "__main__":
    sys.exit(main())
