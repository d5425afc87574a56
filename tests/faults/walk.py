#!/usr/bin/env python3
"""Walk through the calls a command makes: each in turn fails, or is where the process is killed.

    tests/faults/walk.py                     every call of every command
    tests/faults/walk.py --every 7 detect    every seventh, of one

A fault may be survived with the right answer, or end in one line and a status; a kill leaves the earlier file
or the whole new one; the next run sweeps what was left. Whatever else happens is printed, with status 1.
Cases run in forked children of one process that has everything imported.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(ROOT)]

from commands import COMMANDS, differs, needs, prepare, run, stable  # noqa: E402

KINDS = {"open": (0, errno.EIO), "read": (1, errno.EIO), "write": (2, errno.ENOSPC), "sync": (3, errno.EIO),
         "rename": (4, errno.EACCES), "mmap": (5, errno.ENOMEM), "thread": (6, errno.EAGAIN),
         "alloc": (7, errno.ENOMEM)}
ANY = 100
# Libraries that end the process where they are refused, and say so; what they leave is swept
OWN_ENDS = {
    "libgomp: Thread creation failed": "OpenMP's library is refused a thread that was just granted",
    "libgomp: Out of memory": "OpenMP's library is refused memory for its own team",
    "libgcc_s.so.1 must be installed for pthread_exit": "glibc is refused memory as a thread of Python ends",
    "Fatal Python error": "Python is refused memory where it cannot go on",
}


def build(folder: str) -> str:
    """The shim, compiled."""
    path = os.path.join(folder, "shim.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", path, str(HERE / "shim.c"), "-ldl"], check=True)
    return path


def forked(shim: Any, folder: Path, words: list[str], kind: int, n: int, error: int, kill: bool,
           after_s: float = 0.0) -> tuple[int, int, str]:
    """Wait status, calls counted, and what was said, of a child that runs `words`, its n-th call spoilt; or
    ended without a word `after_s`."""
    from darkfuse.host import files

    counted, said = folder.parent / "counted", folder.parent / "said"
    counted.write_text("")
    said.write_text("")
    child = os.fork()
    if not child:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # as kill -9: nothing of ours runs any more
        signal.setitimer(signal.ITIMER_REAL, after_s or 300.0)
        os.chdir(folder)
        files._swept.clear()  # as in a process that has just begun
        out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(out, 1)
        os.dup2(out, 2)
        shim.fault_arm(kind, n, error, int(kill), str(folder).encode())
        status = 99
        try:
            status = run(words)
        except SystemExit as error_:
            status = int(error_.code or 0)
        except BaseException:
            import traceback

            traceback.print_exc()
        calls = shim.fault_calls()
        shim.fault_arm(-1, 0, 0, 0, b"")
        sys.stdout.flush()
        counted.write_text(str(calls))
        os._exit(status)
    status = os.waitpid(child, 0)[1]
    return status, int(counted.read_text() or 0), said.read_text(errors="replace")


class Walk:
    """One command's walk; `faults` lists what went wrong."""

    def __init__(self, shim: Any, name: str, every: int, moments: int = 0) -> None:
        self.shim, self.name, self.moments = shim, name, moments
        self.every = every * COMMANDS[name].every
        self.words, self.outputs = COMMANDS[name].words, COMMANDS[name].outputs
        self.cases, self.kills, self.survived, self.faults = 0, 0, 0, []  # type: int, int, int, list[str]
        self.own_ends: dict[str, int] = {}

    def run(self) -> None:
        """Every call of every kind that fails, then every call at which it is killed."""
        with tempfile.TemporaryDirectory(prefix="darkfuse-faults-") as made:
            folder = Path(made) / "here"
            folder.mkdir()
            prepare(folder)
            with needs(self.name, folder):
                self._import_all(folder)
                self._begin(folder)
                status, _, said = forked(self.shim, folder, self.words, -1, 0, 0, False)
                if status:
                    raise SystemExit(f"{self.name}: does not run at all: {said}")
                self.whole = {name: stable(folder / name) for name in self.outputs}
                for word, (kind, error) in KINDS.items():
                    self._walk(folder, word, kind, error, False)
                self._walk(folder, "kill", ANY, 0, True)
                if self.moments:
                    self._kill_at_any_time(folder)

    def _import_all(self, folder: Path) -> None:
        """Run once in the process that forks: a module half imported is for Python to report, not for us."""
        before, out = os.getcwd(), os.dup(1)
        sink = os.open(os.devnull, os.O_WRONLY)
        os.chdir(folder)
        os.dup2(sink, 1)
        try:
            run(self.words)
        finally:
            sys.stdout.flush()
            os.dup2(out, 1)
            os.chdir(before)

    def _walk(self, folder: Path, word: str, kind: int, error: int, kill: bool) -> None:
        _, calls, _ = forked(self.shim, folder, self.words, kind, 0, error, kill)
        for n in range(1, calls + 1, self.every):
            self._begin(folder, n % 2 == 1)
            status, _, said = forked(self.shim, folder, self.words, kind, n, error, kill)
            self.cases += 1
            self.kills += kill
            self.survived += status == 0
            for what in self._wrong(folder, status, said, kill):
                self.faults.append(f"{self.name}: {word} {n}: {what}")

    def _begin(self, folder: Path, earlier: bool = False) -> None:
        """Have outputs as they may be found: an earlier file, that of the last case, or none."""
        for name in self.outputs:
            if name in COMMANDS[self.name].anew:
                (folder / name).unlink(missing_ok=True)
            elif earlier:
                (folder / name).write_text("earlier")

    def _kill_at_any_time(self, folder: Path) -> None:
        """Beside the steps of files: kills at moments spread over a run."""
        began = time.monotonic()
        forked(self.shim, folder, self.words, -1, 0, 0, False)
        whole = time.monotonic() - began
        for number in range(self.moments):
            self._begin(folder)
            status, _, said = forked(self.shim, folder, self.words, -1, 0, 0, True,
                                     max(0.002, whole * (number + 0.5) / self.moments))
            self.cases, self.kills = self.cases + 1, self.kills + 1
            for what in self._wrong(folder, status, said, True):
                self.faults.append(f"{self.name}: kill at {number}/{self.moments}: {what}")

    def _wrong(self, folder: Path, status: int, said: str, kill: bool) -> list[str]:
        wrong = []
        own = next((end for end in OWN_ENDS if end in said), None) if status and not kill else None
        if kill:
            if not os.WIFSIGNALED(status) and status:
                wrong.append(f"ended with {status:#x}: {said[-300:]}")
        elif own:
            self.own_ends[own] = self.own_ends.get(own, 0) + 1
        elif os.WIFSIGNALED(status):
            wrong.append(f"signal {os.WTERMSIG(status)}: {said[-300:]}")
        elif status and ("Traceback" in said or not said.strip()):
            wrong.append(f"status {status >> 8}: {said[-600:]}")
        reported = COMMANDS[self.name].goes_on and bool(re.search(r"^darkfuse: .*cat\.jpg: ", said, re.M))
        wrong += self._torn(folder, status or int(reported))
        if kill or own:  # the next run sweeps what is left
            again = forked(self.shim, folder, self.words, -1, 0, 0, False)
            if again[0]:
                wrong.append(f"the next run does not work: {again[2][-300:]}")
        left = [p.name for p in folder.rglob("*") if ".part" in p.name]
        if set(left) - set(COMMANDS[self.name].remains):
            wrong.append(f"left behind: {left}")
        return wrong

    def _torn(self, folder: Path, status: int) -> list[str]:
        wrong = []
        for name in self.outputs:
            path = folder / name
            if path.exists():
                if path.read_bytes() != b"earlier" and differs(path, self.whole[name], status != 0):
                    wrong.append(f"{name} is wrong, status {status:#x}")
            elif not status:
                wrong.append(f"{name} is missing")
        return wrong


