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
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
KINDS = {"open": (0, errno.EIO), "read": (1, errno.EIO), "write": (2, errno.ENOSPC), "sync": (3, errno.EIO),
         "rename": (4, errno.EACCES), "mmap": (5, errno.ENOMEM), "thread": (6, errno.EAGAIN),
         "alloc": (7, errno.ENOMEM)}
ANY = 100
PLAN = ["cfg/a.cfg", "--mem", "200M"]
COMMANDS: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "detect": (["detect", "cfg/a.cfg", "cat.jpg", "--threads", "2", "--mem", "200M", "--plan",
                "streamed.json", "--json", "out.json", "--out", "out.jpg"], ("out.json", "out.jpg")),
    "several": (["detect", "cfg/a.cfg", "cat.jpg", "cat.jpg", "--mem", "200M", "--out", "drawn", "--json",
                 "out.json"], ("out.json", "drawn/cat.jpg", "drawn/cat-2.jpg")),
    "plan": (["plan", *PLAN, "--json", "out.json", "--plot", "out.svg"], ("out.json", "out.svg")),
    "optimize": (["optimize", *PLAN, "-o", "out.cfg", "--json", "out.json"], ("out.cfg", "out.json")),
}


def build(folder: str) -> str:
    """The shim, compiled."""
    path = os.path.join(folder, "shim.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", path, str(HERE / "shim.c"), "-ldl"], check=True)
    return path


def prepare(folder: Path) -> None:
    """What the commands read."""
    for name, kind in (("cfg", "cfg"), ("weights", "weights")):
        (folder / name).mkdir()
        shutil.copy(ROOT / name / f"darkfuse-voc7.{kind}", folder / name / f"a.{kind}")
    shutil.copy(ROOT / "docs" / "images" / "cat.jpg", folder)
    from darkfuse.graph import load_graph
    from darkfuse.plan.search.simple import layer_by_layer

    graph = load_graph(str(folder / "cfg" / "a.cfg"))
    (folder / "streamed.json").write_text(layer_by_layer(graph, 2, "streamed").to_json())


def command(words: list[str]) -> int:
    """Run it in this process."""
    if words[0] == "optimize":
        from tools.optimize_cfg import main as optimize

        return optimize(words[1:])
    from darkfuse.cli.main import main

    return main(words)


def forked(shim: Any, folder: Path, words: list[str], kind: int, n: int, error: int, kill: bool
           ) -> tuple[int, int, str]:
    """Wait status, calls counted, and what was said, of a child that runs `words`, its n-th call spoilt."""
    from darkfuse.host import files

    counted, said = folder.parent / "counted", folder.parent / "said"
    child = os.fork()
    if not child:
        signal.alarm(60)
        os.chdir(folder)
        files._swept.clear()  # as in a process that has just begun
        out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(out, 1)
        os.dup2(out, 2)
        shim.fault_arm(kind, n, error, int(kill), str(folder).encode())
        status = 99
        try:
            status = command(words)
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
    return status, int(counted.read_text()) if counted.exists() else 0, said.read_text(errors="replace")


def stable(path: Path) -> object:
    """What of an output is the same in each run."""
    data = path.read_bytes()
    if path.suffix != ".json":
        return data if path.suffix in (".jpg", ".svg") else data.count(b"\n")
    found = json.loads(data)
    if isinstance(found, list):
        return [[(o["name"], round(o["confidence"], 3)) for o in frame["objects"]] for frame in found]
    return sorted(found)


