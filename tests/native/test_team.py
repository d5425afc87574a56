"""The team of a build without OpenMP: `darkfuse/engine/threads.c`, compiled on its own."""

from __future__ import annotations

import resource
import shutil
import subprocess
from pathlib import Path

import pytest


def build(root: Path, folder: Path, *flags: str) -> Path:
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed")
    program = folder / "team_check"
    engine = root / "darkfuse" / "engine"
    command = ["gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", *flags, f"-I{engine}",
               f"-I{root / 'darkfuse' / 'kernels'}", str(root / "tests" / "native" / "team_check.c"),
               str(engine / "threads.c"), "-lpthread", "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode and "sanitize" in " ".join(flags) and "cannot find" in done.stderr:
        pytest.skip("the sanitizer's library is not installed")
    assert done.returncode == 0, done.stderr
    return program


@pytest.mark.parametrize("sanitizer", ["", "thread", "address,undefined"])
def test_a_barrier_shows_all_that_was_written(root: Path, tmp_path: Path, sanitizer: str) -> None:
    program = build(root, tmp_path, *([f"-fsanitize={sanitizer}"] if sanitizer else []))
    for threads in (1, 2, 3, 8):
        done = subprocess.run([program, str(threads)], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, f"{3 * threads}\n"), done.stderr


def test_no_threads_left_is_said(root: Path, tmp_path: Path) -> None:
    """Stacks of 64 MB do not fit into an address space of 300 MB eight times."""
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_STACK, (64 << 20, 64 << 20))
        resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))

    program = build(root, tmp_path)
    done = subprocess.run([program, "8"], capture_output=True, text=True, preexec_fn=limit)
    assert (done.returncode, done.stderr) == (2, "no threads\n")
