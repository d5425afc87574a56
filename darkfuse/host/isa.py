"""Names of instruction sets that kernels are compiled for, as `--isa` takes them."""

from __future__ import annotations

ISAS = ("generic", "avx2", "avx512", "neon", "a53")
