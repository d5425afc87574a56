"""A Python whose C library is musl, as Alpine's is, for x86-64: built below a cache, nothing is installed.

musl and Python's source are Debian's packages; gcc is the system's, led to musl's headers, libraries and
loader by a specs file. Pillow and psutil are the index's own musllinux wheels.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tools.build_wheels import PYTHON, TARGETS, Debian, picture_libraries, run, suite, wrapper

NAME = "x86_64-musl"


def musl_gcc(cache: Path) -> str:
    """A command that compiles for musl, and links what it makes to the musl below `cache`."""
    root = cache / f"root-{NAME}"
    specs, script = root / "musl-gcc.specs", root / "cc"
    if not script.exists():
        debs = cache / f"debs-root-{NAME}"
        Debian(cache, "amd64").get(["download"], ["musl", "musl-dev"], debs)
        for deb in debs.glob("*.deb"):
            run(["dpkg-deb", "-x", str(deb), str(root)])
        folder = root / "usr" / "lib" / "x86_64-linux-musl"
        # Without it a linker takes libc.a, and a Python with that loads no extension
        (folder / "libc.so").symlink_to(root / "lib" / "x86_64-linux-musl" / "libc.so")
        text = (folder / "musl-gcc.specs").read_text()
        text = re.sub(r"/usr/(include|lib)/x86_64-linux-musl", rf"{root}/usr/\1/x86_64-linux-musl", text)
        specs.write_text(text.replace("/lib/ld-musl-x86_64.so.1", f"{root}/lib/ld-musl-x86_64.so.1"))
        script.write_text("#!/bin/sh\n# Extensions are named after what this says, and headers looked for\n"
                          'case "$*" in -print-multiarch|--print-multiarch)'
                          ' exec echo x86_64-linux-musl;; esac\n'
                          f"exec gcc \"$@\" -specs='{specs}'\n")
        script.chmod(0o755)
    return str(script)


def musl_python(cache: Path) -> Path:
    """The interpreter, built where it is not there yet: some minutes of one core."""
    folder = cache / f"python-{NAME}"
    interpreter = folder / "python"
    if not (folder / "pybuilddir.txt").exists():
        libraries = cache / NAME  # zlib, as the wheel has it
        picture_libraries(cache, NAME, TARGETS[NAME], wrapper(cache, NAME, TARGETS[NAME]))
        Debian(cache, "amd64").get(["source", "--download-only", "-t", suite()], [f"python{PYTHON}"],
                                   cache / "sources")
        if not (folder / "configure").exists():
            described = next((cache / "sources").glob(f"python{PYTHON}_*.dsc"))
            run(["dpkg-source", "-x", str(described), str(folder)])
        print(f"building Python {PYTHON} with musl", flush=True)
        environment = {**os.environ, "CC": musl_gcc(cache), "CPPFLAGS": f"-idirafter {libraries}/include",
                       "LDFLAGS": f"-L{libraries}/lib", "PKG_CONFIG": "false"}
        # The wheels' zlib has no gzread, which is all that configure looks for, and no module asks for
        run(["./configure", "--without-ensurepip", "--disable-test-modules", "ac_cv_lib_z_gzread=yes"],
            cwd=folder, env=environment)
        if sys.version_info < (3, 12):  # whose setup.py looks for headers where glibc's are
            listed = (folder / "Modules" / "Setup.stdlib").read_text().splitlines(keepends=True)
            (folder / "Modules" / "Setup.local").write_text("".join(x for x in listed if "expat" not in x))
        run(["make", "all"], cwd=folder, env=environment)
    said = run([str(interpreter), "-c", "import sys, zlib; print(sys.version_info[:2])"])
    assert said.strip() == str(sys.version_info[:2]), said
    return interpreter


def musl_packages(cache: Path) -> Path:
    """A folder with the index's Pillow and psutil for musl."""
    folder = cache / f"packages-{NAME}"
    if not (folder / "PIL").exists():
        command = [sys.executable, "-m", "pip", "install", "-q", "--target", str(folder),
                   "--only-binary=:all:", "--platform", "musllinux_1_2_x86_64", "--python-version", PYTHON,
                   "--implementation", "cp", "pillow", "psutil"]
        subprocess.run(command, check=True)
    return folder
