#!/usr/bin/env python3
"""Cross-compile every kernel for the boards, run the kernel check under emulation, show the inner loops.

    cross_check.py [aarch64] [armv7l] [--rounds 60] [--install]

For each machine: compiles `darkfuse/kernels/*.c` per instruction set with the flags of `setup.py` and
`tests/native/kernel_check.c` with Debian's cross compiler, runs it under QEMU user emulation, with pages of
4 KB and, on aarch64, of 16 KB as on a Raspberry Pi 5, where a frame of the engine runs too; then
disassembles the direct convolution's widest tile and fails unless its innermost loop does all its
multiply-adds on registers, touching the stack not once. `--install` fetches what is missing with apt-get
(Debian or Ubuntu, as root).
"""

from __future__ import annotations

import argparse
import ast
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
KERNELS = ROOT / "darkfuse" / "kernels"


class Machine(NamedTuple):
    """A board's architecture and how to build and run for it here.

    tile: pixels and vectors of its widest tile (`kernels/tiles.h`). fma, stack: what a vector multiply-add
    and an access to the stack look like in a disassembly. pages: bytes of
    the larger pages that some of its systems have.
    """

    prefix: str
    emulator: str
    packages: tuple[str, ...]
    compile_flags: tuple[str, ...]
    tile: tuple[int, int]
    fma: str
    stack: str
    pages: int = 0


MACHINES = {
    "aarch64": Machine("aarch64-linux-gnu-", "qemu-aarch64-static",
                       ("gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross", "qemu-user-static"),
                       (), (8, 2), r"\tfmla\t", r"\[(sp|x29)\b", 16384),
    "armv7l": Machine("arm-linux-gnueabihf-", "qemu-arm-static",
                      ("gcc-arm-linux-gnueabihf", "libc6-dev-armhf-cross", "qemu-user-static"),
                      ("-march=armv7-a", "-mfpu=vfpv3-d16"), (4, 2), r"\tv(fma|mla)\.f32\t", r"\[(sp|fp)\b"),
}


def build_settings(root: Path = ROOT) -> dict:
    """COMMON, ISAS, EXTRA and PLAIN of a checkout's setup.py, read without running it."""
    names: dict = {"SANITIZE": "", "EXTRA": {}}
    wanted = {"COMMON", "X86", "ISAS", "PLAIN", "EXTRA"}
    for node in ast.parse((root / "setup.py").read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in wanted:
            exec(compile(ast.Module([node], []), "setup.py", "exec"), names)
    return names


def run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:3])} ...: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def build(machine: str, m: Machine, folder: Path) -> Path:
    """The check program; objects stay in `folder`/<isa>."""
    settings = build_settings()
    compiler = [m.prefix + "gcc", *m.compile_flags, *settings["COMMON"], f"-I{KERNELS}"]
    isas = settings["ISAS"][m.prefix.split("-")[0]]
    objects = []
    for source in sorted(KERNELS.glob("*.c")):
        if source.name.startswith("_"):
            continue
        if source.name in settings["PLAIN"]:
            jobs = {"plain": [f"-DDF_HAVE_{isa.upper()}=1" for isa in isas]}
        else:
            extra = settings["EXTRA"].get(source.name, {})
            jobs = {isa: [*flags, *extra.get(isa, []), f"-DDF_ISA={isa}", f"-DDF_ISA_{isa.upper()}=1"]
                    for isa, flags in isas.items()}
        for isa, flags in jobs.items():
            target = folder / isa / (source.stem + ".o")
            target.parent.mkdir(exist_ok=True)
            run([*compiler, *flags, "-c", str(source), "-o", str(target)])
            objects.append(str(target))
    program = folder / "kernel_check"
    run([*compiler, str(ROOT / "tests" / "native" / "kernel_check.c"), *objects, "-static", "-lm",
         "-o", str(program)])
    return program


