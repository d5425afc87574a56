"""`darkfuse doctor`: what it reads of a machine, what it warns of, and missing libraries in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from darkfuse.errors import DarkfuseError
from darkfuse.host.extras import EXTRAS, need
from darkfuse.host.machine import Fact, facts, temperature


def tree(root: Path, **files: str) -> str:
    """A /proc and /sys of a Raspberry Pi, as files below `root`; `files` replaces or adds, `__` for `/`."""
    board = {
        "sys/firmware/devicetree/base/model": "Raspberry Pi 3 Model B Rev 1.2\0",
        "proc/meminfo": "MemTotal:         948304 kB\nMemFree: 10 kB\n",
        "proc/cgroups": "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t1\t2\t1\nmemory\t0\t80\t1\n",
        "proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n",
        "sys/class/thermal/thermal_zone0/temp": "48000\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1200000\n",
        "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "1200000\n",
        "sys/devices/platform/soc/soc:firmware/get_throttled": "0\n",
        **files,
    }
    for name, text in board.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


def about(found: list[Fact], topic: str) -> list[Fact]:
    return [fact for fact in found if fact.topic == topic]


def test_a_healthy_board_gives_no_warning(tmp_path: Path) -> None:
    found = facts(tree(tmp_path))
    assert "Raspberry Pi 3 Model B Rev 1.2" in about(found, "machine")[0].text
    assert about(found, "memory")[0].text.startswith("926.1M in all")
    assert about(found, "temperature") == [Fact("temperature", "48 degrees")]
    assert not [fact for fact in found if fact.level == "warn"]


@pytest.mark.parametrize(("name", "text", "topic", "level", "words"), [
    ("proc/cgroups", "memory\t0\t80\t0\n", "cgroups", "warn", "cgroup_enable=memory"),
    ("sys/class/thermal/thermal_zone1/temp", "81000", "temperature", "warn", "81 degrees"),
    ("sys/devices/platform/soc/soc:firmware/get_throttled", "50005", "power", "warn", "under-voltage now"),
    ("sys/devices/platform/soc/soc:firmware/get_throttled", "50000", "power", "note", "was under-voltage"),
    ("proc/swaps", "Filename\n/dev/zram0 partition 102396 0 100\n", "swap", "note", "compressed memory"),
    ("proc/swaps", "Filename\n/var/swap file 102396 0 -2\n", "swap", "note", "slower than streaming"),
    ("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "600000", "clock", "note", "600 of 1200 MHz"),
])
def test_what_gets_in_the_way_is_named(tmp_path: Path, name: str, text: str, topic: str, level: str,
                                       words: str) -> None:
    [fact] = about(facts(tree(tmp_path, **{name: text})), topic)
    assert fact.level == level and words in fact.text


def test_a_machine_that_tells_nothing_is_no_error(tmp_path: Path) -> None:
    assert about(facts(str(tmp_path)), "python")
    assert temperature(str(tmp_path)) is None


def test_the_verb_prints_lines_and_json(command: Callable) -> None:
    lines = command("darkfuse", "doctor")
    assert lines.returncode == 0 and "kernels" in lines.stdout and "python" in lines.stdout
    found = json.loads(command("darkfuse", "doctor", "--json").stdout)
    assert found["isa"] and {"topic", "text", "level"} == set(found["facts"][0])


def test_a_library_that_is_missing_is_one_line_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXTRAS, "no_such_library", "serve")
    words = r'serve: no_such_library is not installed; get it with pip install "darkfuse\[serve\]"'
    with pytest.raises(DarkfuseError, match=words):
        need("no_such_library", "serve")


def test_a_library_that_does_not_load_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_library.py").write_text("raise ImportError('libGL.so.1: cannot open shared object')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(EXTRAS, "broken_library", "camera")
    with pytest.raises(DarkfuseError, match="demo: broken_library does not load: libGL.so.1"):
        need("broken_library", "demo")
