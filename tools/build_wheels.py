#!/usr/bin/env python3
"""Wheels for boards from one machine, with what is at hand: a cross compiler, no containers, no board.

    tools/build_wheels.py [x86_64 aarch64 armv7l x86_64-musl aarch64-musl armv7l-musl] [--out dist]

glibc wheels come from Debian's gcc for that processor (apt-get install gcc gcc-aarch64-linux-gnu
gcc-arm-linux-gnueabihf), so they ask for the glibc of the Debian they are built on; musl wheels from
zig's clang (pip install ziglang). libjpeg-turbo, libpng and zlib are built from Debian's source packages
(with cmake; nasm for x86-64) and linked in, and Python's headers of the processor are Debian's. All of this
is unpacked below --cache, nothing is installed. auditwheel names the oldest system that each wheel runs on.
Releases for all Pythons are built by cibuildwheel (pyproject.toml).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


class Target(NamedTuple):
    """A platform: its processor, Debian's name of that, the compiler, what extensions are named after."""

    processor: str
    debian: str
    compiler: str
    triple: str
    zig: bool = False


TARGETS = {
    "x86_64": Target("x86_64", "amd64", "gcc", "x86_64-linux-gnu"),
    "aarch64": Target("aarch64", "arm64", "aarch64-linux-gnu-gcc", "aarch64-linux-gnu"),
    "armv7l": Target("armv7l", "armhf", "arm-linux-gnueabihf-gcc", "arm-linux-gnueabihf"),
    "x86_64-musl": Target("x86_64", "amd64", "x86_64-linux-musl", "x86_64-linux-musl", True),
    "aarch64-musl": Target("aarch64", "arm64", "aarch64-linux-musl", "aarch64-linux-musl", True),
    "armv7l-musl": Target("armv7l", "armhf", "arm-linux-musleabihf", "arm-linux-musleabihf", True),
}
CACHE = Path.home() / ".cache" / "darkfuse" / "wheels"
SOURCES = ("libjpeg-turbo", "libpng1.6", "zlib")


def run(command: list[str], **options: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, **options)  # type: ignore[call-overload]
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command[:4]))} ...: status {done.returncode}\n"
                         f"{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


class Debian:
    """Debian's archive for another processor, with lists of its own: the system's stay as they are."""

    def __init__(self, cache: Path, processor: str) -> None:
        self.folder = cache / f"debian-{processor}"
        (self.folder / "lists" / "partial").mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        parts = self.folder / "parts"
        parts.mkdir(exist_ok=True)
        for listed in (*Path("/etc/apt").glob("*.list"), *Path("/etc/apt/sources.list.d").glob("*.*")):
            text = listed.read_text()
            if listed.suffix == ".list":
                text += text.replace("deb ", "deb-src ")
            (parts / listed.name).write_text(text.replace("Types: deb\n", "Types: deb deb-src\n"))
        settings = {"APT::Architecture": processor, "APT::Architectures": processor,
                    "APT::Sandbox::User": "root",
                    "Dir::State::Lists": self.folder / "lists", "Dir::State::Status": self.folder / "status",
                    "Dir::Etc::SourceList": "/dev/null", "Dir::Etc::SourceParts": parts}
        self.options = ["-qq", *(f"-o{key}={value}" for key, value in settings.items())]

    def get(self, verb: list[str], packages: list[str], folder: Path) -> None:
        lists = self.folder / "lists"
        if not any(lists.glob("*_Packages*")):
            done = subprocess.run(["apt-get", *self.options, "update"], capture_output=True, text=True)
            if not any(lists.glob("*_Packages*")):  # a suite alone can be done without
                raise SystemExit(f"apt-get update: {done.stderr.strip()}")
        folder.mkdir(parents=True, exist_ok=True)
        run(["apt-get", *self.options, *verb, *packages], cwd=folder)


