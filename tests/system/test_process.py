"""What /proc and the memory cgroups say, seen from inside a real group with a real limit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from darkfuse.errors import DarkfuseError
from darkfuse.host import process
from darkfuse.session.budget import process_budget
from tools import memory_limit

ASK = """
import json, sys
sys.path.insert(0, sys.argv[1])
from darkfuse.host import process
from darkfuse.session.budget import process_budget
print(json.dumps([process.limit_bytes(), process.free_bytes(), process.rss_bytes(),
                  process_budget(None, 1).total]))
"""


def test_resident_memory_follows_what_is_allocated() -> None:
    before, peak = process.rss_bytes(), process.peak_rss_bytes()
    assert before is not None and peak is not None and before <= peak
    block = bytearray(64 << 20)
    block[::4096] = b"x" * len(block[::4096])
    now = process.rss_bytes()
    assert now is not None and 60 << 20 < now - before < 80 << 20
    assert (process.peak_rss_bytes() or 0) >= now
    del block
    assert (process.rss_bytes() or 0) < now - (50 << 20)


def test_limit_and_room_of_a_cgroup(root: Path) -> None:
    try:
        usage = memory_limit.run([sys.executable, "-c", ASK, str(root)], limit=96 << 20, capture=True)
    except DarkfuseError as error:
        pytest.skip(str(error))
    limit, free, rss, total = json.loads(usage.stdout)
    assert limit == 96 << 20
    assert 32 << 20 < free < limit
    assert abs(total - (free // 2 + rss)) < 4 << 20


def test_cpus_are_those_this_process_may_use() -> None:
    allowed = os.sched_getaffinity(0)
    assert 1 <= process.cpu_count() <= len(allowed)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert process.cpu_count() == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_budget_gives_the_arena_what_nothing_else_needs() -> None:
    budget = process_budget("48M", 608 * 608 * 3)
    assert budget.helped and budget.total == 48 << 20
    arena = budget.arena(16 << 20)
    assert arena is not None and 24 << 20 < arena < 32 << 20
    roomy = process_budget(512 << 20, 608 * 608 * 3)
    assert not roomy.helped
    assert (roomy.arena(16 << 20) or 0) < (496 << 20) - (roomy.picture or 0)
    assert process_budget("resident", 1).arena(1) is None


@pytest.mark.parametrize("mem", ["48Q", "", "-1", 0, -5])
def test_no_amount(mem: str | int) -> None:
    with pytest.raises(DarkfuseError):
        process_budget(mem, 1)


GIVE_BACK = """
import json, os, sys, threading, time
sys.path.insert(0, sys.argv[1])
from darkfuse.host import process
from darkfuse.engine._engine import give_back
from darkfuse.host.quiet import is_quiet

def files():
    return process._status("RssFile:")

import sqlite3, decimal, unittest  # something to let go of, relocated data among it
before, given = files(), give_back()
after = files()
decimal.Decimal(2).sqrt(), sqlite3.connect(":memory:").execute("select sqlite_version()")  # comes back
work = threading.Event()
other = threading.Thread(target=work.wait)
other.start()
beside = give_back()
is_quiet(other)
quiet = give_back()
work.set()
other.join()
while len(os.listdir("/proc/self/task")) > 1:  # joined, it still has to leave
    time.sleep(0.001)
decimal.Decimal(3).sqrt()
print(json.dumps([before, after, given, beside, quiet, give_back()]))
"""


def test_pages_of_program_files_are_given_back_and_return(root: Path) -> None:
    done = subprocess.run([sys.executable, "-c", GIVE_BACK, str(root)], capture_output=True, text=True,
                          check=True)
    before, after, given, beside, quiet, again = json.loads(done.stdout)
    if before is None:
        pytest.skip("this system does not tell what is mapped")
    assert after < before - (1 << 20) and given > before // 2
    assert beside == 0  # another thread could map memory where a file was
    assert quiet > 0  # a thread of ours that does not
    assert again > 0
