"""`darkfuse plan`: what may be said, and what it answers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NoReturn

import pytest

from darkfuse.cli.main import main
from darkfuse.plan.price.device import BUILTIN

CFG = "darkfuse-voc7.cfg"  # one that comes with the package


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cfg lies in the folder the command is given in."""
    monkeypatch.chdir(tmp_path)


def told(*words: str, cfg: str = CFG) -> dict[str, float]:
    """The plan's numbers."""
    assert main(["plan", cfg, "--device", "rpi4", *words, "--json", "plan.json"]) == 0
    found: dict[str, float] = json.loads(Path("plan.json").read_text())
    return found


def test_a_cfg_that_comes_along_is_found_and_planned_for_the_devices_cores(
        capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", CFG, "--mem", "24M", "--device", "rpi4"]) == 0
    said = capsys.readouterr().out
    assert "darkfuse-voc7 for 24M" in said and f"with {max(BUILTIN['rpi4'].rates)} threads" in said


def test_weights_are_checked_before_the_plan(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = str(root / "weights" / "darkfuse-voc7.weights")
    assert main(["plan", CFG, weights, "--mem", "24M", "--device", "rpi4"]) == 0
    capsys.readouterr()
    short = Path("short.weights")
    short.write_bytes(Path(weights).read_bytes()[:5000])
    assert main(["plan", CFG, str(short), "--mem", "24M"]) == 2
    said = capsys.readouterr()
    assert not said.out and "short.weights" in said.err and said.err.count("\n") == 1


def test_profiles_are_listed_without_a_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--device", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines[1:]} >= set(BUILTIN)
    cores = {line.split()[0]: line.split()[1] for line in lines}
    assert cores["rpi4"] == str(max(BUILTIN["rpi4"].rates))


@pytest.mark.parametrize(("words", "says"), [
    (["--mem", "48"], "was 48M meant?"),
    (["--mem", "24M", "--plot", "plan.gif"], "is an .svg or a .png"),
])
def test_what_cannot_be_meant_is_refused_before_the_search(words: list[str], says: str,
                                                           monkeypatch: pytest.MonkeyPatch,
                                                           capsys: pytest.CaptureFixture[str]) -> None:
    def searched(*_: object) -> NoReturn:
        raise AssertionError("searched for a plan")

    monkeypatch.setattr("darkfuse.session.whatif.plan_for", searched)
    assert main(["plan", CFG, *words]) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1


def test_the_least_is_smaller_than_small_and_small_than_resident() -> None:
    """... where a network's weights are more than what small has beyond the least."""
    wishes = "min", "small", "resident"
    least, small, resident = (told("--mem", mem, cfg="yolov2-tiny.cfg") for mem in wishes)
    assert least["predicted_peak_bytes"] < small["predicted_peak_bytes"] < resident["predicted_peak_bytes"]
    assert least["predicted_latency_ms"] > small["predicted_latency_ms"] > resident["predicted_latency_ms"]


def test_what_more_memory_buys_is_told_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["plan", CFG, "--mem", "min", "--device", "rpi4"]
    assert main(words) == 0
    assert "More memory would buy" not in capsys.readouterr().out
    assert main([*words, "--what-if"]) == 0
    line = capsys.readouterr().out.split("More memory would buy: ")[1]
    times = [float(ms) for ms in re.findall(r"([\d.]+) ms", line)]
    assert len(times) > 1 and times == sorted(times, reverse=True)
