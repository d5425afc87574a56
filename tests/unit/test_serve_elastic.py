"""An elastic budget: follows what there is, grows no further than was asked for, changes no answer."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from serving import GOLDEN, PICTURE, ask, opened, turning, wait_for

from darkfuse.errors import BudgetError, DarkfuseError
from darkfuse.host import pressure, process
from darkfuse.live.serve.elastic import GROW_S, LOOK_S, NEAR_BYTES, SETTLE_S, Elastic
from darkfuse.session.budget import split_range
from darkfuse.session.network import load

MB = 1 << 20


@pytest.fixture
def least() -> int:
    """In MB what a budget has to be at least here: tests run in a large process."""
    return (process.rss_bytes() or 0) // MB + 40


class Rung:
    def __init__(self, total: int) -> None:
        self.budget, self.total = self, total


class Net:
    """Keeps to what it is told, as `Network.keep_to` does."""

    def __init__(self, *totals: int) -> None:
        self.rungs = [Rung(total * MB) for total in totals]
        self.budget = self.rungs[-1]

    def keep_to(self, total: int) -> int:
        self.budget = ([one for one in self.rungs if one.total <= total] or self.rungs[:1])[-1]
        return self.budget.total


class World:
    """What there is, and a clock."""

    def __init__(self, *totals: int) -> None:
        self.net, self.now = Net(*totals), 100.0
        self.room: int | None = None
        self.stalled: float | None = 0.0
        self.elastic = Elastic(self.net, lambda: None, lambda: self.room, lambda: self.stalled)

    def after(self, seconds: float) -> int:
        """The budget in MB when so much time has gone by, looked at every half second."""
        until = self.now + seconds
        while self.now < until:
            self.now += LOOK_S
            self.elastic.step(self.now)
        return self.net.budget.total // MB


def test_it_shrinks_at_once_where_a_limit_comes_near_and_grows_when_that_is_over() -> None:
    world = World(32, 64, 128)
    assert world.after(60) == 128
    world.room = 70 * MB + NEAR_BYTES
    assert world.after(LOOK_S) == 64
    world.room = 10 * MB
    assert world.after(LOOK_S) == 32
    world.room = 1 << 30
    assert world.after(GROW_S - LOOK_S) == 32
    assert world.after(LOOK_S) == 64
    assert world.after(GROW_S) == 128


def test_it_shrinks_step_by_step_while_somebody_waits() -> None:
    world = World(32, 48, 64, 128)
    world.stalled = 50.0
    assert world.after(LOOK_S) == 64
    assert world.after(SETTLE_S - LOOK_S) == 64
    assert world.after(LOOK_S) == 48
    assert world.after(SETTLE_S * 9) == 32
    world.stalled = 5.0  # not calm
    assert world.after(GROW_S * 3) == 32
    world.stalled = None
    assert world.after(GROW_S) == 48


def test_it_grows_no_further_than_was_asked_for() -> None:
    world = World(32, 64, 128)
    assert world.elastic.wish(70 * MB) == 64 * MB
    assert world.after(GROW_S * 9) == 64
    assert world.elastic.wish(1 << 40) == 128 * MB
    assert world.after(LOOK_S) == 128


def test_what_is_asked_for_over_http_and_by_signals(least: int) -> None:
    most = least + 100
    with opened(mem=f"{least}M..{most}M") as serving:
        told = ask(serving, "GET", "/budget").json
        assert told["budget"] == most * MB and told["steps"][0] == least * MB and len(told["steps"]) > 2
        kind = "application/json"
        for body in (b"", b"{}", b"[]", b'{"mem": 5}', b'{"mem": "x"}', b'{"mem": "1M"}', b"[" * 900):
            assert ask(serving, "POST", "/budget", body, kind).status == 400
        small = b'{"mem": "%dM"}' % least
        assert ask(serving, "POST", "/budget", small, "text/plain").status == 415
        assert ask(serving, "POST", "/budget", small, kind).json["budget"] == least * MB
        serving.turn(0)
        assert serving.net is not None and serving.net.budget.total == least * MB
        os.kill(os.getpid(), signal.SIGUSR2)
        serving.turn(0)
        assert serving.net.budget.total == most * MB
        os.kill(os.getpid(), signal.SIGUSR1)
        serving.turn(0)
        assert serving.net.budget.total == least * MB
    with opened() as serving:
        assert ask(serving, "POST", "/budget", small, kind).status == 409


def test_answers_stay_the_same_while_it_changes(least: int) -> None:
    with opened(mem=f"{least}M..{least + 40}M", answers={"thresh": 0.3}) as serving, turning(serving):
        serving.elastic._stalled = lambda: 0.0  # whatever else runs on the machine that tests
        first = ask(serving, "POST", "/detect", PICTURE).json["objects"]
        for mem in (least, least + 20, least + 40, least):
            asked = ask(serving, "POST", "/budget", b'{"mem": "%dM"}' % mem, "application/json")
            wished = asked.json["budget"]
            assert ask(serving, "POST", "/detect", PICTURE).json["objects"] == first
            # a wish that comes while the loop takes the picture from the queue is carried out behind it
            wait_for(lambda wished=wished: serving.net is not None and serving.net.budget.total == wished)
        assert serving.elastic.changes == 4


def test_a_network_keeps_to_what_it_is_told(least: int) -> None:
    cfg, weights = GOLDEN / "mini-alexeyab.cfg", GOLDEN / "mini-alexeyab.weights"
    with load(cfg, weights, threads=1, mem=f"{least}M..{least + 300}M") as net:
        assert net.budget.total == (least + 300) * MB and net.budget.helped
        found = net.detect(GOLDEN / "cat.png", thresh=0.3)
        assert net.keep_to((least + 60) * MB) <= (least + 60) * MB
        assert net.keep_to(1) == least * MB == net.budget.total
        assert net.detect(GOLDEN / "cat.png", thresh=0.3).detections == found.detections
    with pytest.raises(BudgetError, match="the least that works"):
        load(cfg, weights, threads=1, mem="6M..4G")


@pytest.mark.parametrize("mem", ["64M..32M", "32M..32M", "..", "32M..", "a..b", "1..2..3"])
def test_ranges_that_are_none(mem: str) -> None:
    with pytest.raises(DarkfuseError):
        split_range(mem)


def test_ranges() -> None:
    assert split_range("32M..1G") == (32 * MB, 1 << 30)
    assert split_range("32M") is None and split_range(5) is None and split_range(None) is None


def test_what_the_kernel_says_of_waiting(tmp_path: Path) -> None:
    file = tmp_path / "memory"
    file.write_text("some avg10=12.34 avg60=1.00 avg300=0.00 total=1\n"
                    "full avg10=0.00 avg60=0 avg300=0 total=0\n")
    assert pressure.stalled((str(tmp_path / "none"), str(file))) == 12.34
    file.write_text("nonsense\n")
    assert pressure.stalled((str(file),)) is None
    room = pressure.room_bytes()
    assert room is None or room > (process.rss_bytes() or 0) // 2


def test_memory_high_counts_as_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def group(**files: Any) -> None:
        for name, value in files.items():
            (tmp_path / name.replace("_", ".")).write_text(f"{value}\n")

    group(memory_max="max", memory_high=80 * MB, memory_current=30 * MB)
    group(memory_stat=f"inactive_file {10 * MB}")
    folder = (str(tmp_path), "memory.max", "memory.current", "inactive_file")
    monkeypatch.setattr(process, "_folders", lambda: [folder])
    assert process.limit_bytes() == 80 * MB
    assert process.free_bytes() == 60 * MB
    assert pressure.own_files()[0] == f"{tmp_path}/memory.pressure"
    group(memory_max=50 * MB)
    assert process.limit_bytes() == 50 * MB
    group(memory_high="max", memory_max="max")
    assert process.limit_bytes() is None
