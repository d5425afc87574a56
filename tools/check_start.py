#!/usr/bin/env python3
"""What a command takes beside its work, in CPU seconds: `--help`, and the second `detect` of a photo.

    check_start.py [CFG WEIGHTS] [--mem SIZE] [--times N]

The first `detect` searches for a plan, those that follow find it in the cache folder (one made for this, and
removed). Of each, what decoding the photo and running the network took is left out: the process counts it
itself, on the CPU. Prints the least and the median, beside the bare start of Python, which is part of them.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PHOTO = ROOT / "docs" / "images" / "astronaut.jpg"
# Runs the command line, and says what all of the process took, and what looking at pictures did
COUNTED = """
import sys, time
from darkfuse.cli.main import main
from darkfuse.session.network import Network
looking, see = [], Network._detect
def counted(*args, **options):
    start = time.process_time()
    found = see(*args, **options)
    looking.append(time.process_time() - start)
    return found
Network._detect = counted
status = main(sys.argv[1:])
print(time.process_time() - sum(looking), file=sys.stderr)
sys.exit(status)
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print a table; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="*", metavar="FILE",
                        help="CFG WEIGHTS (default: those that come along)")
    parser.add_argument("--mem", default="min", metavar="SIZE", help="default min")
    parser.add_argument("--times", type=int, default=9, metavar="N", help="runs of each (default 9)")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="darkfuse-") as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed has its byte code
        detect = ["-c", COUNTED, "detect", *args.model, str(PHOTO), "--no-draw", "--threads", "1", "--mem",
                  args.mem]
        said(detect)  # the first
        rows = {"python -c pass": [cpu(["-c", "pass"]) for _ in range(args.times)],
                "darkfuse --help": [cpu(["-m", "darkfuse", "--help"]) for _ in range(args.times)],
                "second detect": [said(detect) for _ in range(args.times)]}
    print(f"{'CPU seconds':16} {'least':>7} {'median':>7}")
    for name, seconds in rows.items():
        print(f"{name:16} {min(seconds):7.3f} {statistics.median(seconds):7.3f}")
    return 0


def cpu(words: list[str]) -> float:
    """CPU seconds of a Python with these arguments."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def said(words: list[str]) -> float:
    """What such a process says of itself in its last line."""
    done = subprocess.run([sys.executable, *words], cwd=ROOT, check=True, capture_output=True, text=True)
    return float(done.stderr.split()[-1])


if __name__ == "__main__":
    sys.exit(main())
