"""The build backend (PEP 517): setuptools', which is given a compiler where the machine has none.

pip asks first what a build needs, then installs that, then builds. Where no C compiler is found the first
answer names `ziglang`, a compiler that comes as a package, and the build uses it; on machines that it has no
package for, and where Python's headers are missing, the build ends with two lines that say what to install.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import sys
import sysconfig
from pathlib import Path

from setuptools import build_meta
from setuptools.build_meta import (  # noqa: F401 (what pip calls)
    build_sdist,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

ZIG = "ziglang>=0.13,<0.18"
ZIG_MACHINES = ("x86_64", "aarch64", "armv7l", "i686", "ppc64le", "riscv64", "s390x")  # it has packages for


def compiler() -> str | None:
    """The command of a C compiler that is there: $CC, the one Python was built with, or a usual name."""
    for words in (os.environ.get("CC"), sysconfig.get_config_var("CC"), "cc", "gcc", "clang"):
        if words and shutil.which(shlex.split(words)[0]):
            return words
    return None


def has_headers() -> bool:
    """Whether Python.h is there, in Python's own folder or in one that CPPFLAGS or CFLAGS name."""
    flags = shlex.split(f"{os.environ.get('CPPFLAGS', '')} {os.environ.get('CFLAGS', '')}")
    named = [flag[2:] for flag in flags if flag.startswith("-I")]
    return any(Path(folder, "Python.h").exists() for folder in [sysconfig.get_paths()["include"], *named])


def missing() -> str | None:
    """What keeps this machine from building darkfuse, in two lines: what is missing, and how to get it."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    if not has_headers():
        return (f"darkfuse: Python's C headers (Python.h) are missing, and no wheel fits this machine.\n"
                f"Install them: apt-get install {version}-dev (Fedora: python3-devel, Alpine: python3-dev).")
    if not compiler() and platform.machine() not in ZIG_MACHINES:
        return ("darkfuse: there is no C compiler, and no wheel fits this machine.\n"
                "Install one: apt-get install gcc libc6-dev (Fedora: gcc, Alpine: build-base).")
    return None


def needs(config_settings: dict | None = None) -> list[str]:
    """Packages to build with, beside those of pyproject.toml."""
    lack = missing()
    if lack:
        raise SystemExit(lack)
    return [] if compiler() else [ZIG]


get_requires_for_build_wheel = get_requires_for_build_editable = needs


def use_compiler() -> None:
    """Name the compiler to setuptools, which would take the one that Python was built with."""
    lack = missing()
    if lack:
        raise SystemExit(lack)
    words = compiler()
    if words is None:
        words = f"{shlex.quote(sys.executable)} -m ziglang cc"
        os.environ["CC"], os.environ["LDSHARED"] = words, f"{words} -shared"
    elif words != sysconfig.get_config_var("CC") and "CC" not in os.environ:
        os.environ["CC"], os.environ["LDSHARED"] = words, f"{words} -shared"


def build_wheel(wheel_directory: str, config_settings: dict | None = None,
                metadata_directory: str | None = None) -> str:
    use_compiler()
    return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(wheel_directory: str, config_settings: dict | None = None,
                   metadata_directory: str | None = None) -> str:
    use_compiler()
    return build_meta.build_editable(wheel_directory, config_settings, metadata_directory)
