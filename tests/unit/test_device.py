"""Device profiles: built in, saved, broken; and the fit that makes them."""

from __future__ import annotations

import dataclasses
import json
import os
import random
from pathlib import Path

import pytest

from darkfuse.cli.main import main
from darkfuse.errors import DarkfuseError
from darkfuse.host.units import parse_rate
from darkfuse.plan.price.boards import likeness, parts_of
from darkfuse.plan.price.device import BUILTIN, Device, Rates, load_device, save_device
from darkfuse.session import calibrate, fit
from darkfuse.session.storage import reading_rate


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("name", ["rpi3", "rpi4", "rpi5", "generic-x86"])
def test_built_in_profiles_are_marked_estimates(name: str) -> None:
    device = load_device(name)
    assert device.estimate and device.name == name
    one, four = device.at(1), device.at(4)
    assert one.direct3 < four.direct3 <= 4 * one.direct3
    assert Device.from_json(device.to_json()) == device


def test_this_machines_profile_is_the_default_once_measured() -> None:
    assert load_device().estimate
    mine = dataclasses.replace(BUILTIN["rpi5"], name="this-machine", estimate=False)
    save_device(mine)
    assert load_device() == mine
    save_device(dataclasses.replace(mine, name="attic"))
    assert load_device("attic").name == "attic"


@pytest.mark.parametrize(("machine", "parts", "mhz", "board", "name"), [
    ("x86_64", [], 3000, "", "generic-x86"),
    ("aarch64", [0xd0b] * 4, 2400, "Raspberry Pi 5 Model B Rev 1.0\0", "rpi5"),
    ("aarch64", [0xd0b] * 4, 2400, "Raspberry Pi Compute Module 5\0", "rpi5"),
    ("aarch64", [0xd03] * 4, 1400, "Raspberry Pi 3 Model B Plus Rev 1.3\0", "rpi3b+"),
    ("aarch64", [0xd03] * 4, 1200, "Raspberry Pi Compute Module 3\0", "rpi3"),
    ("armv7l", [0xd03] * 4, 1000, "Raspberry Pi Zero 2 W Rev 1.0\0", "rpi-zero2w"),
    ("armv7l", [0xd08] * 4, 1500, "Raspberry Pi 4 Model B Rev 1.1\0", "rpi4"),
    ("aarch64", [0xd08] * 4, 1800, "Raspberry Pi 4 Model B Rev 1.4\0", "rpi4-1.8"),
    ("armv7l", [0xc07] * 4, 1200, "FriendlyElec NanoPi NEO\0", "cortex-a7"),
    ("aarch64", [0xd07] * 4, 1479, "NVIDIA Jetson Nano Developer Kit\0", "jetson-nano"),
    ("aarch64", [0xd05] * 4 + [0xd0b] * 4, 2400, "Radxa ROCK 5B\0", "rpi5"),  # the big cluster counts
    ("aarch64", [0xd05] * 4, 1800, "Radxa ROCK 3A\0", "cortex-a55"),
    ("aarch64", [], 0, "", "rpi4"),
])
def test_without_a_measured_profile_the_most_similar_counts(
        machine: str, parts: list[int], mhz: int, board: str, name: str) -> None:
    found, clock = likeness(machine, parts, mhz, board)
    assert found == name
    assert clock is None or clock == pytest.approx(1, abs=0.05)


def test_part_numbers_of_a_cpuinfo() -> None:
    text = "processor\t: 0\nCPU part\t: 0xd05\n\nprocessor\t: 4\nCPU part\t: 0xd0b\n"
    assert parts_of(text) == [0xd05, 0xd0b]


def test_busy_moments_do_not_bend_the_fit() -> None:
    true = BUILTIN["rpi4"].at(1)
    samples = [fit.Sample("", {"direct3": ms * true.direct3}, 3.0 * ms if ms in (4, 9) else ms)
               for ms in range(1, 20)]
    assert fit.fit(samples, pack=1, read_us=1).direct3 == pytest.approx(true.direct3, rel=0.03)


def test_more_threads_than_measured_are_scaled() -> None:
    two = BUILTIN["rpi3"].at(2)
    device = Device("x", 1.0, 1, 1, {2: two})
    assert device.at(6).gemm == pytest.approx(3 * two.gemm) and device.at(6).op_us == two.op_us


@pytest.mark.parametrize("name", ["a\nline", "\x1b[2J", "x" * 9000])
def test_what_a_profile_names_is_one_short_line_of_the_message(tmp_path: Path, name: str) -> None:
    path = tmp_path / "strange.json"
    rates = {**dataclasses.asdict(BUILTIN["rpi3"]), "rates": {"1": {name: 1}}}
    path.write_text(json.dumps(rates))
    with pytest.raises(DarkfuseError, match="is not a device profile") as caught:
        load_device(str(path))
    assert len(str(caught.value)) < 1000 + len(str(path)) and str(caught.value).isprintable()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"name": "x"}', json.dumps({
    **dataclasses.asdict(BUILTIN["rpi3"]), "read": 0})])
