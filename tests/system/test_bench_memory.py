"""`tools/bench_memory.py`: what it makes of measurements, and one real run inside cgroups."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tools.bench_memory import NO_LIMIT, Row, bounds, fate, settled, table
from tools.memory_limit import Usage

ROOT = Path(__file__).resolve().parents[2]
TOOL = [sys.executable, str(ROOT / "tools" / "bench_memory.py")]
M = 1 << 20


def usage(**facts: object) -> Usage:
    common = {"status": 0, "oom_kills": 0, "timed_out": False, "wall_seconds": 1.0, "peak_bytes": 30 * M}
    common.update(swap_peak_bytes=0, minor_faults=1, major_faults=1, limit_bytes=48 * M, swap_allowed=False)
    common.update(machine_swap_bytes=0, **facts)
    return Usage(**common)  # type: ignore[arg-type]


def test_fate() -> None:
    assert fate(usage()) == "ran"
    assert fate(usage(status=137, oom_kills=1)) == "killed"
    assert fate(usage(status=137, timed_out=True)) == "too slow"
    assert fate(usage(status=2, stderr="note\ndarkfuse: nothing fits\n")) == "darkfuse: nothing fits"
    assert fate(usage(status=3)) == "status 3"


def test_the_first_frame_does_not_count() -> None:
    assert settled([900.0, 5.0, 7.0, 6.0]) == 6.0
    assert settled([900.0]) == 900.0


def test_bound_is_the_longer_of_compute_and_reading() -> None:
    rows = [
        Row("resident", NO_LIMIT, False, 1, "ran", frame_ms=100.0),
        Row("resident", NO_LIMIT, False, 2, "ran", frame_ms=50.0),
        Row("limited", 48 * M, False, 1, "ran", frame_ms=110.0, read_a_frame=160_000_000),
        Row("limited", 48 * M, False, 2, "ran", frame_ms=88.0, read_a_frame=160_000_000),
        Row("limited", 48 * M, True, 1, "ran", frame_ms=999.0),
        Row("limited", 48 * M, False, 1, "killed"),
    ]
    found = bounds(rows, {48 * M: 2e9})
    assert [(one["threads"], one["read_ms"], one["ratio"]) for one in found] == [
        (1, 80.0, 1.1),
        (2, 80.0, 1.1),
    ]


def test_table_shows_what_happened() -> None:
    text = table([Row("a", 48 * M, False, 1, "killed"), Row("b", NO_LIMIT, True, 2, "ran", frame_ms=12.34)])
    first, second = text.splitlines()[1:]
    assert first.split() == ["a", "1", "48M", "no", *"------", "killed"]
    assert second.split() == ["b", "2", "none", "yes", "12.3", *"-----"]


@pytest.mark.parametrize(
    ("words", "complaint"), [(["--limits", "48X"], "48X"), (["--cfg", "/no.cfg"], "/no.cfg: ")]
)
def test_bad_input(words: list[str], complaint: str) -> None:
    done = subprocess.run([*TOOL, *words], check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert complaint in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_darkfuse_in_a_cgroup(tmp_path: Path) -> None:
    out = tmp_path / "memory.json"
    words = [
        "--cfg",
        str(ROOT / "cfg" / "yolov2-tiny.cfg"),
        "--size",
        "224",
        "--threads",
        "1",
        "--frames",
        "2",
    ]
    done = subprocess.run(
        [*TOOL, *words, "--limits", "48M", "--scratch", str(tmp_path), "--json", str(out)],
        check=False,
        capture_output=True,
        text=True,
    )
    if "not writable" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    resident, limited = json.loads(out.read_text())["rows"]
    assert resident["fate"] == limited["fate"] == "ran", done.stderr
    assert 0 < limited["process_peak"] <= 48 * M
    assert 0 < limited["group_peak"] <= 48 * M
    assert limited["arena"] < resident["arena"]
    assert [path.name for path in tmp_path.iterdir()] == ["memory.json"]
