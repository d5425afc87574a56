"""The documentation: every command in it runs as it stands, and its tables are what their scripts write.

A command is a line that begins with `$ ` in a fenced block. Those that need what is not here (a camera, the
internet) are not run; their words must be ones the command line takes.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from darkfuse.cli.main import VERBS, build_parser, darknet_spellings

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# Why a command that begins like this is not run here
NOT_RUN = {
    "python3 -m venv": "`.ci/run` runs the README's set-up", ". .venv": "as above", "pip install": "as above",
    "darkfuse download": "the internet", "darkfuse demo": "a camera", "darkfuse watch": "runs for ever",
    "curl -s": "a demo that runs", "sudo": "another machine", "kill": "a service that runs",
}

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def commands(page: Path) -> list[str]:
    """The commands of a page, without remarks, lines that go on joined."""
    found, fenced, text = [], False, page.read_text(encoding="utf-8")
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced and line.startswith("$ "):
            found.append(re.sub(r"\s+# .*", "", line[2:]))
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, command: Run) -> Path:
    """A folder with what the commands name: cfgs, weights (random ones where there are no others), photos."""
    home = tmp_path_factory.mktemp("home")
    for name in ("cfg", "docs/images", "tools", "darkfuse"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        if name == "cfg":
            shutil.copytree(ROOT / name, home / name)  # an annotated cfg is written beside the cfg
        else:
            (home / name).symlink_to(ROOT / name)
    (home / "weights").mkdir()
    for name in ("yolov2", "yolov3-tiny"):
        out = home / "weights" / f"{name}.weights"
        made = command("make_weights", ROOT / "cfg" / f"{name}.cfg", out, "--seed", 1)
        assert made.returncode == 0, made.stderr
    (home / "yolov2.weights").symlink_to(home / "weights" / "yolov2.weights")
    shutil.copy(ROOT / "cfg" / "darkfuse-voc7.cfg", home / "my.cfg")
    for name in ("weights/darkfuse-voc7.weights", "my.weights"):
        shutil.copy(ROOT / "weights" / "darkfuse-voc7.weights", home / name)
    (home / "photos").mkdir()
    photos = (home / "dog.jpg", home / "photo.jpg", home / "photos" / "one.jpg", home / "photos" / "two.jpg")
    for photo in photos:
        shutil.copy(ROOT / "docs" / "images" / "cat.jpg", photo)
    with tarfile.open(home / "more.tar", "w") as tar:
        tar.add(photos[0], "three.jpg")
    (home / "list.txt").write_text("dog.jpg\n")
    return home


@pytest.fixture(scope="module")
def environment(home: Path) -> dict[str, str]:
    """As in a shell of the README's virtual environment, with a cache folder of its own."""
    bin_ = home / "bin"
    bin_.mkdir()
    for name, words in (("darkfuse", "-m darkfuse"), ("python3", "")):
        program = bin_ / name
        program.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} {words} \"$@\"\n")
        program.chmod(0o755)
    return {**os.environ, "PATH": f"{bin_}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT),
            "XDG_CACHE_HOME": str(home / "cache")}


def not_run(line: str) -> str | None:
    """Why a command is not run here; None where it is."""
    if " --dask " in line:
        return "a scheduler on another machine"
    return next((why for begin, why in NOT_RUN.items() if line.startswith(begin)), None)


@pytest.fixture
def services(home: Path, environment: dict[str, str]) -> Iterator[Callable[[str], None]]:
    """Starts a service as it stands and waits until it answers; ends it with the test."""
    running: list[subprocess.Popen[bytes]] = []

    def start(line: str) -> None:
        for old in running:
            old.send_signal(signal.SIGTERM)
            assert old.wait(30) == 0
        running[:] = [subprocess.Popen(["bash", "-c", "exec " + line], cwd=home, env=environment)]
        port = re.search(r"--http (?:[\w.]*:)?(\d+)", line)
        for _ in range(300):
            assert running[0].poll() is None, line
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port[1] if port else 8080}/readyz", timeout=5)
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise AssertionError(f"{line} does not answer")

    yield start
    for service in running:
        service.send_signal(signal.SIGTERM)
        assert service.wait(30) == 0


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.stem)
def test_commands_run_as_they_stand(page: Path, home: Path, environment: dict[str, str],
                                    services: Callable[[str], None]) -> None:
    for line in commands(page):
        why = not_run(line)
        if why is not None and line.startswith("darkfuse"):
            parser, _ = build_parser(VERBS)
            parser.parse_args(darknet_spellings(shlex.split(line)[1:]))
        elif why is None and line.startswith("darkfuse serve"):
            services(line)
        elif why is None:
            done = subprocess.run(["bash", "-o", "pipefail", "-c", line], cwd=home, env=environment,
                                  capture_output=True, text=True, timeout=300)
            busy = line.startswith("darkfuse calibrate") and "the machine is busy" in done.stderr
            assert done.returncode == 0 or busy, f"{page.name}: {line}\n{done.stderr}"


def test_every_page_is_reached(root: Path) -> None:
    contents = (root / "docs" / "index.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^([a-z]+)$", contents, re.MULTILINE))
    assert listed == {page.stem for page in PAGES if page.stem not in ("README", "index")}


def test_the_tables_of_boards_are_those_predicted(command: Run) -> None:
    assert command("sizing_table", "--check").returncode == 0