def suite() -> str:
    """The name of this Debian."""
    lines = Path("/etc/os-release").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)["VERSION_CODENAME"]


def headers(cache: Path, target: Target) -> Path:
    """A folder with Python's headers as the target's Debian has them."""
    root = cache / f"python-{target.debian}"
    if not (root / "usr" / "include" / f"python{PYTHON}" / "Python.h").exists():
        debs = cache / f"debs-{target.debian}"
        Debian(cache, target.debian).get(["download"], [f"libpython{PYTHON}-dev"], debs)
        for deb in debs.glob("*.deb"):
            run(["dpkg-deb", "-x", str(deb), str(root)])
    return root / "usr" / "include"


def wrapper(cache: Path, name: str, target: Target) -> Path:
    """The compiler as one command that finds Python's headers and the picture libraries of the target."""
    prefix, include = cache / name, headers(cache, target)
    version = f"python{PYTHON}"
    command = f"'{sys.executable}' -m ziglang cc -target {target.compiler}" if target.zig else target.compiler
    # Debian's pyconfig.h only leads to the one of the processor, by a name that has glibc in it
    place = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu", "armhf": "arm-linux-gnueabihf"}
    script = prefix / "cc"
    (prefix / "include").mkdir(parents=True, exist_ok=True)
    (prefix / "lib").mkdir(exist_ok=True)
    shutil.copytree(include / version, prefix / "include" / version, dirs_exist_ok=True)
    shutil.copyfile(include / place[target.debian] / version / "pyconfig.h",
                    prefix / "include" / version / "pyconfig.h")
    script.write_text(f"#!/bin/sh\nexec {command} -I'{prefix}/include/{version}' -I'{prefix}/include' \"$@\""
                      f" -L'{prefix}/lib'\n")
    script.chmod(0o755)
    return script


def archive(name: str, prefix: Path, cc: Path, ar: list[str], sources: list[Path], flags: list[str]) -> None:
    objects = prefix / f"objects-{name}"
    objects.mkdir(exist_ok=True)
    for source in sources:
        run([str(cc), "-O2", "-fPIC", *flags, "-c", str(source), "-o", str(objects / f"{source.stem}.o")])
    run([*ar, "rcs", str(prefix / "lib" / f"lib{name}.a"), *sorted(map(str, objects.glob("*.o")))])


def picture_libraries(cache: Path, name: str, target: Target, cc: Path) -> None:
    """zlib, libpng and libjpeg-turbo as static libraries in the wrapper's folder."""
    prefix = cache / name
    if (prefix / "lib" / "libjpeg.a").exists():
        return
    if not (cache / "zlib").exists():
        Debian(cache, "amd64").get(["source", "--download-only", "-t", suite()], list(SOURCES),
                                   cache / "sources")
        for source in SOURCES:
            described = next((cache / "sources").glob(f"{source}_*.dsc"))
            run(["dpkg-source", "-x", str(described), str(cache / source)])
    ar = [sys.executable, "-m", "ziglang", "ar"] if target.zig else [target.compiler.replace("gcc", "ar")]
    zlib, png = cache / "zlib", cache / "libpng1.6"
    archive("z", prefix, cc, ar, [p for p in sorted(zlib.glob("*.c")) if not p.name.startswith("gz")],
            ["-DHAVE_UNISTD_H=1", "-DHAVE_STDARG_H=1"])
    for header in (*zlib.glob("*.h"), *png.glob("*.h")):
        shutil.copy(header, prefix / "include")
    shutil.copy(png / "scripts" / "pnglibconf.h.prebuilt", prefix / "include" / "pnglibconf.h")
    archive("png", prefix, cc, ar, [p for p in sorted(png.glob("png*.c")) if p.stem != "pngtest"],
            ["-DPNG_ARM_NEON_OPT=0", "-DPNG_INTEL_SSE_OPT=0"])
    build = prefix / "jpeg"
    run(["cmake", "-S", str(cache / "libjpeg-turbo"), "-B", str(build), "-DENABLE_SHARED=OFF",
         "-DWITH_TURBOJPEG=OFF", "-DCMAKE_POSITION_INDEPENDENT_CODE=ON", "-DCMAKE_BUILD_TYPE=Release",
         "-DCMAKE_SYSTEM_NAME=Linux",
         f"-DCMAKE_SYSTEM_PROCESSOR={target.processor}", f"-DCMAKE_C_COMPILER={cc}",
         f"-DCMAKE_AR={shutil.which(ar[0]) if len(ar) == 1 else zig_ar(prefix)}",
         f"-DWITH_SIMD={'OFF' if target.zig else 'ON'}"])
    run(["cmake", "--build", str(build), "--target", "jpeg-static"])
    for header in (*(cache / "libjpeg-turbo").glob("j*.h"), build / "jconfig.h"):
        shutil.copy(header, prefix / "include")
    shutil.copy(build / "libjpeg.a", prefix / "lib")


