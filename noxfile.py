"""The test tiers, as CI runs them: `nox -s fast`, `native`, `system`, `peers`; `nox` alone runs fast.

A tier says what it skips and why. `.ci/run` installs the Debian packages they use and runs all of them.
"""

from __future__ import annotations

import os
from pathlib import Path

import nox

nox.options.sessions = ["fast"]
nox.options.reuse_existing_virtualenvs = True
nox.needs_version = ">=2024.4"

# What DARKFUSE_SANITIZE builds are tested with: everything that runs native code of ours
WATCHED = ["tests/native/test_engine.py", "tests/native/test_reader.py", "tests/native/test_fused.py"]
TEAM = ["tests/native/test_reader.py", "tests/native/test_team.py"]


def pytest(session: nox.Session, *words: str) -> None:
    session.run("python", "-m", "pytest", *words, *session.posargs)


def install(session: nox.Session, *extras: str) -> None:
    """The package in place, once for each environment; C warnings are errors."""
    session.install("-q", "-e", f".[{','.join(extras)}]", env={"DARKFUSE_WERROR": "1"})


@nox.session
def fast(session: nox.Session) -> None:
    """Lint, types, C's look and the unit tests: at most three minutes."""
    install(session, "test", "dev")
    lint(session)
    pytest(session, "-q", "-m", "not slow", "tests/unit")


def lint(session: nox.Session) -> None:
    session.run("ruff", "check", "-q", ".")
    session.run("mypy")
    ours = [*Path("darkfuse").glob("**/[!_]*.[ch]"), *Path("tests/native").glob("*.[ch]")]  # _*: Cython's
    session.run("clang-format", "--dry-run", "--Werror", *sorted(map(str, ours)))


@nox.session
def native(session: nox.Session) -> None:
    """Kernels and engine, then under three sanitizers, then for other architectures."""
    install(session, "test", "dev")
    pytest(session, "-q", "tests/native")
    session.run("python", "tools/sanitize.py", "address,undefined", "-q", *WATCHED)
    session.run("python", "tools/sanitize.py", "thread", "-q", *TEAM)
    install_cross = ["--install"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    session.run("python", "tools/cross_check.py", *install_cross)


@nox.session
def system(session: nox.Session) -> None:
    """The whole program: real memory cgroups without swap, predictions against VmHWM, browser, window."""
    install(session, "test")
    pytest(session, "-q", "tests/system")
    pytest(session, "-q", "-m", "slow", "tests/unit")  # whole networks
    session.run("python", "tools/check_prediction.py", "darkfuse-voc7", "yolov2", "--plans", "6")


@nox.session
def peers(session: nox.Session) -> None:
    """Other programs as witnesses: those of the extra [bench] that this platform has wheels for."""
    install(session, "test", "bench")
    pytest(session, "-q", "tests/peers")
