"""`tools/memory_limit.py` against real memory cgroups."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from darkfuse.errors import DarkfuseError
from tools.memory_limit import run

ROOT = Path(__file__).resolve().parents[2]
TOOL = [sys.executable, str(ROOT / "tools" / "memory_limit.py")]


@pytest.fixture(scope="module", autouse=True)
def _writable() -> None:
    try:
        run(["true"], "64M")
    except DarkfuseError as error:
        if "not writable" in str(error):
            pytest.skip(str(error))
        raise


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def groups_left(pid: int) -> list[Path]:
    return list(Path("/sys/fs/cgroup").glob(f"**/darkfuse-{pid}-*"))


def test_what_fits_passes_with_its_peak_counted() -> None:
    usage = run(python("b = bytearray(20 << 20); print(len(b))"), "64M", capture=True)
    assert (usage.status, usage.oom_kills, usage.timed_out) == (0, 0, False)
    assert usage.stdout == f"{20 << 20}\n"
    assert 20 << 20 < usage.peak_bytes < 50 << 20
    assert usage.minor_faults >= (20 << 20) // os.sysconf("SC_PAGESIZE") // 512  # huge pages at most
    assert usage.limit_bytes == 64 << 20
    assert usage.swap_peak_bytes == 0


def test_what_does_not_fit_is_reported_killed() -> None:
    usage = run(python("b = bytearray(200 << 20)"), "64M", capture=True)
    assert usage.status == 128 + signal.SIGKILL
    assert usage.oom_kills == 1
    assert 60 << 20 < usage.peak_bytes <= 64 << 20


def test_swap_is_used_only_where_allowed() -> None:
    usage = run(python("b = bytearray(150 << 20); print(sum(b[::4096]))"), "64M", swap=True, capture=True)
    if usage.machine_swap_bytes < 200 << 20:
        pytest.skip("this machine has less than 200 MB of swap")
    assert usage.status == 0
    assert usage.swap_peak_bytes > 60 << 20
    assert usage.peak_bytes <= 64 << 20


def test_page_cache_of_a_cold_file_is_charged(tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(bytes(40 << 20))
    read = python(f"f = open({str(big)!r}, 'rb', 0)\nwhile f.read(1 << 20): pass")
    cold = run(read, "256M", cold=[str(big)])
    warm = run(read, "256M")
    assert cold.peak_bytes - warm.peak_bytes > 35 << 20


def test_children_of_the_command_count() -> None:
    outer = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], check=True)"
    assert run([*python(outer), "b = bytearray(30 << 20)"], "128M").peak_bytes > 30 << 20


def test_time_limit_ends_the_whole_group() -> None:
    usage = run(["sh", "-c", "sleep 600 & sleep 600"], "64M", timeout=0.2, capture=True)
    assert usage.timed_out
    assert usage.status == 128 + signal.SIGKILL
    assert groups_left(os.getpid()) == []


def test_what_the_command_leaves_running_is_ended() -> None:
    usage = run(["sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!"], "64M", capture=True)
    stat = Path(f"/proc/{usage.stdout.strip()}/stat")
    assert not stat.exists() or stat.read_text().split()[2] == "Z"  # gone, or waiting for init to notice


def test_cannot_start() -> None:
    with pytest.raises(DarkfuseError, match="no-such-program: cannot be run: No such file"):
        run(["no-such-program"], "64M")
    assert groups_left(os.getpid()) == []


def test_command_line_prints_and_writes_json(tmp_path: Path) -> None:
    out = tmp_path / "usage.json"
    done = subprocess.run(
        [*TOOL, "64M", "--json", str(out), "--", "sh", "-c", "echo through; exit 7"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (7, "through\n")
    assert done.stderr.startswith("exit status 7; peak ")
    assert " of 64M, swap forbidden, faults " in done.stderr
    facts = json.loads(out.read_text())
    assert facts["status"] == 7
    assert facts["limit_bytes"] == 64 << 20
    assert [path.name for path in tmp_path.iterdir()] == ["usage.json"]


def test_command_line_quiet() -> None:
    done = subprocess.run(
        [*TOOL, "--quiet", "64M", "--", "true"], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["64X", "--", "true"], "'64X' is not an amount of memory"),
        (["64M", "--cold", "/no/such/file", "--", "true"], "/no/such/file: cannot be opened"),
        (["64M", "--", "no-such-program"], "no-such-program: cannot be run"),
        (["64M", "--json", "/no/such/place", "--", "true"], "/no/such/place: cannot write the measurement"),
    ],
)
def test_command_line_bad_input_is_one_line(words: list[str], complaint: str) -> None:
    done = subprocess.run([*TOOL, *words], check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(complaint)
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_cleans_up(number: signal.Signals) -> None:
    with subprocess.Popen([*TOOL, "64M", "--", "sleep", "600"], stderr=subprocess.PIPE) as tool:
        while not groups_left(tool.pid) or not (groups_left(tool.pid)[0] / "cgroup.procs").read_text():
            assert tool.poll() is None
            time.sleep(0.01)
        tool.send_signal(number)
        assert tool.wait() == 128 + number
    assert groups_left(tool.pid) == []


def test_read_only_cgroups_are_named() -> None:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("needs root and unshare to see cgroups as read-only")
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    lock = " && ".join(
        f"mount -o remount,bind,ro {path}" for path, kind in mounts if kind.startswith("cgroup")
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f'{lock} && exec "$@"', "sh", *TOOL, "64M", "--", "true"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("memory cgroups are not writable here (/sys/fs/cgroup/")
    assert "Read-only file system" in done.stderr
    assert done.stderr.count("\n") == 1
