#!/usr/bin/env python3
"""How fast a frame is on boards that are not at hand: every model we have, one table.

    arm_model.py [cfg/yolov2-tiny.cfg] [--device rpi3] [--exact] [--traffic] [--root CHECKOUT] [--json FILE]

Compiles one frame of the plan for `--device` (one thread, everything resident) for aarch64 with Debian's
cross compiler, counts its blocks under qemu with a plugin (`tools/arm/count.c`), and asks an in-order
model of Cortex-A53 (`tools/arm/inorder.py`) and llvm-mca's A72 and Neoverse N1 (Cortex-A76) for the cycles
of each, as if loads always hit the first-level cache. Inner loops are given as shares of the multiply-add
peak. `--traffic` adds what cachegrind says of the same plan's cache misses, on this machine's build for
the generic instruction set. `--root` takes the kernels from another checkout, for before and after.
Models, not measurements: no board is involved.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a plain checkout is enough to run this

from darkfuse.errors import DarkfuseError
from darkfuse.graph import load_graph
from darkfuse.plan.layout.lower import lower
from darkfuse.plan.price.device import BUILTIN
from darkfuse.plan.search.search import plan_for
from tools.arm import frame, inorder, mca
from tools.cross_check import build_settings, inner_loop

CROSS = "aarch64-linux-gnu-"
NEEDED = {
    CROSS + "gcc": "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
    "qemu-aarch64": "qemu-user",
    "gcc": "gcc",
}
CACHES = {"512 KB": 524288, "1 MB": 1048576}
COVERED = 0.995  # of all instructions: blocks rarer than the rest are not simulated


def blocks_of(counts: str, listing: str) -> list[tuple[int, list[str]]]:
    """(executions, instructions) of the blocks that ran; what runs on into the next as often is one block."""
    lines = {
        int(found[1], 16): found[2].split("//")[0].rstrip()
        for found in re.finditer(r"^\s+([0-9a-f]+):\t(.+)$", listing, re.MULTILINE)
    }
    ran: dict[int, tuple[int, int]] = {}
    for line in counts.splitlines():
        executions, at, instructions = line.split()
        if int(at, 16) in lines:
            ran[int(at, 16)] = (int(executions), int(instructions))
    found: list[tuple[int, list[str]]] = []
    end, before = -1, -1
    for address, (n, size) in sorted(ran.items()):
        code = [lines[a] for a in range(address, address + 4 * size, 4) if a in lines]
        if address == end and n == before:
            found[-1][1].extend(code)
        else:
            found.append((n, code))
        end, before = address + 4 * size, n
    return found


def counted(program: Path, folder: Path, isa: str) -> list[tuple[int, list[str]]]:
    """The blocks of a frame on that instruction set's kernels, those with most instructions first."""
    plugin, out = folder / "libcount.so", folder / f"blocks-{isa}.txt"
    source = Path(__file__).parent / "arm" / "count.c"
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", str(source), "-o", str(plugin)], check=True)
    subprocess.run(
        ["qemu-aarch64", "-E", f"DARKFUSE_ISA={isa}", "-plugin", f"file={plugin},out={out}", str(program)],
        check=True,
    )
    listing = subprocess.run(
        [CROSS + "objdump", "-d", "--no-show-raw-insn", str(program)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return sorted(blocks_of(out.read_text(), listing), key=lambda block: -block[0] * len(block[1]))


def hot(blocks: list[tuple[int, list[str]]]) -> tuple[list[tuple[int, list[str]]], float]:
    """The blocks that make up nearly all instructions, and what to multiply their cycles by for millions."""
    total = sum(n * len(code) for n, code in blocks)
    found, seen = [], 0
    for n, code in blocks:
        if seen < COVERED * total:
            found.append((n, code))
            seen += n * len(code)
    return found, total / seen / 1e6


def frame_row(program: Path, folder: Path, isas: list[str]) -> dict[str, float]:
    """Millions of instructions and cycles of a frame; in order, with the kernels of each instruction set."""
    blocks = counted(program, folder, "neon")
    row = {
        "instructions": sum(n * len(code) for n, code in blocks) / 1e6,
        "multiply-adds of vectors": sum(n * sum(c.startswith("fmla") for c in code) for n, code in blocks)
        / 1e6,
    }
    for isa in isas:
        most, scale = hot(blocks if isa == "neon" else counted(program, folder, isa))
        row[f"A53 cycles, {isa}"] = scale * sum(n * inorder.cycles(code) for n, code in most)
    most, scale = hot(blocks)
    for core in mca.CORES if mca.tool() else ():
        each = mca.cycles([code for _, code in most], core)
        row[f"{core} cycles"] = scale * sum(n * cycles for (n, _), cycles in zip(most, each))
    return row


def straight_code(listing: str, function: str) -> list[str]:
    """The longest stretch of a function without a branch, as a list of instructions."""
    body = listing.split(f"<{function}>:\n", 1)[1].split("\n\n", 1)[0]
    lines = [line.split(":\t", 1)[1].split("//")[0].rstrip() for line in body.splitlines() if ":\t" in line]
    stretches: list[list[str]] = [[]]
    for line in lines:
        stretches[-1].append(line)
        if re.match(r"(b|bl|br|ret|cbn?z|tbn?z|b\..*)(\s|$)", line):
            stretches.append([])
    return max(stretches, key=len)


def loop_rows(folder: Path, isas: list[str]) -> dict[str, dict[str, float]]:
    """Shares of the multiply-add peak of the widest blocks' inner loops."""
    rows = {}
    for isa in isas:
        loops = {"wino_gemm": r"products_\d_more", "conv_direct": r"tile_\d+x\d_one"}
        for name, function in ({"lanes_a53": r"df_sums_\d+x\d+__a53"} if isa == "a53" else loops).items():
            listing = subprocess.run(
                [CROSS + "objdump", "-d", "--no-show-raw-insn", str(folder / f"{isa}-{name}.o")],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            widest = max(
                re.findall(rf"<({function})>:", listing), key=lambda f: int(re.findall(r"\d+", f)[0])
            )
            if name == "wino_gemm":
                loop = straight_code(listing, widest)
            else:
                loop = [
                    line.split(":\t", 1)[1].split("//")[0].rstrip()
                    for line in inner_loop(listing, widest, r"\tfmla\t")
                ]
            sums = sum(line.startswith(("fmla", "fmul")) for line in loop)
            row = {
                "A53 relaxed": sums / inorder.cycles(loop),
                "A53 strict": sums / inorder.cycles(loop, strict=True),
            }
            for core in mca.CORES if mca.tool() else ():
                row[core] = sums / mca.cycles([loop], core)[0] / mca.PEAK[core]
            rows[f"{isa} {name} {widest}: {sums} in {len(loop)}"] = row
    return rows


def traffic(program: Path, folder: Path) -> dict[str, float]:
    """Megabytes a frame brings from memory, by the size of the second-level cache."""
    row = {}
    for name, size in CACHES.items():
        done = subprocess.run(
            [
                "valgrind",
                "--tool=cachegrind",
                "--cache-sim=yes",
                f"--cachegrind-out-file={folder}/cachegrind",
                "--I1=32768,4,64",
                "--D1=32768,4,64",
                f"--LL={size},16,64",
                str(program),
            ],
            check=True,
            capture_output=True,
            text=True,
        ).stderr
        found = re.search(r"LLd misses:\s+([\d,]+)", done)
        if not found:
            raise RuntimeError("cachegrind printed no misses")
        row[f"fills at {name}"] = int(found[1].replace(",", "")) * 64 / 1e6
    return row


def missing(caches: bool = False) -> list[str]:
    """Packages of Debian's that this needs and the machine lacks."""
    needed = dict(NEEDED, **({"valgrind": "valgrind"} if caches else {}))
    return [package for tool, package in needed.items() if not shutil.which(tool)]


def modelled(
    cfg: str, device: str, exact: bool = False, caches: bool = False, root: Path = frame.ROOT
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """A frame of that device's plan, and the shares of inner loops.

    Raises `DarkfuseError`, `frame.Unsupported`, `RuntimeError`, `subprocess.CalledProcessError`.
    """
    graph, settings = load_graph(cfg), build_settings(root)
    program = lower(graph, plan_for(graph, None, 1, exact, BUILTIN[device]))
    macs = sum(op.macs for stage in program.stages for op in stage.ops) / 1e6
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        made = frame.build(program, settings, "aarch64", [CROSS + "gcc"], folder / "arm", root)
        isas = [isa for isa in settings["ISAS"]["aarch64"] if isa != "generic"]
        row = {"multiply-adds": macs, **frame_row(made, folder, isas)}
        row["instructions a multiply-add"] = row["instructions"] / macs
        loops = loop_rows(folder / "arm", isas)
        if caches:
            made = frame.build(program, settings, "x86_64", ["gcc"], folder / "here", root, ("generic",))
            row.update(traffic(made, folder))
    return row, loops


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cfg", nargs="?", default=str(frame.ROOT / "cfg" / "yolov2-tiny.cfg"))
    parser.add_argument("--device", default="rpi3", choices=sorted(BUILTIN), help="whose plan")
    parser.add_argument("--exact", action="store_true", help="a plan without Winograd")
    parser.add_argument("--traffic", action="store_true", help="cachegrind too (minutes)")
    parser.add_argument("--root", help="another checkout's kernels, in place of this one's")
    parser.add_argument("--json", help="write the figures here too")
    args = parser.parse_args()
    if missing(args.traffic):
        print(f"arm_model: apt-get install {' '.join(missing(args.traffic))}", file=sys.stderr)
        return 2
    if not mca.tool():
        print("arm_model: no llvm-mca (apt-get install llvm), so no A72 and N1", file=sys.stderr)
    root = Path(args.root).resolve() if args.root else frame.ROOT
    try:
        row, loops = modelled(args.cfg, args.device, args.exact, args.traffic, root)
    except (DarkfuseError, frame.Unsupported, RuntimeError) as error:
        print(f"arm_model: {error}", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        print(f"arm_model: {' '.join(map(str, error.cmd[:4]))} ... failed", file=sys.stderr)
        return 1
    print(f"{Path(args.cfg).stem}, {args.device}'s plan, one thread, resident; millions, megabytes")
    for name, value in row.items():
        print(f"  {name:28} {value:10.3f}" if value < 1 else f"  {name:28} {value:10.1f}")
    print("Inner loops, % of the multiply-add peak")
    for name, shares in loops.items():
        print(f"  {name:45}", *(f"{core} {100 * share:.0f}" for core, share in shares.items()))
    if args.json:
        Path(args.json).write_text(json.dumps({"frame": row, "loops": loops}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