def record(path: Path, walk: Walk, took: float) -> None:
    """Add a command's counts to those in a JSON file."""
    counts = json.loads(path.read_text()) if path.exists() else {}
    was = counts.setdefault("faults", {}).get(walk.name, {})
    now = {"faults": walk.cases - walk.kills, "kills": walk.kills, "survived": walk.survived,
           "unexplained": len(walk.faults), "seconds": round(took)}
    ends = was.get("own_ends", {})
    counts["faults"][walk.name] = {
        **{name: was.get(name, 0) + number for name, number in now.items()},
        "own_ends": {end: ends.get(end, 0) + walk.own_ends.get(end, 0) for end in {*ends, *walk.own_ends}}}
    path.write_text(json.dumps(counts, indent=1, sort_keys=True) + "\n")


def main() -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("commands", nargs="*", help=", ".join(COMMANDS))
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every N-th call (default 1)")
    parser.add_argument("--moments", type=int, default=0, metavar="N", help="kills at any time besides")
    parser.add_argument("--record", type=Path, metavar="FILE", help="put the counts into this JSON")
    args = parser.parse_args()
    if "FAULT_SHIM" not in os.environ:
        with tempfile.TemporaryDirectory() as made:
            shim = build(made)
            home = os.path.join(made, "cache")
            return subprocess.run(
                [sys.executable, *sys.argv],
                env={**os.environ, "LD_PRELOAD": shim, "FAULT_SHIM": shim, "XDG_CACHE_HOME": home,
                     "OMP_WAIT_POLICY": "passive"}).returncode
    shim = ctypes.CDLL(os.environ["FAULT_SHIM"])
    shim.fault_calls.restype = ctypes.c_long
    shim.fault_arm.argtypes = [ctypes.c_int, ctypes.c_long, ctypes.c_int, ctypes.c_int, ctypes.c_char_p]
    wrong = 0
    for name in args.commands or COMMANDS:
        began, walk = time.monotonic(), Walk(shim, name, args.every, args.moments)
        walk.run()
        for fault in walk.faults:
            print(fault, flush=True)
        took = time.monotonic() - began
        print(f"{name}: {walk.cases} cases, {walk.kills} of them kills, {walk.survived} survived, "
              f"{walk.own_ends or 'none'} ended by a library, {len(walk.faults)} faults, {took:.0f} s",
              flush=True)
        if args.record:
            record(args.record, walk, took)
        wrong += len(walk.faults)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
