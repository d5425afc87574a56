"""What CONTRIBUTING.md promises about the sources themselves."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

LIMITS = {".py": 350, ".pyi": 350, ".pyx": 350, ".pxi": 350, ".c": 300, ".h": 300}
OURS = ("darkfuse", "tools", "tests", "examples")
# Longer for now, each by no more than this; a file that got shorter leaves this table.
LONGER: dict[str, int] = {}


def sources(root: Path) -> list[Path]:
    files = (path for folder in OURS for path in (root / folder).rglob("*") if path.suffix in LIMITS)
    cythons = ("_engine.c", "_kernels.c", "_rows.c")
    return sorted(path for path in files if path.name not in cythons)


def test_files_are_short(root: Path) -> None:
    lengths = {str(p.relative_to(root)): len(p.read_text().splitlines()) for p in sources(root)}
    limits = {name: LONGER.get(name, LIMITS[Path(name).suffix]) for name in lengths}
    assert {name: count for name, count in lengths.items() if count > limits[name]} == {}
    assert {name for name in LONGER if lengths.get(name, 0) <= LIMITS[Path(name).suffix]} == set()


def test_subjects_of_commits_are_short(root: Path) -> None:
    """From the commit on that says so; others came before."""
    git = ["git", "-C", str(root), "log", "--format=%s", "-100", "--since=2026-11-28T08:56:00"]
    try:
        log = subprocess.run(git, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("git is not installed")
    if log.returncode:
        pytest.skip("this is no git checkout")
    assert [line for line in log.stdout.splitlines() if len(line) > 72] == []
