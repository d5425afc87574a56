"""Native build: every kernel source is compiled once per instruction set, then linked into the extensions.

``extra_compile_args`` would apply to a whole extension, so `build_ext` is told here to compile the kernel
sources itself, each into a build folder named after its instruction set. Only these files get ISA flags; the
build host is never probed, so a wheel runs on any machine of its architecture.
"""
from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, LinkError

KERNELS = Path("darkfuse/kernels")
PLAN = Path("darkfuse/plan")
ENGINE = Path("darkfuse/engine")
OBJECTS = Path("build/kernels")  # kept: an editable install's own build folder is a new one each time
MEDIA = Path("darkfuse/media")
PLAIN = {"dispatch.c"}  # compiled once, without ISA flags

SANITIZE = os.environ.get("DARKFUSE_SANITIZE", "")  # for example "address,undefined"
# A sanitizer's checks take the compiler several times as long at -O3, and are no different there
COMMON = ["-std=gnu11", "-O1" if SANITIZE else "-O3", "-fPIC", "-Wall", "-Wextra",
          "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"]
DEBUG = bool(SANITIZE or os.environ.get("DARKFUSE_DEBUG"))  # C asserts its preconditions
if SANITIZE:
    COMMON += [f"-fsanitize={SANITIZE}", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
COMMON += ["-UNDEBUG", "-g"] if DEBUG else ["-DNDEBUG"]
# DARKFUSE_OPENMP: another library than the compiler's that has its entry points
OPENMP = os.environ.get("DARKFUSE_OPENMP", "-fopenmp")
# Warnings are errors in CI only: the next compiler's new warning is not the user's problem.
STRICT = ["-Werror"] if os.environ.get("DARKFUSE_WERROR") else []
LINK = [f"-fsanitize={SANITIZE}"] if SANITIZE else []
LINK += [] if DEBUG else ["-Wl,-s"]  # without symbols a wheel is 8 MB smaller
VARIANT = f"sanitize-{SANITIZE.replace(',', '-')}-" if SANITIZE else "debug-" if DEBUG else ""

# Libraries for the rows of pictures: name, what to link, and a program that needs it. libjpeg-turbo's own
# partial-decoding call tells it from the libjpeg it took over from.
PICTURES = (
    ("JPEG", ["jpeg"], "#include <stdio.h>\n#include <jpeglib.h>", "(int)jpeg_skip_scanlines(0, 0)"),
    ("PNG", ["png", "z"], "#include <png.h>", "(int)png_access_version_number() + PNG_HANDLE_CHUNK_NEVER"),
)

X86 = {
    "generic": [],
    "avx2": ["-mavx2", "-mfma", "-mtune=haswell"],
    "avx512": ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma", "-mprefer-vector-width=512",
               "-mtune=skylake-avx512"],
}
ISAS = {
    "x86_64": X86, "AMD64": X86, "i686": {"generic": []},
    "aarch64": {"generic": [], "neon": [], "a53": ["-mtune=cortex-a53"]},
    "arm64": {"generic": [], "neon": []},
    # 32-bit NEON flushes denormals, so gcc leaves float vectors to scalar code unless told that this may be;
    # what else that flag allows (other orders of sums, reciprocals) is taken back.
    "arm": {"generic": [], "neon": [
        "-march=armv7-a", "-mfpu=neon-vfpv4", "-fno-schedule-insns", "-funsafe-math-optimizations",
        "-fno-associative-math", "-fno-reciprocal-math", "-fsigned-zeros"]},
}
# zig has names of its own for processors, and takes instruction sets of ARM from them
ZIG_FLAGS = {"-mtune=skylake-avx512": "-mtune=skylake_avx512", "-mtune=cortex-a53": "-mtune=cortex_a53",
             "-march=armv7-a": "-mcpu=cortex_a7"}
