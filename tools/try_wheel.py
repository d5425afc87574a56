#!/usr/bin/env python3
"""Find the cat with a wheel for another system, on this machine.

    tools/try_wheel.py dist/darkfuse-*manylinux*_{aarch64,armv7l}.whl dist/darkfuse-*musllinux*_x86_64.whl

For aarch64 and armv7l, Debian's Python and Pillow of it run under qemu (apt-get install qemu-user). For
musl on x86-64, a Python is built with it, which takes some minutes once (tools/musl_python.py). All of
that is below --cache; nothing is installed, nothing else changes. The wheel is unpacked as pip would, so
that what it finds it brought. Status 1 where no cat is found.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a plain checkout is enough to run this

from tools.build_wheels import CACHE, PYTHON, ROOT, TARGETS, Debian, run
from tools.musl_python import musl_packages, musl_python

QEMU = {"aarch64": "qemu-aarch64", "armv7l": "qemu-arm"}


def emulated_python(cache: Path, name: str) -> Path:
    """A command that runs Debian's Python for a processor, helpers that it starts included."""
    target, qemu = TARGETS[name], shutil.which(QEMU[name])
    if qemu is None:
        raise SystemExit(f"there is no {QEMU[name]}: apt-get install qemu-user")
    root = cache / f"root-{target.debian}"
    command = root / "usr" / "bin" / "python-emulated"
    if not command.exists():
        debs = cache / f"debs-root-{target.debian}"
        (debs / "archives" / "partial").mkdir(parents=True, exist_ok=True)
        packages = [f"python{PYTHON}-minimal", f"python{PYTHON}", "python3-pil", "libgomp1"]
        words = [f"-oDir::Cache={debs}", "--no-install-recommends", "--download-only", "-y", "install"]
        Debian(cache, target.debian).get(words, packages, debs)
        for deb in (debs / "archives").glob("*.deb"):
            run(["dpkg-deb", "-x", str(deb), str(root)])
        interpreter = root / "usr" / "bin" / f"python{PYTHON}"
        command.write_text(f"#!/bin/sh\nexec '{qemu}' -0 '{command}' -L '{root}' '{interpreter}' \"$@\"\n")
        command.chmod(0o755)
    return command


def python(cache: Path, wheel: Path) -> tuple[Path, Path]:
    """The Python that a wheel is for, and a folder with Pillow for it."""
    platform = wheel.stem.rsplit("-", 1)[1]
    if platform.startswith("musllinux") and platform.endswith("_x86_64"):
        return musl_python(cache), musl_packages(cache)
    names = [name for name in QEMU if platform.startswith("manylinux") and platform.endswith(f"_{name}")]
    if not names:
        raise SystemExit(f"{wheel.name}: no Python to be had here for {platform}")
    command = emulated_python(cache, names[0])
    return command, command.parents[1] / "lib" / "python3" / "dist-packages"


def finds_the_cat(wheel: Path, cache: Path) -> bool:
    """Whether `darkfuse detect` of the wheel finds the sample's cat; shows what it says."""
    command, pillow = python(cache, wheel)
    with tempfile.TemporaryDirectory(prefix="darkfuse-wheel-") as folder:
        zipfile.ZipFile(wheel).extractall(folder)
        words = [str(command), "-P", "-m", "darkfuse", "detect", str(ROOT / "docs" / "images" / "cat.jpg"),
                 "--no-draw", "--stats", "--mem", "192M", "--threads", "2"]
        done = subprocess.run(words, capture_output=True, text=True, cwd=folder,
                              env={**os.environ, "PYTHONPATH": f"{folder}:{pillow}"})
    print(f"{wheel.name}: status {done.returncode}\n{done.stdout}{done.stderr}", flush=True)
    return done.returncode == 0 and "cat:" in done.stdout


def main() -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("wheels", nargs="+", type=Path, metavar="WHEEL")
    parser.add_argument("--cache", type=Path, default=CACHE)
    args = parser.parse_args()
    return 0 if all([finds_the_cat(wheel.resolve(), args.cache.resolve()) for wheel in args.wheels]) else 1


if __name__ == "__main__":
    sys.exit(main())
