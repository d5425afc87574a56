"""Boards that are not at hand: which core they have, its clock, its caches, and what such a core reaches.

The shares of peak and the cycles of Winograd's transforms are what `tools/arm_model.py` says of our
kernels on each core (an in-order model for Cortex-A53, llvm-mca for A72 and A76) with a tenth taken off
for loads that miss; memory and storage are public figures. Cores that no model knows take their nearest
relative's.
"""
from __future__ import annotations

import re
from typing import NamedTuple


class Core(NamedTuple):
    """One kind of core.

    flops : float32 operations a cycle
    products, window, pixel, first : shares of that in Winograd's products, 3x3, 1x1 and the first layer
    inward, outward, filters : cycles of four lanes of one tile, or of one filter, through each transform
    pixels : that the kernels hold in registers: what a narrower row or fewer tiles lose depends on it
    """

    flops: int
    products: float
    window: float
    pixel: float
    first: float
    inward: int
    outward: int
    filters: int
    pixels: int = 8


A7 = Core(2, 0.70, 0.70, 0.65, 0.45, 900, 900, 500, 4)
A53 = Core(8, 0.70, 0.70, 0.65, 0.40, 550, 490, 200)
A55 = Core(8, 0.80, 0.80, 0.75, 0.55, 450, 450, 190)
A72 = Core(8, 0.88, 0.88, 0.82, 0.65, 185, 240, 100)
A76 = Core(16, 0.86, 0.86, 0.80, 0.55, 215, 135, 120)
X86 = Core(32, 0.70, 0.75, 0.65, 0.55, 31, 25, 21, 14)  # AVX2; lanes by four too

# Part numbers of ARM's own cores, big ones last: of several in one chip, the last decides
PARTS = {0xC07: A7, 0xC09: A7, 0xC0F: A7, 0xD03: A53, 0xD04: A53, 0xD05: A55, 0xD46: A55,
         0xD07: A72, 0xD08: A72, 0xD09: A72, 0xD0A: A76, 0xD0B: A76, 0xD0C: A76, 0xD0D: A76, 0xD40: A76,
         0xD41: A76, 0xD42: A76, 0xD44: A76, 0xD47: A76, 0xD48: A76, 0xD4B: A76, 0xD4D: A76}


class Board(NamedTuple):
    """`memory`: GB/s of one core; `read`: GB/s of storage, `read_us`: until it begins; `own_kb`: one core's
    part of the cache all share, `near_kb`: what maps may take of it beside weights."""

    name: str
    core: Core
    mhz: int
    cores: int
    memory: float
    read: float
    read_us: float
    own_kb: int
    near_kb: int


BOARDS = (
    Board("cortex-a7", A7, 1200, 4, 1.0, 0.020, 500, 128, 256),
    Board("rpi-zero2w", A53, 1000, 4, 1.4, 0.022, 500, 128, 256),
    Board("rpi3", A53, 1200, 4, 1.3, 0.022, 500, 128, 256),
    Board("rpi3b+", A53, 1400, 4, 1.3, 0.022, 500, 128, 256),
    Board("cortex-a55", A55, 1800, 4, 3.0, 0.060, 400, 128, 256),
    Board("rpi4", A72, 1500, 4, 2.4, 0.045, 400, 256, 256),
    Board("rpi4-1.8", A72, 1800, 4, 2.8, 0.045, 400, 256, 256),
    Board("jetson-nano", A72, 1430, 4, 5.0, 0.080, 300, 512, 1024),
    Board("rpi5", A76, 2400, 4, 9.0, 0.085, 300, 512, 1024),
    Board("generic-x86", X86, 3000, 4, 12.0, 2.0, 50, 512, 4096),
)


def parts_of(cpuinfo: str) -> list[int]:
    """Part numbers in the text of /proc/cpuinfo, one a core."""
    found = re.findall(r"^CPU part\s*:\s*(0x[0-9a-fA-F]+)", cpuinfo, re.MULTILINE)
    return [int(number, 16) for number in found]


def likeness(machine: str, parts: list[int], mhz: int, board: str = "") -> tuple[str, float | None]:
    """The board most like a machine, and by what its clock differs.

    Parameters
    ----------
    machine : str
        What `uname -m` says.
    parts : list of int
        Part numbers of the cores; the big cluster counts, where there are two.
    mhz : int
        The clock, 0 where nobody says.
    board : str
        What the device tree calls it: tells a Jetson Nano's A57 from a Pi's A72.
    """
    if not machine.startswith(("aarch64", "arm")):
        return "generic-x86", None
    order = list(PARTS)
    known = sorted((p for p in parts if p in PARTS), key=order.index)
    if known:
        core = PARTS[known[-1]]
    else:
        core = A72 if machine.startswith("aarch64") else A7
    alike = [b for b in BOARDS if b.core is core and (b.name == "jetson-nano") == ("Jetson" in board)]
    alike = alike or [b for b in BOARDS if b.core is core]
    best = min(alike, key=lambda b: abs(b.mhz - mhz)) if mhz else alike[0]
    return best.name, mhz / best.mhz if mhz else None
