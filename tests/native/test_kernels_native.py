"""Kernels below Python: objects that hold no foreign instruction, and sanitizers over random shapes."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from darkfuse.kernels import _kernels

ZMM, MASK, YMM, VEX = r"%zmm", r"%k[0-7]\b|%[xyz]mm(1[6-9]|2\d|3[01])\b", r"%ymm", r"\tv[a-z0-9]+ .*%xmm"
# what may not appear in an object of each x86 instruction set
FOREIGN = {"generic": (ZMM, MASK, YMM, VEX), "avx2": (ZMM, MASK)}


def tool(name: str) -> str:
    path = shutil.which(name)
    if not path:
        pytest.skip(f"{name} is not installed")
    return path


@pytest.fixture(scope="module")
def build_settings(root):
    """Flags of setup.py, as `tools/cross_check.py` reads them."""
    sys.path.insert(0, str(root))
    from tools.cross_check import build_settings as read

    return read()


def compile_all(folder: Path, root: Path, settings: dict, extra: list[str]) -> list[Path]:
    """Objects of every kernel source for this machine, `folder`/<isa>/<source>.o."""
    kernels = root / "darkfuse" / "kernels"
    isas = settings["ISAS"].get(platform.machine(), {"generic": []})
    objects, running = [], []
    for source in sorted(kernels.glob("*.c")):
        if source.name.startswith("_"):
            continue
        jobs = {isa: [*flags, f"-DDF_ISA={isa}"] for isa, flags in isas.items()}
        if source.name in settings["PLAIN"]:
            jobs = {"plain": [f"-DDF_HAVE_{isa.upper()}=1" for isa in isas]}
        for isa, flags in jobs.items():
            (folder / isa).mkdir(exist_ok=True)
            target = folder / isa / (source.stem + ".o")
            command = [tool("gcc"), *settings["COMMON"], *extra, *flags, "-Werror", f"-I{kernels}", "-c",
                       str(source), "-o", str(target)]
            running.append(subprocess.Popen(command))
            objects.append(target)
            if len(running) >= (os.cpu_count() or 1):
                assert running.pop(0).wait() == 0
    assert all(process.wait() == 0 for process in running)
    return objects


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="x86 objects")
def test_no_instruction_of_a_higher_isa(root, build_settings, tmp_path):
    """Generic objects hold nothing past SSE2, AVX2's nothing of AVX-512; a CPU without would die on them."""
    objdump = tool("objdump")
    seen = {"generic": "", "plain": "", "avx2": "", "avx512": ""}
    for target in compile_all(tmp_path, root, build_settings, []):
        listing = subprocess.run([objdump, "-d", "--no-show-raw-insn", str(target)], check=True,
                                 capture_output=True, text=True).stdout
        seen[target.parent.name] += listing
        for pattern in FOREIGN.get(target.parent.name.replace("plain", "generic"), ()):
            found = re.search(f".*({pattern}).*", listing)
            assert not found, f"{target.parent.name}/{target.name}: {found and found[0].strip()}"
    # the patterns do recognise what they look for
    assert re.search(ZMM, seen["avx512"]) and re.search(MASK, seen["avx512"])
    assert re.search(YMM, seen["avx2"]) and re.search(VEX, seen["avx2"])


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="x86 registers")
@pytest.mark.parametrize("isa, tile", [("avx2", (6, 2)), ("avx512", (14, 2))])
@pytest.mark.parametrize("source", ["conv_direct", "conv_first"])
def test_accumulators_stay_in_registers(root, build_settings, tmp_path, isa, tile, source):
    from tools.cross_check import inner_loop

    kernels = root / "darkfuse" / "kernels"
    target = tmp_path / "direct.o"
    flags = build_settings["ISAS"]["x86_64"][isa]
    subprocess.run([tool("gcc"), *build_settings["COMMON"], *flags, f"-DDF_ISA={isa}", f"-I{kernels}", "-c",
                    str(kernels / f"{source}.c"), "-o", str(target)], check=True)
    listing = subprocess.run([tool("objdump"), "-d", "--no-show-raw-insn", str(target)], check=True,
                             capture_output=True, text=True).stdout
    loop = inner_loop(listing, f"tile_{tile[0]}x{tile[1]}_one", r"\tvfmadd")
    assert sum("vfmadd" in line for line in loop) == tile[0] * tile[1]
    assert not [line for line in loop if re.search(r"%r[sb]p\)", line)]


@pytest.mark.slow
def test_sanitizers_over_random_shapes(root, build_settings, tmp_path):
    """Address and undefined behaviour sanitizers, every buffer an allocation of its exact size."""
    sanitize = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    objects = compile_all(tmp_path, root, build_settings, sanitize)
    program = tmp_path / "kernel_check"
    subprocess.run([tool("gcc"), *build_settings["COMMON"], *sanitize, f"-I{root / 'darkfuse' / 'kernels'}",
                    str(root / "tests" / "native" / "kernel_check.c"), *map(str, objects), "-lm",
                    "-o", str(program)], check=True)
    done = subprocess.run([str(program), "150"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for isa in _kernels.available():
        assert f"{isa}(" in done.stdout
