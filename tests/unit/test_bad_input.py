"""Input that once ended in a traceback, a message of a megabyte, or never: one line, and status 2."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Callable

import pytest

from darkfuse.errors import CfgError, PlanError
from darkfuse.host.reading import MOST_JSON
from darkfuse.model.cfg import parse_cfg
from darkfuse.plan.price.device import BUILTIN, Device, load_device
from darkfuse.session.choose import read_plan

Command = Callable[..., "subprocess.CompletedProcess[str]"]
NET = "[net]\nwidth=32\nheight=32\nchannels=3\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "dropout.cfg").write_text(NET + "[dropout]\n")
    (tmp_path / "deep.json").write_text("[" * 200_000)
    (tmp_path / "list.json").write_text("[]")
    no_rates = BUILTIN["rpi4"].to_json().replace('"rates": {', '"rates": [], "x": {')
    (tmp_path / "rates.json").write_text(no_rates)
    with (tmp_path / "long.json").open("wb") as file:
        file.truncate(MOST_JSON + 1)
    (tmp_path / "long.cfg").write_text(NET + "[" + "x" * 1_000_000 + "]\n")
    os.mkfifo(tmp_path / "pipe.jpg")
    return tmp_path


@pytest.mark.parametrize("words, said", [
    (["detect", "CAT", "--out", "."], "'.' names a folder and no picture"),
    (["detect", "CAT", "--out", ""], "'' names a folder and no picture"),
    (["detect", "CAT", "CAT", "--out", ""], "--out '': name the folder"),
    (["detect", "pipe.jpg"], "pipe.jpg: cannot read the picture: it is no regular file"),
    (["detect", "pipe.jpg", "--mem", "64M"], "pipe.jpg: cannot read the picture: it is no regular file"),
    (["plan", "dropout.cfg", "--mem", "64M"], "dropout.cfg: no layer of it computes anything"),
    (["detect", "CAT", "--plan", "deep.json"], "deep.json: not a plan: its lists are nested too deep"),
    (["detect", "CAT", "--plan", "long.json"], "long.json: not a plan: it is longer than the 16M"),
    (["detect", "CAT", "--plan", "list.json"], "list.json: not a plan"),
    (["detect", "CAT", "--device", "deep.json"], "deep.json is not a device profile (its lists are nested"),
    (["detect", "CAT", "--device", "long.json"], "long.json is not a device profile (it is longer"),
    (["detect", "CAT", "--device", "list.json"], "list.json is not a device profile"),
    (["detect", "CAT", "--device", "rates.json"], "rates.json is not a device profile"),
    (["detect", "CAT", "--device", "deep.json", "--mem", "64M"], "deep.json is not a device profile"),
    (["info", "long.cfg"], "long.cfg:5: unknown section [xxx"),
])
def test_one_line_says_it(words: list[str], said: str, folder: Path, root: Path, command: Command) -> None:
    photo = str(root / "docs" / "images" / "cat.jpg")
    done = command("darkfuse", *[photo if word == "CAT" else word for word in words], cwd=folder, timeout=120)
    assert done.returncode == 2 and said in done.stderr, done.stderr[-2000:]
    assert done.stderr.count("\n") == 1 and len(done.stderr) < 1000


def test_rates_must_be_finite(tmp_path: Path) -> None:
    path = tmp_path / "fast.json"
    path.write_text(BUILTIN["rpi4"].to_json().replace('"read": ', '"read": 1e999, "name2": '))
    with pytest.raises((TypeError, ValueError)):
        Device.from_json(path.read_text())
    with pytest.raises(Exception, match="is not a device profile"):
        load_device(str(path))


def test_what_a_cfg_holds_is_quoted_in_part() -> None:
    with pytest.raises(CfgError) as caught:
        parse_cfg(NET + "[convolutional]\nfilters=" + "9" * 1_000_000 + "\n").layers[0].integer("filters")
    assert len(str(caught.value)) < 500 and str(caught.value).endswith("is outside 0..2147483647")


def test_a_plan_that_is_no_json(tmp_path: Path) -> None:
    path = tmp_path / "plan"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(PlanError, match="not a plan"):
        read_plan(None, str(path), 1, False)  # type: ignore[arg-type]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_standard_output_without_room(root: Path, tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "darkfuse", "info", str(root / "cfg/darkfuse-voc7.cfg")],
                              stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
                              env={**os.environ, "PYTHONPATH": str(root)})
    assert done.returncode == 2
    assert done.stderr == "darkfuse: standard output: No space left on device\n"
