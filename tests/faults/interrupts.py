#!/usr/bin/env python3
"""Ctrl-C at each step of a program: after every so many Python calls of ours, from its first to its last.

    tests/faults/interrupts.py                       demo and detect, some 60 steps each
    tests/faults/interrupts.py demo --steps 1000

Real processes, so that the interpreter's own end is walked through too. An interrupted program ends with
status 130, or 0 where an interrupt is how it is meant to end, without a traceback, and leaves whole outputs
or none. Whatever else happens is printed, with status 1.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(ROOT)]

from commands import COMMANDS, differs, needs, prepare, stable  # noqa: E402

# Counts calls of darkfuse's functions in the main thread; at the n-th the process interrupts itself. What the
# interpreter's end calls counts too.
PROGRAM = """
import atexit, os, sys
nth, count, package = int(sys.argv.pop(1)), 0, os.path.join(sys.argv.pop(1), "darkfuse")
def at_call(frame, event, _):
    global count
    if event == "call" and frame.f_code.co_filename.startswith(package):
        count += 1
        if count == nth:
            os.kill(os.getpid(), 2)
atexit.register(lambda: os.environ.get("COUNTED") and open(os.environ["COUNTED"], "w").write(str(count)))
from darkfuse.__main__ import main
sys.setprofile(at_call)
sys.exit(main())
"""


def run(folder: Path, words: list[str], nth: int) -> subprocess.CompletedProcess[str]:
    """A command, interrupted at its n-th call (0: never)."""
    words = [sys.executable, "-c", PROGRAM, str(nth), str(ROOT), *words]
    home = {"PYTHONPATH": str(ROOT), "COUNTED": str(folder.parent / "counted"),
            "XDG_CACHE_HOME": str(folder.parent)}
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=900,
                          env={**os.environ, **home})


def walk(name: str, steps: int) -> tuple[int, list[str]]:
    """Interrupts, and what went wrong."""
    outputs, wrong, tried = COMMANDS[name].outputs, [], 0
    with tempfile.TemporaryDirectory(prefix="darkfuse-interrupts-") as made:
        folder = Path(made) / "here"
        folder.mkdir()
        prepare(folder)
        with needs(name, folder):
            done = run(folder, COMMANDS[name].words, 0)
            if done.returncode:
                raise SystemExit(f"{name}: does not run at all: {done.stderr}")
            whole = {path: stable(folder / path) for path in outputs}
            calls = int((folder.parent / "counted").read_text())
            for nth in sorted({1 + n * calls // steps for n in range(steps)}):
                for path in outputs:
                    (folder / path).unlink(missing_ok=True)
                done = run(folder, COMMANDS[name].words, nth)
                tried += 1
                if done.returncode not in (0, 130, -signal.SIGINT) or "Traceback" in done.stderr:
                    wrong.append(f"{name} {nth}: status {done.returncode}: {done.stderr[-300:]}")
                wrong += [f"{name} {nth}: {path} is wrong" for path in outputs
                          if (folder / path).exists() and differs(folder / path, whole[path], True)]
                left = [path.name for path in folder.rglob("*.part*")]
                wrong += [f"{name} {nth}: left behind: {left}"] if left else []
    return tried, wrong


def main() -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("commands", nargs="*", help=", ".join(COMMANDS))
    parser.add_argument("--steps", type=int, default=60, help="of each command (default 60)")
    args = parser.parse_args()
    failed = 0
    for name in args.commands or ("detect", "demo"):
        tried, wrong = walk(name, args.steps)
        for line in wrong:
            print(line, flush=True)
        print(f"{name}: {tried} interrupts, {len(wrong)} faults", flush=True)
        failed += len(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