def test_a_broken_profile_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(DarkfuseError, match="is not a device profile"):
        load_device(str(path))


def test_an_unknown_profile_names_the_known_ones() -> None:
    with pytest.raises(DarkfuseError, match="no device profile 'toaster': built in are .*generic-x86"):
        load_device("toaster")


def test_the_fit_finds_the_rates_samples_were_made_with() -> None:
    dice = random.Random(3)
    true = BUILTIN["rpi4"].at(1)
    samples = []
    for _ in range(120):
        amounts = {name: dice.uniform(0.1, 5) * (1 if name == "op_us" else getattr(true, name))
                   for name in dice.sample(fit.RATES, 3) if name not in ("pack", "read_us")}
        ms = sum(a * true.op_us if name == "op_us" else a / getattr(true, name)
                 for name, a in amounts.items())
        samples.append(fit.Sample("made up", amounts, ms))
    found = fit.fit(samples, pack=true.pack, read_us=true.read_us)
    for name in fit.RATES:
        assert getattr(found, name) == pytest.approx(getattr(true, name), rel=0.02), name
    assert max(abs(p / m - 1) for _, p, m in fit.errors(samples, found)) < 0.02


def test_reads_are_timed_with_any_number_of_threads(tmp_path: Path) -> None:
    graph = calibrate._network(str(tmp_path), calibrate.READS)
    for threads in (1, 14, 15, 64):
        assert calibrate.read_us(graph, threads, 1.0, 0.01) >= 1


def test_a_busy_moment_makes_no_rate_endless() -> None:
    """Without a 1x1 the machine was slow: nothing is left for the 1x1 to take."""
    true = BUILTIN["generic-x86"].at(2)
    samples = []
    for amount in (1.0, 2.0, 3.0, 4.0):
        alone = {"direct3": amount * true.direct3}
        samples += [fit.Sample("busy", alone, 2 * amount),
                    fit.Sample("idle", {**alone, "direct1": amount * true.direct1}, 1.9 * amount)]
    found = fit.fit(samples, pack=true.pack, read_us=true.read_us)
    assert 0 < found.direct1 < 4 * found.direct3


def test_a_busy_machine_is_noticed_and_nothing_written(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    """The same work, at first in 10 ms and then in 20."""
    times = iter((10.0, 20.0))
    monkeypatch.setattr(calibrate, "pulse", lambda *_: next(times))
    out = tmp_path / "busy.json"
    words = ["calibrate", "--seconds", "1", "--threads", "1", "--storage", str(tmp_path), "--out", str(out)]
    assert main(words) == 2
    assert "the same work took 10.0 ms and then 20.0" in capsys.readouterr().err
    assert not out.exists()
    calibrate.check_steady(1, 10.0, 11.0)


def test_calibrate_measures_and_keeps_a_profile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["calibrate", "--seconds", "1", "--threads", "1", "--storage", str(tmp_path), "--anyway"]
    assert main(words) == 0
    assert "this-machine.json" in capsys.readouterr().out
    device = load_device()
    assert not device.estimate and list(device.rates) == [1]
    assert device.at(1).direct3 > 0.5 and device.read > 0.001
    assert list(tmp_path.glob("darkfuse-*")) == []


def test_the_storage_of_weights_is_measured_by_reading_them(tmp_path: Path,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.weights"
    path.write_bytes(os.urandom(9 << 20))
    pieces: list[int] = []
    real = os.preadv
    monkeypatch.setattr(os, "preadv", lambda file, rooms, at: pieces.append(at) or real(file, rooms, at))
    assert reading_rate(str(path), 60.0) > 0
    whole = [n << 20 for n in range(9)]
    assert sorted(pieces) in (whole, sorted([0, *whole]))  # a page is tried first, where reads can be direct
    assert reading_rate(str(path), 0.0) > 0  # a piece at least


def test_a_profile_for_other_storage() -> None:
    assert load_device("rpi4", 22 << 20).read == pytest.approx(0.02307, rel=1e-3)
    assert load_device("rpi4", 22 << 20).rates == load_device("rpi4").rates
    assert parse_rate("22M/s") == parse_rate("22M") == parse_rate(22 << 20) == 22 << 20
    assert parse_rate(None) is None


@pytest.mark.parametrize(("words", "says"), [
    (["--threads", "0"], "write numbers from 1 to 256"),
    (["--threads", "1,,2"], "write numbers from 1 to 256"),
    (["--seconds", "0"], "is outside 1..600"),
    (["--storage", "/proc/nowhere"], "/proc/nowhere"),
    (["--weights", "nowhere.weights"], "nowhere.weights: No such file"),
    (["--weights", __file__], "are too few to measure its storage with"),
])
def test_bad_options_are_one_line(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", *words]) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1


def test_rates_have_a_line_of_explanation_each() -> None:
    for field in dataclasses.fields(Rates):
        assert field.name in (Rates.__doc__ or "")
