"""llvm-mca over blocks of disassembly: cycles on cores LLVM has a model of.

LLVM's `cortex-a76` is its A57; Neoverse N1 is the same core, and four instructions a cycle is what it
issues. Its A53 writes back in order and A55 has two multiply-adds a cycle: neither is asked.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess

CORES = {"A72": ("cortex-a72",), "N1": ("neoverse-n1", "-dispatch=4")}
PEAK = {"A72": 1, "N1": 2}  # 128-bit multiply-adds a cycle


def tool() -> str:
    """The newest llvm-mca there is, or ''."""
    names = [f"llvm-mca-{n}" for n in range(30, 13, -1)] + ["llvm-mca"]
    return next((name for name in names if shutil.which(name)), "")


def assembly(lines: list[str]) -> str:
    """What objdump printed as llvm-mca reads it: addresses become labels."""
    text = []
    for line in lines:
        line = re.sub(r"\b(?:0x)?[0-9a-f]+ <[^>]*>", "target", line.split("//")[0].rstrip())
        text.append(re.sub(r"^(b[\w.]*)\.[nw]\b", r"\1", line))
    return "\n".join(text)


def cycles(blocks: list[list[str]], core: str, turns: int = 100) -> list[float]:
    """Cycles of one turn of each block, run again and again; blocks LLVM cannot read count one a line."""
    cpu, *options = CORES[core]
    regions = "\n".join(
        f"// LLVM-MCA-BEGIN b{n}\n{assembly(block)}\n// LLVM-MCA-END b{n}" for n, block in enumerate(blocks)
    )
    done = subprocess.run(
        [
            tool(),
            "-mtriple=aarch64",
            f"-mcpu={cpu}",
            "-mattr=+lse",
            *options,
            f"-iterations={turns}",
            "-json",
            "-skip-unsupported-instructions=parse-failure",
        ],
        input=regions + "\n",
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{tool()}: {done.stderr.strip().splitlines()[-1]}")
    found = {
        int(region["Name"][1:]): region["SummaryView"]["TotalCycles"] / turns
        for region in json.loads(done.stdout)["CodeRegions"]
        if region["Instructions"]
    }
    return [found.get(n, float(len(block))) for n, block in enumerate(blocks)]
