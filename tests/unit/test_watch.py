"""`darkfuse watch` on a real folder: complete pictures only, each once, bad ones survived."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from darkfuse.errors import DarkfuseError
from darkfuse.live.watch import Folder

ROOT = Path(__file__).resolve().parents[2]
CAT = ROOT / "docs" / "images" / "cat.jpg"
PERSON = ROOT / "docs" / "images" / "astronaut.jpg"


class Watch:
    """A running `darkfuse watch`."""

    def __init__(self, *words: Any, cwd: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "darkfuse", "watch", *map(str, words)], cwd=cwd, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.lines: list[dict] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def wait(self, count: int, seconds: float = 60) -> list[dict]:
        """The lines, when there are `count`."""
        until = time.monotonic() + seconds
        while len(self.lines) < count and time.monotonic() < until and self.process.poll() is None:
            time.sleep(0.05)
        self._reader.join(0 if self.process.poll() is None else 10)
        assert len(self.lines) >= count, (self.lines, self.process.poll())
        return self.lines

    def end(self) -> tuple[int, str]:
        """Interrupt it; status and standard error."""
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(60)
        assert self.process.stderr is not None
        return status, self.process.stderr.read()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


@pytest.fixture
def watching(inbox: Path, tmp_path: Path) -> Iterator[Watch]:
    with Watch(inbox, "--move", tmp_path / "done", "--annotate", tmp_path / "drawn", "--thresh", 0.3,
               "--mem", "64M", cwd=tmp_path) as running:
        yield running


def test_pictures_are_detected_drawn_and_moved(inbox: Path, tmp_path: Path, watching: Watch) -> None:
    shutil.copy(PERSON, inbox / "one.jpg")
    first = watching.wait(1)[0]
    assert first["filename"] == str(inbox / "one.jpg") and (first["width"], first["height"]) == (512, 512)
    assert "person" in [found["name"] for found in first["objects"]]
    shutil.copy(CAT, inbox / "one.jpg")  # the same name again
    second = watching.wait(2)[1]
    assert "cat" in [found["name"] for found in second["objects"]]
    status, errors = watching.end()
    assert (status, errors) == (0, f"darkfuse: watching {inbox}\n")
    assert sorted(os.listdir(tmp_path / "done")) == ["one-2.jpg", "one.jpg"] and not os.listdir(inbox)
    assert Image.open(tmp_path / "drawn" / "one.jpg").size == Image.open(CAT).size
    assert second["moved"] == str(tmp_path / "done" / "one-2.jpg")
    assert second["peak_bytes"] <= 64 << 20


def test_a_picture_still_being_written_is_waited_for(inbox: Path, watching: Watch) -> None:
    data = PERSON.read_bytes()
    with open(inbox / "slow.jpg", "wb", buffering=0) as file:
        for start in range(0, len(data), len(data) // 12 + 1):
            file.write(data[start: start + len(data) // 12 + 1])
            time.sleep(0.2)
            assert not watching.lines
    assert "error" not in watching.wait(1)[0]


def test_bad_pictures_are_told_and_survived(inbox: Path, tmp_path: Path, watching: Watch) -> None:
    (inbox / "junk.png").write_bytes(b"not a picture at all")
    (inbox / "half.jpg").write_bytes(PERSON.read_bytes()[:4000])
    (inbox / "notes.txt").write_text("no picture and not meant to be one")
    (inbox / ".hidden.jpg").write_bytes(CAT.read_bytes())
    watching.wait(2)
    shutil.copy(CAT, inbox / "good.jpg")
    lines = watching.wait(3)
    bad = sorted(Path(line["filename"]).name for line in lines if "error" in line)
    assert bad == ["half.jpg", "junk.png"]
    status, errors = watching.end()
    assert status == 0 and len(errors.splitlines()) == 1 + 2 and len(lines) == 3
    assert sorted(os.listdir(inbox)) == [".hidden.jpg", "half.jpg", "junk.png", "notes.txt"]


def test_without_move_only_what_appears_counts(inbox: Path, tmp_path: Path) -> None:
    shutil.copy(CAT, inbox / "old.jpg")
    with Watch(inbox, "--json-lines", tmp_path / "lines", "--count", 1, cwd=tmp_path) as running:
        assert running.process.stderr is not None
        assert running.process.stderr.readline() == f"darkfuse: watching {inbox}\n"
        shutil.copy(PERSON, inbox / "new.jpg")
        assert running.process.wait(60) == 0
    lines = [json.loads(line) for line in (tmp_path / "lines").read_text().splitlines()]
    assert [line["filename"] for line in lines] == [str(inbox / "new.jpg")]
    assert sorted(os.listdir(inbox)) == ["new.jpg", "old.jpg"]


def test_existing_ones_when_asked(inbox: Path, tmp_path: Path) -> None:
    shutil.copy(CAT, inbox / "a.jpg")
    shutil.copy(PERSON, inbox / "b.jpg")
    with Watch(inbox, "--existing", "--count", 2, cwd=tmp_path) as running:
        assert {Path(line["filename"]).name for line in running.wait(2)} == {"a.jpg", "b.jpg"}


@pytest.mark.parametrize(("words", "says"), [
    (["nowhere"], "nowhere: cannot look into the folder"),
    (["in", "--move", "in"], "is the folder being watched"),
    (["in", "--annotate", "in/../in"], "is the folder being watched"),
    (["in", "other"], "one folder is watched at a time"),
    (["in", "--json-lines", "no/such/place"], "cannot write JSON lines"),
])
def test_what_cannot_work_is_refused(inbox: Path, tmp_path: Path, words: list[str], says: str) -> None:
    with Watch(*words, cwd=tmp_path) as running:
        assert running.process.wait(60) == 2
        assert running.process.stderr is not None
        told = running.process.stderr.read()
    assert says in told.splitlines()[-1] and told.count("darkfuse: ") == 1


def test_each_once_and_again_when_changed(inbox: Path) -> None:
    folder = Folder(str(inbox), (".jpg",))
    path = inbox / "a.jpg"
    path.write_bytes(b"")
    assert folder.ready() == [] and folder.ready() == []  # empty is not complete
    path.write_bytes(b"1")
    assert folder.ready() == []
    assert folder.ready() == [str(path)]
    assert folder.ready() == []
    path.write_bytes(b"22")
    assert folder.ready() == []
    assert folder.ready() == [str(path)]
    path.unlink()
    assert folder.ready() == [] and not folder._done and not folder._growing


def test_a_folder_that_goes_away_is_waited_for(inbox: Path) -> None:
    folder = Folder(str(inbox), (".jpg",))
    (inbox / "a.jpg").write_bytes(b"1")
    folder.ready()
    folder.ready()
    away = inbox.with_name("away")
    inbox.rename(away)
    assert folder.ready() == []
    away.rename(inbox)
    assert folder.ready() == [] and folder.ready() == []
    (inbox / "b.jpg").write_bytes(b"1")
    assert folder.ready() == [] and folder.ready() == [str(inbox / "b.jpg")]


def test_a_file_is_not_a_folder(inbox: Path) -> None:
    (inbox / "a.jpg").write_bytes(b"1")
    with pytest.raises(DarkfuseError, match="cannot look into the folder"):
        Folder(str(inbox / "a.jpg"), (".jpg",))
