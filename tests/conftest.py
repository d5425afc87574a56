"""Fixtures all tests share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import profiles  # noqa: F401  (loads the profile before any test module is read)
import pytest

ROOT = Path(__file__).resolve().parent.parent

# A shell starts `command &` with Ctrl-C ignored, and children inherit that: tests that press it need it back.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def command(root: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a tool, `command("make_weights", ...)`, or the command itself, `command("darkfuse", ...)`.

    Keyword arguments are `subprocess.run`'s. Whatever it prints is kept as text; no status raises.
    """

    def run(name: str, *words: object, **options: Any) -> subprocess.CompletedProcess[str]:
        program = ["-m", "darkfuse"] if name == "darkfuse" else [str(root / "tools" / f"{name}.py")]
        environment = {**options.pop("env", os.environ), "PYTHONPATH": str(root)}
        line = [sys.executable, *program, *map(str, words)]
        return subprocess.run(line, env=environment, capture_output=True, text=True, **options)

    return run


@pytest.fixture(scope="session")
def shared() -> Path:
    """Material kept beside the repository: models, reference outputs of Darknet, images."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("../shared is not there: no reference models or outputs to compare with")
    return folder


@pytest.fixture(scope="session")
def reference_weights(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Weights of a model in `shared/models`: its own, or the seeded ones the references were made with."""
    folder = tmp_path_factory.mktemp("weights")

    def find(model: str) -> Path:
        kept, made = (place / f"{model}.weights" for place in (shared / "models", folder))
        if kept.exists():
            return kept
        if not made.exists():
            cfg = shared / "models" / f"{model}.cfg"
            subprocess.run([sys.executable, shared / "tools" / "make_weights.py", cfg, made], check=True,
                           capture_output=True)
        return made

    return find