class Walk:
    """One command's walk; `faults` lists what went wrong."""

    def __init__(self, shim: Any, name: str, every: int) -> None:
        self.shim, self.name, self.every = shim, name, every
        self.words, self.outputs = COMMANDS[name]
        self.cases, self.survived, self.faults = 0, 0, []  # type: int, int, list[str]

    def run(self) -> None:
        """Every call of every kind that fails, then every call at which it is killed."""
        with tempfile.TemporaryDirectory(prefix="darkfuse-faults-") as made:
            folder = Path(made) / "here"
            folder.mkdir()
            prepare(folder)
            self._import_all(folder)
            status, _, said = forked(self.shim, folder, self.words, -1, 0, 0, False)
            if status:
                raise SystemExit(f"{self.name}: does not run at all: {said}")
            self.whole = {name: stable(folder / name) for name in self.outputs}
            self.names = sorted(p.name for p in folder.rglob("*"))
            for word, (kind, error) in KINDS.items():
                self._walk(folder, word, kind, error, False)
            self._walk(folder, "kill", ANY, 0, True)

    def _import_all(self, folder: Path) -> None:
        """Run once in the process that forks: a module half imported is for Python to report, not for us."""
        before, out = os.getcwd(), os.dup(1)
        sink = os.open(os.devnull, os.O_WRONLY)
        os.chdir(folder)
        os.dup2(sink, 1)
        try:
            command(self.words)
        finally:
            sys.stdout.flush()
            os.dup2(out, 1)
            os.chdir(before)

    def _walk(self, folder: Path, word: str, kind: int, error: int, kill: bool) -> None:
        _, calls, _ = forked(self.shim, folder, self.words, kind, 0, error, kill)
        for n in range(1, calls + 1, self.every if kind < 5 or kill else self.every * 3):
            for old in self.outputs:
                if n % 2:
                    (folder / old).write_text("earlier")
            status, _, said = forked(self.shim, folder, self.words, kind, n, error, kill)
            self.cases += 1
            self.survived += status == 0
            for what in self._wrong(folder, status, said, kill):
                self.faults.append(f"{self.name}: {word} {n}: {what}")

    def _wrong(self, folder: Path, status: int, said: str, kill: bool) -> list[str]:
        wrong = []
        if kill:
            if not os.WIFSIGNALED(status) and status:
                wrong.append(f"ended with {status:#x}: {said[-300:]}")
            if forked(self.shim, folder, self.words, -1, 0, 0, False)[0]:
                wrong.append("the next run does not work")
        elif os.WIFSIGNALED(status):
            wrong.append(f"signal {os.WTERMSIG(status)}: {said[-300:]}")
        elif status and ("Traceback" in said or not said.strip()):
            wrong.append(f"status {status >> 8}: {said[-600:]}")
        for name in self.outputs:
            path = folder / name
            if path.exists() and path.read_bytes() != b"earlier" and stable(path) != self.whole[name]:
                wrong.append(f"{name} is wrong")
            elif not status and not path.exists():
                wrong.append(f"{name} is missing")
        left = [p.name for p in folder.rglob("*") if ".part" in p.name]
        if left:
            wrong.append(f"left behind: {left}")
        return wrong


def main() -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("commands", nargs="*", help=", ".join(COMMANDS))
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every N-th call (default 1)")
    args = parser.parse_args()
    if "FAULT_SHIM" not in os.environ:
        with tempfile.TemporaryDirectory() as made:
            shim = build(made)
            home = os.path.join(made, "cache")
            return subprocess.run(
                [sys.executable, *sys.argv],
                env={**os.environ, "LD_PRELOAD": shim, "FAULT_SHIM": shim, "XDG_CACHE_HOME": home,
                     "OMP_WAIT_POLICY": "passive"}).returncode
    sys.path.insert(0, str(ROOT))
    shim = ctypes.CDLL(os.environ["FAULT_SHIM"])
    shim.fault_calls.restype = ctypes.c_long
    shim.fault_arm.argtypes = [ctypes.c_int, ctypes.c_long, ctypes.c_int, ctypes.c_int, ctypes.c_char_p]
    wrong = 0
    for name in args.commands or COMMANDS:
        began, walk = time.monotonic(), Walk(shim, name, args.every)
        walk.run()
        for fault in walk.faults:
            print(fault, flush=True)
        print(f"{name}: {walk.cases} cases, {walk.survived} survived, {len(walk.faults)} faults, "
              f"{time.monotonic() - began:.0f} s", flush=True)
        wrong += len(walk.faults)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
