"""Storage with no room left: each output says so, and what was there before is still there, whole."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from video import make_video

ROOT = Path(__file__).resolve().parent.parent.parent


def on_small_storage(megabytes: float, before: str, words: list[object], keep: Path) -> tuple[int, str]:
    """Status and standard error of `darkfuse WORDS` on a file system of so many MB of its own, where the
    shell command `before` ran first. What it holds afterwards is copied to `keep`."""
    keep.mkdir()
    small = keep.parent / "small"
    small.mkdir(exist_ok=True)
    line = " ".join(shlex.quote(str(word)) for word in [sys.executable, "-m", "darkfuse", *words])
    script = (f"mount -t tmpfs -o size={int(megabytes * 1024)}k none {small} && cd {small} || exit 77\n"
              f"{before}\n{line} > {keep.parent}/said.out\nstatus=$?\ncp -a . {keep}\nexit $status")
    try:
        done = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True,
                              env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=300)
    except FileNotFoundError:
        pytest.skip("unshare is not installed: no file system to fill")
    if done.returncode == 77 or (done.returncode == 1 and "unshare" in done.stderr):
        pytest.skip(f"no file system of our own can be made here: {done.stderr.strip()}")
    return done.returncode, done.stderr


def frames_in(path: Path) -> int:
    video, count = cv2.VideoCapture(str(path)), 0
    while video.read()[0]:
        count += 1
    return count


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("film") / "film.avi", 60, size=(640, 480))


def test_a_full_disk_keeps_the_earlier_video(film: Path, tmp_path: Path) -> None:
    """From the start there is no room: nothing is begun, and the good video of before stays."""
    good = make_video(tmp_path / "good.mp4", 3)
    words = ["demo", "--video", film, "--out", "out.mp4", "--no-window"]
    status, said = on_small_storage(1.5, f"cp {good} out.mp4; head -c 1300K /dev/zero > rest", words,
                                    tmp_path / "keep")
    assert status == 2 and said == "darkfuse: out.mp4: cannot write the video: No space left on device\n"
    assert sorted(os.listdir(tmp_path / "keep")) == ["out.mp4", "rest"]
    assert (tmp_path / "keep" / "out.mp4").read_bytes() == good.read_bytes()


def test_a_disk_that_fills_up_ends_the_video_whole(film: Path, tmp_path: Path) -> None:
    words = ["demo", "--video", film, "--out", "out.mp4", "--no-window"]
    status, said = on_small_storage(2.2, "", words, tmp_path / "keep")
    assert status == 2 and "out.mp4: cannot write the video: No space left on device; it ends after" in said
    assert os.listdir(tmp_path / "keep") == ["out.mp4"]
    assert frames_in(tmp_path / "keep" / "out.mp4") == int(said.split()[-2])


def test_an_encoder_that_could_not_write_is_found_out(tmp_path: Path) -> None:
    """A limit of 60 KB a file: the encoder says nothing, and the video would not be readable."""
    good = make_video(tmp_path / "out.mp4", 3)
    before = good.read_bytes()
    code = ("import resource, sys, cv2\n"
            "from darkfuse.media.writer import Writer\n"
            "photo = cv2.resize(cv2.imread(sys.argv[2]), (320, 240))\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))\n"
            "with Writer(sys.argv[1], 320, 240, 10, timed=False) as writer:\n"
            "    for n in range(100):\n"
            "        photo[:, n:] ^= 1 + n\n"
            "        writer.add(photo, 0)\n")
    done = subprocess.run([sys.executable, "-c", code, good, ROOT / "docs" / "images" / "cat.jpg"],
                          capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert f"ImageError: {good}: cannot write the video: the encoder left it in part" in done.stderr
    assert os.listdir(tmp_path) == ["out.mp4"] and good.read_bytes() == before


def test_json_lines_that_find_no_room_stay_whole(film: Path, tmp_path: Path) -> None:
    words = ["demo", "--video", film, "--json-lines", "lines", "--no-window", "--thresh", "0.05"]
    status, said = on_small_storage(0.1, "head -c 88K /dev/zero > rest", words, tmp_path / "keep")
    assert status == 2 and said == "darkfuse: lines: cannot write JSON lines: No space left on device\n"
    lines = (tmp_path / "keep" / "lines").read_text().splitlines()
    assert lines and all(json.loads(line)["frame_id"] for line in lines)


@pytest.mark.parametrize("words, said", [
    (["detect", ROOT / "docs/images/cat.jpg", "--out", "a"], "a.jpg: cannot write the picture"),
    (["detect", ROOT / "docs/images/cat.jpg", "--no-draw", "--json", "a.json"],
     "a.json: cannot write the JSON"),
    (["detect", ROOT / "docs/images/cat.jpg", "--out", "a", "--mem", "64M"],
     "a.jpg: cannot write the picture"),
    (["plan", "darkfuse-voc7.cfg", "--mem", "64M", "--plot", "a.svg"], "a.svg: cannot write the plot"),
    (["calibrate", "--seconds", "1", "--anyway", "--out", "a.json", "--storage", "/tmp"],
     "a.json: cannot write the device profile"),
    (["calibrate", "--seconds", "1", "--storage", "."], ".: cannot write weights to measure with"),
])
def test_each_output_names_itself(words: list[object], said: str, tmp_path: Path) -> None:
    status, told = on_small_storage(0.1, "head -c 1M /dev/zero > rest 2> /dev/null; true", words,
                                    tmp_path / "keep")
    assert status == 2 and said in told and "No space left on device" in told and told.count("\n") == 1
    assert os.listdir(tmp_path / "keep") == ["rest"]