def zig_ar(prefix: Path) -> Path:
    script = prefix / "ar"
    script.write_text(f"#!/bin/sh\nexec '{sys.executable}' -m ziglang ar \"$@\"\n")
    script.chmod(0o755)
    return script


def build(name: str, cache: Path, out: Path) -> Path:
    """The wheel of one target, named by auditwheel."""
    target = TARGETS[name]
    cc = wrapper(cache, name, target)
    picture_libraries(cache, name, target, cc)
    tree, raw = cache / name / "tree", cache / name / "raw"
    for folder in (tree, raw):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    archive_tree = ["git", "-C", str(ROOT), "archive", "HEAD"]
    packed = subprocess.run(archive_tree, check=True, stdout=subprocess.PIPE).stdout
    subprocess.run(["tar", "-x", "-C", str(tree)], input=packed, check=True)
    tag = sysconfig.get_config_var("SOABI").split("-")[1]
    environment = {
        **os.environ, "CC": str(cc),
        # C calls no destructors while an error passes; tables for that are a twentieth of a module
        "CFLAGS": "-fno-asynchronous-unwind-tables " + os.environ.get("CFLAGS", ""),
        # Else each module has all of clang's run-time library, 200 KB on armv7
        "LDSHARED": f"{cc} -shared -Wl," + ("--gc-sections" if target.zig else "--exclude-libs,ALL"),
        "_PYTHON_HOST_PLATFORM": f"linux-{target.processor}",
        "SETUPTOOLS_EXT_SUFFIX": f".cpython-{tag}-{target.triple}.so",
    }
    if target.zig:
        environment["DARKFUSE_NO_OPENMP"] = "1"
    print(f"{name}: building", flush=True)
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(raw), str(tree)],
        env=environment)
    (wheel,) = raw.glob("*.whl")
    libraries = {"LD_LIBRARY_PATH": f"/usr/{target.triple}/lib"} if name in ("aarch64", "armv7l") else {}
    # musl's loader takes `libc.so` for itself, and this machine has no other
    musl = ["--exclude", "libc.so"] if target.zig else []
    run(["auditwheel", "repair", "-z", "9", *musl, "-w", str(out), str(wheel)],
        env={**os.environ, **libraries, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"})
    return max(out.glob("*.whl"), key=lambda path: path.stat().st_mtime)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"default: all of {', '.join(TARGETS)}")
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--cache", type=Path, default=CACHE)
    args = parser.parse_args()
    unknown = [name for name in args.targets if name not in TARGETS]
    if unknown:
        parser.error(f"no such target: {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    args.out.mkdir(parents=True, exist_ok=True)
    args.cache.mkdir(parents=True, exist_ok=True)
    for name in args.targets or TARGETS:
        wheel = build(name, args.cache.resolve(), args.out.resolve())
        print(f"{name}: {wheel.name}, {wheel.stat().st_size / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    main()
