#!/usr/bin/env python3
"""Run tests against native code that a sanitizer watches.

    sanitize.py address,undefined tests/native/test_engine.py ...
    sanitize.py thread tests/native/test_reader.py ...

Builds a copy of this checkout in `build/sanitize-...` (so that the checkout's own extensions stay as they
are), with C assertions on, and runs pytest there with the interpreter this tool was started with. Words after
the sanitizer go to pytest.

The thread sanitizer only knows about waits it has seen. gcc's OpenMP library is not instrumented, so that
every barrier of a team would look like a race. With "thread" LLVM's library takes its place, which has the
same entry points, and its tool archer tells the sanitizer what that library does. Debian: libomp-dev.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHES = "/usr/lib/ccache"  # compilers that remember, where Debian's ccache is installed
LEFT_OUT = shutil.ignore_patterns("build", "dist", ".*", "*.so", "*.egg-info", "__pycache__", "_engine.c",
                                  "_kernels.c")


class Missing(Exception):
    """Something a sanitizer needs that this machine does not have."""


def main(argv: Sequence[str]) -> int:
    """Build, run; returns pytest's exit status, or 2 with one line that says what is missing."""
    if not argv or argv[0].startswith("-"):
        print(__doc__.strip())
        return 0 if argv[:1] in (["-h"], ["--help"]) else 2
    sanitizer, tests = argv[0], list(argv[1:])
    try:
        environment = with_threads() if "thread" in sanitizer else with_address()
    except Missing as missing:
        print(f"sanitize: {missing}", file=sys.stderr)
        return 2
    copy = copied(sanitizer)
    environment["DARKFUSE_SANITIZE"] = sanitizer
    built = {k: v for k, v in environment.items() if k != "LD_PRELOAD"}  # compilers are not to be watched
    if Path(CACHES).is_dir():
        built["PATH"] = f"{CACHES}:{built.get('PATH', '')}"
    build = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    subprocess.run(build, cwd=copy, env=built, check=True)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *tests]
    return subprocess.run(command, cwd=copy, env=environment).returncode


def copied(sanitizer: str) -> Path:
    """The sources in a folder of their own, with the checkout's neighbour `shared` beside them."""
    top = ROOT / "build" / ("sanitize-" + sanitizer.replace(",", "-"))
    copy = top / "darkfuse"
    shutil.copytree(ROOT, copy, ignore=LEFT_OUT, dirs_exist_ok=True)
    neighbour = top / "shared"
    if (ROOT.parent / "shared").exists() and not neighbour.exists():
        neighbour.symlink_to(ROOT.parent / "shared")
    return copy


def with_address() -> dict[str, str]:
    """The environment of a Python that was itself built without the address sanitizer."""
    runtime = library("libasan.so")
    # Python keeps what it allocates till it ends: leaks of ours are looked for by tests that count memory
    return {**os.environ, "LD_PRELOAD": str(runtime), "UBSAN_OPTIONS": "print_stacktrace=1",
            "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:handle_segv=0"}


def with_threads() -> dict[str, str]:
    """The environment that links LLVM's OpenMP library and runs it under archer."""
    found = sorted(Path("/usr").glob("lib*/llvm*/lib/libarcher.so"))
    if not found:
        raise Missing("needs LLVM's OpenMP library with archer; on Debian: apt-get install libomp-dev")
    runtime, archer = library("libtsan.so"), found[-1]
    environment = {
        **os.environ,
        "LD_PRELOAD": str(runtime),
        "DARKFUSE_OPENMP": str(archer.with_name("libomp.so.5")),
        "OMP_TOOL_LIBRARIES": str(archer),
        "KMP_BLOCKTIME": "0",  # threads that wait do not spin
        "TSAN_OPTIONS": "ignore_noninstrumented_modules=1:halt_on_error=1",
    }
    prove(environment)
    return environment


def prove(environment: dict[str, str]) -> None:
    """Make sure that it reports the race of a small program, and is silent where there is none."""
    openmp = Path(environment["DARKFUSE_OPENMP"])
    quiet = {k: v for k, v in environment.items() if k != "LD_PRELOAD"}  # the program brings its own
    with tempfile.TemporaryDirectory() as folder:
        program, built = os.path.join(folder, "thread_check"), os.path.join(folder, "thread_check.o")
        source = ROOT / "tests" / "native" / "thread_check.c"
        compiler = ["gcc", "-O1", "-fsanitize=thread"]
        subprocess.run([*compiler, "-fopenmp", "-c", str(source), "-o", built], check=True)
        linked = [built, str(openmp), f"-Wl,-rpath,{openmp.parent}"]
        subprocess.run([*compiler, *linked, "-o", program], check=True)
        race, sound = (subprocess.run([program, *words], env=quiet, capture_output=True, text=True)
                       for words in ([], ["barrier"]))
    if "data race" not in race.stderr or sound.returncode:
        raise Missing("the thread sanitizer cannot be trusted here: it ends with "
                      f"{race.returncode} for a race and with {sound.returncode} for a barrier")


def library(name: str) -> Path:
    """Where gcc finds one of its libraries."""
    if not shutil.which("gcc"):
        raise Missing("needs gcc, which is not installed")
    found = subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True)
    if not os.path.isabs(found.stdout.strip()):
        raise Missing(f"gcc has no {name}")
    return Path(found.stdout.strip())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
