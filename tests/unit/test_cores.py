"""How many cores a team takes by default, from folders like those of /sys."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from darkfuse.host import process


def machine(root: Path, cores: list[tuple[str, str]]) -> str:
    """A /sys whose processors have these (`thread_siblings_list`, `cpu_capacity`); '' leaves the file out."""
    for number, (siblings, capacity) in enumerate(cores):
        folder = root / f"sys/devices/system/cpu/cpu{number}"
        (folder / "topology").mkdir(parents=True)
        for name, text in (("topology/thread_siblings_list", siblings), ("cpu_capacity", capacity)):
            if text:
                (folder / name).write_text(text + "\n")
    return str(root)


@pytest.mark.parametrize("cores, count", [
    ([("0", ""), ("1", ""), ("2", ""), ("3", "")], 4),
    ([("0", "1024"), ("1", "1024"), ("2", "1024"), ("3", "1024")], 4),  # a Raspberry Pi's are alike
    ([("0-1", ""), ("0-1", ""), ("2-3", ""), ("2-3", "")], 2),
    ([(str(n), "530") for n in range(4)] + [(str(n), "1024") for n in range(4, 8)], 4),  # RK3588
    ([("0", "592"), ("1", "592"), *((str(n), "1024") for n in range(2, 6))], 4),  # Odroid N2
    ([*((str(n), "250") for n in range(4)), ("4", "870"), ("5", "870"), ("6", "870"), ("7", "1024")], 4),
    ([("", "1024"), ("", "")], 1),
    ([("", ""), ("", "")], 2),  # /sys is not mounted
])
def test_big_cores_are_counted_once(monkeypatch, tmp_path, cores, count):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(len(cores))))
    assert process.cpu_count(machine(tmp_path, cores)) == count


def test_little_cores_count_where_a_process_may_run_on_no_others(monkeypatch, tmp_path):
    root = machine(tmp_path, [*((str(n), "530") for n in range(4)), *((str(n), "1024") for n in range(4, 8))])
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2})
    assert process.cpu_count(root) == 3
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {2, 7})
    assert process.cpu_count(root) == 1