def engine(machine: str, m: Machine, folder: Path) -> Path:
    """A program that runs a frame of the shipped model through the engine, its weights all zeros."""
    sys.path.insert(0, str(ROOT))  # a plain checkout is enough
    from darkfuse.graph import load_graph
    from darkfuse.plan.layout.lower import lower
    from darkfuse.plan.price.device import BUILTIN
    from darkfuse.plan.search.search import plan_for
    from tools.arm import frame

    graph = load_graph(str(ROOT / "cfg" / "darkfuse-voc7.cfg"))
    program = lower(graph, plan_for(graph, None, 2, False, BUILTIN["rpi5"]))
    return frame.build(program, build_settings(), machine, [m.prefix + "gcc"], folder / "frame",
                       isas=("generic", "neon"))


def inner_loop(listing: str, function: str, fma: str) -> list[str]:
    """The shortest loop of a function with the most multiply-adds, one instruction a line."""
    body = re.search(rf"^[0-9a-f]+ <{function}>:\n((?:.+\n)+)", listing, re.MULTILINE)
    if not body:
        raise SystemExit(f"no function {function} in the disassembly")
    code = [(int(found[1], 16), line) for line in body[1].splitlines()
            if (found := re.match(r"\s+([0-9a-f]+):\t", line))]
    loops = []
    for end, (address, line) in enumerate(code):
        jump = re.search(r"\t(?:b[\w.]*|cbn?z|j\w+)\s+(?:\w+, )?([0-9a-f]+) <", line)
        if jump and int(jump[1], 16) < address:
            lines = [text for at, text in code[:end + 1] if at >= int(jump[1], 16)]
            loops.append((-sum(bool(re.search(fma, text)) for text in lines), len(lines), lines))
    if not loops:
        raise SystemExit(f"no loop in {function}")
    most = min(loops)[0]
    # an outer loop holds the inner one's multiply-adds too: of those with the most, the shortest
    return min((loop for loop in loops if loop[0] == most), key=lambda loop: loop[1])[2]


def check(machine: str, rounds: int) -> bool:
    m = MACHINES[machine]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        program = build(machine, m, folder)
        print(f"{machine}: {run([m.emulator, str(program), str(rounds)]).strip()}", flush=True)
        if m.pages:
            large = [m.emulator, "-p", str(m.pages)]
            said = run([*large, str(program), str(rounds // 4 + 1)]).strip()
            print(f"{machine}, pages of {m.pages}: {said}")
            run([*large, str(engine(machine, m, folder))])
            print(f"{machine}, pages of {m.pages}: a frame ran", flush=True)
        direct = folder / "neon" / "conv_direct.o"
        listing = run([m.prefix + "objdump", "-d", "--no-show-raw-insn", str(direct)])
        pixels, vectors = m.tile
        loop = inner_loop(listing, f"tile_{pixels}x{vectors}_one", m.fma)
        count = sum(bool(re.search(m.fma, line)) for line in loop)
        stack = [line for line in loop if re.search(m.stack, line)]
        print("\n".join(loop))
        print(f"{machine}: {count} multiply-adds in {len(loop)} instructions for a tile of {pixels} pixels x "
              f"{vectors} vectors, {len(stack)} of them on the stack")
        return count > 0 and count % (pixels * vectors) == 0 and not stack


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("machines", nargs="*", metavar="machine",
                        help=f"of {', '.join(MACHINES)}; otherwise all of them")
    parser.add_argument("--rounds", type=int, default=60, help="random shapes to check")
    parser.add_argument("--install", action="store_true", help="apt-get install what is missing")
    args = parser.parse_args()
    unknown = [name for name in args.machines if name not in MACHINES]
    if unknown:
        parser.error(f"no machine {unknown[0]!r}; there are {', '.join(MACHINES)}")
    good = True
    for name in args.machines or MACHINES:
        m = MACHINES[name]
        if not (shutil.which(m.prefix + "gcc") and shutil.which(m.emulator)):
            if not args.install:
                print(f"{name}: needs {' '.join(m.packages)}; run with --install, or apt-get install them",
                      file=sys.stderr)
                return 2
            run(["apt-get", "update", "-qq"])
            run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *m.packages])
        good = check(name, args.rounds) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