# The first scheduling pass hides latencies from in-order cores; a kernel that fills the registers, it spills.
EXTRA = dict.fromkeys(("conv_direct.c", "wino_filter.c", "wino_gemm.c", "wino_output.c"), {
    "neon": ["-fno-schedule-insns"], "a53": ["-fno-schedule-insns"]})


class BuildPerIsa(build_ext):
    """`build_ext` that adds the per-ISA kernel objects to every extension."""

    def build_extension(self, ext: Extension) -> None:
        if "-fopenmp" in ext.extra_compile_args and not self.has_openmp():
            ext.extra_compile_args = [word for word in ext.extra_compile_args if word != "-fopenmp"]
            ext.extra_link_args = [word for word in ext.extra_link_args if word != OPENMP]
        if ext.name.startswith("darkfuse.media."):
            self.use_picture_libraries(ext)
        elif not ext.name.startswith("darkfuse.plan."):
            ext.extra_objects = [*self.kernel_objects(), *ext.extra_objects]
        super().build_extension(ext)

    def has_openmp(self) -> bool:
        """Whether the compiler brings OpenMP; `engine/threads.c` has the team's threads otherwise."""
        if os.environ.get("DARKFUSE_NO_OPENMP"):
            return False
        return bool(SANITIZE) or self.links([], "#include <omp.h>", "omp_get_num_threads()", "-fopenmp")

    def use_picture_libraries(self, ext: Extension) -> None:
        """Decode JPEG and PNG ourselves where the libraries' headers are; Pillow does it otherwise."""
        for name, libraries, includes, call in PICTURES:
            if os.environ.get("DARKFUSE_NO_" + name):
                found = False
            else:
                found = self.links(libraries, includes, call)
            if found:
                ext.define_macros = [*ext.define_macros, ("DF_HAVE_" + name, "1")]
                ext.libraries = [*ext.libraries, *libraries]
            print(f"{libraries[0]}: {'used' if found else 'not used'} for pictures")

    def links(self, libraries: list[str], includes: str, call: str, *flags: str) -> bool:
        """Whether a program that uses the libraries can be built."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "try.c")
            source.write_text(f"{includes}\nint main(void) {{ return {call}; }}\n")
            try:
                objects = self.compiler.compile([str(source)], output_dir=folder, extra_postargs=[*flags])
                self.compiler.link_executable(objects, str(Path(folder, "try")), libraries=libraries,
                                              extra_postargs=[*flags])
            except (CompileError, LinkError):
                return False
        return True

    def spelled(self, flags: list[str]) -> list[str]:
        """Flags of gcc as this compiler takes them."""
        foreign = [flag for flag in flags if flag in ZIG_FLAGS]
        if not foreign or self.links([], "", "0", *foreign):
            return flags
        return [ZIG_FLAGS.get(flag, flag) for flag in flags]

    def kernel_objects(self) -> list[str]:
        headers = [p.stat().st_mtime for p in KERNELS.glob("*.h")] + [Path(__file__).stat().st_mtime]
        isas = {name: self.spelled(flags) for name, flags in ISAS.get(self.target(), {"generic": []}).items()}
        have = [f"-DDF_HAVE_{name.upper()}=1" for name in isas]
        objects, stale = [], []
        for source in sorted(KERNELS.glob("*.c")):
            if source.name.startswith("_"):  # what Cython writes
                continue
            plain = source.name in PLAIN
            for name, flags in ({"plain": have} if plain else isas).items():
                folder = OBJECTS / self.plat_name / (VARIANT + name)
                target = folder / source.with_suffix(".o")
                objects.append(str(target))
                newest = max([source.stat().st_mtime, *headers])
                if not self.force and target.exists() and target.stat().st_mtime > newest:
                    continue
                defines = [] if plain else [f"-DDF_ISA={name}", f"-DDF_ISA_{name.upper()}=1"]
                extra = EXTRA.get(source.name, {}).get(name, [])
                stale.append((source, folder, [*COMMON, *STRICT, *flags, *extra, *defines]))
        for folder in {target.parent for target in map(Path, objects)}:
            folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # each waits for a compiler of its own
            list(pool.map(self.compile_kernel, stale))
        return objects

    def target(self) -> str:
        """The architecture the compiler makes code for: a 64-bit kernel may carry a 32-bit system."""
        try:
            triple = subprocess.run([*self.compiler.compiler, "-dumpmachine"], check=True,
                                    capture_output=True, text=True).stdout
        except (AttributeError, OSError, subprocess.CalledProcessError):  # no compiler of the GNU kind
            return platform.machine()
        found = triple.split("-")[0]
        return "arm" if found.startswith("arm") and found != "arm64" else found

    def compile_kernel(self, job: tuple[Path, Path, list[str]]) -> None:
        source, folder, flags = job
        self.compiler.compile([str(source)], output_dir=str(folder), include_dirs=[str(KERNELS)],
                              extra_postargs=flags)


def extension(name: str, sources: list[Path]) -> Extension:
    depends = [str(p) for p in [*KERNELS.glob("*.[ch]"), *ENGINE.glob("*.h"), *ENGINE.glob("*.pxi")]
               if not p.name.startswith("_")]
    link = [OPENMP, "-lpthread", "-lm", *LINK]
    return Extension(
        name, [str(s) for s in sources], include_dirs=[str(KERNELS), str(ENGINE)], depends=depends,
        extra_compile_args=[*COMMON, *STRICT, "-fopenmp"], extra_link_args=link,
    )


extensions = []
if (KERNELS / "_kernels.pyx").exists():
    extensions.append(extension("darkfuse.kernels._kernels", [KERNELS / "_kernels.pyx"]))
if (ENGINE / "_engine.pyx").exists():
    extensions.append(extension("darkfuse.engine._engine", [
        ENGINE / "_engine.pyx", *[p for p in sorted(ENGINE.glob("*.c")) if not p.name.startswith("_")]]))

for source in sorted(PLAN.glob("*/_*.pyx")):  # loops of the planner that would take Python too long
    extensions.append(Extension(".".join(source.with_suffix("").parts), [str(source)],
                                extra_compile_args=[*COMMON, *STRICT],
                                extra_link_args=LINK))

if (MEDIA / "_rows.pyx").exists():
    media = extension("darkfuse.media._rows", [
        MEDIA / "_rows.pyx", *[p for p in sorted(MEDIA.glob("*.c")) if not p.name.startswith("_")]])
    media.include_dirs.append(str(MEDIA))
    media.depends += [str(p) for p in MEDIA.glob("*.h")]
    media.extra_link_args = [word for word in media.extra_link_args if word != OPENMP]
    media.extra_compile_args = [word for word in media.extra_compile_args if word != "-fopenmp"]
    extensions.append(media)

# cfg/ and weights/ lie beside the package in the tree and inside it in a wheel, so that a bare
# `darkfuse detect photo.jpg` finds the model that comes with it. An editable install leaves them where they
# are: setuptools would map them with an import hook, which type checkers and editors do not follow; without
# them it writes the tree's path into a .pth file, which they do.
SHIPPED = {} if "editable_wheel" in sys.argv else {"darkfuse.cfg": "cfg", "darkfuse.weights": "weights"}
setup(
    packages=[*find_packages(include=["darkfuse*"]), *SHIPPED],
    package_dir={"": ".", **SHIPPED},
    package_data={
        "": ["py.typed", "*.pyi", "*.html", "*.jpg"],
        "darkfuse.cfg": ["*.cfg", "*.names"],
        "darkfuse.weights": ["darkfuse-voc7.weights", "*.names", "*.md"],
    },
    cmdclass={"build_ext": BuildPerIsa},
    ext_modules=cythonize(extensions, language_level=3, build_dir="build/cython",
                          compiler_directives={"boundscheck": True, "wraparound": False, "cdivision": True}),
)
