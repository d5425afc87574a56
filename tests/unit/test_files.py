"""What is written is there whole or not at all; devices, pipes and links stay what they are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Callable

import pytest

from darkfuse.errors import DarkfuseError, ImageError
from darkfuse.host import files
from darkfuse.host.files import Lines, WholeFile, write_whole

FULL = Path("/dev/full")
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def unswept() -> None:
    """Each test begins as a new process would: no folder has been swept."""
    files._swept.clear()


def parts(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if files._is_part(name)]


def test_the_earlier_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    path.write_text("earlier")
    with WholeFile(str(path), "the JSON") as out:
        out.write("new ")
        out.write(b"bytes")
        assert path.read_text() == "earlier" and len(parts(tmp_path)) == 1
    assert path.read_text() == "new bytes" and parts(tmp_path) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "found.json"
    path.write_text("earlier")
    with pytest.raises(error), WholeFile(str(path)) as out:
        out.write("new")
        raise error
    assert path.read_text() == "earlier" and os.listdir(tmp_path) == ["found.json"]


def test_a_mode_set_by_hand_stays_and_a_file_nobody_may_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    path.write_text("earlier")
    path.chmod(0o640)
    write_whole(str(path), "new")
    assert path.stat().st_mode & 0o777 == 0o640 and path.read_text() == "new"


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everything")
def test_a_read_only_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    path.write_text("earlier")
    path.chmod(0o440)
    with pytest.raises(DarkfuseError, match="Permission denied"):
        write_whole(str(path), "new")
    assert path.read_text() == "earlier"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, link, dangling = tmp_path / "there" / "a.json", tmp_path / "a.json", tmp_path / "b.json"
    target.write_text("earlier")
    link.symlink_to(target)
    dangling.symlink_to(tmp_path / "there" / "b.json")
    write_whole(str(link), "new")
    write_whole(str(dangling), "made")
    assert link.is_symlink() and dangling.is_symlink()
    assert target.read_text() == "new" and (tmp_path / "there" / "b.json").read_text() == "made"


def test_a_pipe_and_a_device_are_written_through(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write_whole(str(pipe), "through")
    reader.join(30)
    assert got == [b"through"] and pipe.is_fifo()
    null = tmp_path / "null"
    null.symlink_to("/dev/null")
    for path in (null, Path(os.devnull)):
        write_whole(str(path), "nothing")
        assert path.is_char_device()


def test_an_open_descriptor_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    code = ("from darkfuse.host.files import write_whole\n"
            "print('a', flush=True); write_whole('/dev/stdout', 'b')")
    out = tmp_path / "out"
    with out.open("wb") as file:
        subprocess.run([sys.executable, "-c", code], stdout=file, check=True)
        inode = os.fstat(file.fileno()).st_ino
    assert out.read_text() == "a\nb" and out.stat().st_ino == inode


@pytest.mark.parametrize("path, why", [("", "the name is empty"), (".", "it is a folder"),
                                       ("no/such/folder/x", "No such file or directory")])
def test_what_cannot_be_written_is_said(path: str, why: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ImageError) as caught:
        write_whole(path, "x", "the picture", ImageError)
    assert str(caught.value) == f"{path or chr(39) * 2}: cannot write the picture: {why}"
    assert os.listdir(tmp_path) == []


def test_a_file_library_writes_by_name_must_be_regular() -> None:
    with pytest.raises(DarkfuseError, match="/dev/null: cannot write the video: it is no regular file"):
        WholeFile(os.devnull, "the video", ending=".mp4").__enter__()


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
def test_a_full_device_names_itself() -> None:
    with pytest.raises(DarkfuseError, match="/dev/full: cannot write the JSON: No space left on device"):
        write_whole(str(FULL), "x", "the JSON")
    with pytest.raises(DarkfuseError, match="/dev/full: cannot write JSON lines: No space left on device"), \
            Lines(str(FULL)) as lines:
        lines.write("{}")


LIMITED = """
import resource, sys
from darkfuse.host.files import {kind}
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # storage with room for 1000 bytes
with {kind}(sys.argv[1]) as out:
    for n in range(100):
        out.write(f'{{{{"line": "{{n:030}}"}}}}')
"""


@pytest.mark.parametrize("kind", ["WholeFile", "Lines"])
def test_no_room_leaves_nothing_torn(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    path.write_text("earlier")
    code = LIMITED.format(kind=kind)
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert f"DarkfuseError: {path}: cannot write" in done.stderr and "File too large" in done.stderr
    assert os.listdir(tmp_path) == ["found.json"]
    if kind == "WholeFile":
        assert path.read_text() == "earlier"
    else:
        lines = path.read_text().splitlines()
        assert len(lines) > 10 and all(int(json.loads(line)["line"]) == n for n, line in enumerate(lines))


def test_what_the_killed_left_is_swept_and_what_the_living_write_is_not(tmp_path: Path) -> None:
    code = ("import os, sys, signal; from darkfuse.host.files import WholeFile\n"
            "out = WholeFile(sys.argv[1]); out.__enter__(); os.kill(os.getpid(), signal.SIGKILL)")
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "killed.json")])
        assert done.returncode == -signal.SIGKILL
    (tmp_path / "mine.darkfuse-notes.part").write_text("not ours")
    with WholeFile(str(tmp_path / "living.json")) as out:
        assert len(parts(tmp_path)) == 1  # the living one: three killed writers' parts are gone
        out.write("lives")
        code = "import sys; from darkfuse.host.files import write_whole; write_whole(sys.argv[1], 'x')"
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "other.json")], check=True)
    assert (tmp_path / "living.json").read_text() == "lives"
    assert sorted(os.listdir(tmp_path)) == ["living.json", "mine.darkfuse-notes.part", "other.json"]


def test_long_names(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 127)
    write_whole(str(path), "x")
    assert path.read_text() == "x"


def test_lines_go_on_after_a_torn_one(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text('{"a": 1}\n{"b')
    with Lines(str(path), append=True) as lines:
        lines.write('{"c": 2}')
        lines.write('{"d": 3}')
    assert path.read_text() == '{"a": 1}\n{"b\n{"c": 2}\n{"d": 3}\n'
    with Lines(str(path)) as lines:
        lines.write("{}")
    assert path.read_text() == "{}\n"


def test_detect_writes_json_through_a_device(command: Command, root: Path, tmp_path: Path) -> None:
    null = tmp_path / "null"
    null.symlink_to("/dev/null")
    photo = root / "docs" / "images" / "cat.jpg"
    done = command("darkfuse", "detect", photo, "--json", null, "--no-draw", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert null.is_symlink() and null.is_char_device() and os.listdir(tmp_path) == ["null"]
    done = command("darkfuse", "detect", photo, "--json", FULL, "--no-draw", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "darkfuse: /dev/full: cannot write the JSON: No space left on device\n"
