"""GStreamer pipelines as sources, with the system's own OpenCV: those of PyPI are built without GStreamer.

Debian: python3-opencv, gstreamer1.0-plugins-base, gstreamer1.0-plugins-good. The native code of this checkout
must be built for the system's Python too, as it is where both are the same version.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from video import make_video

PYTHON = next((path for path in ("/usr/bin/python3", shutil.which("python3") or "") if path and
               Path(path).resolve() != Path(sys.executable).resolve()), "")
ASK = """
import sys
import cv2
from darkfuse.media.sources import has_gstreamer
import darkfuse.media._rows
sys.exit(not has_gstreamer(cv2))
"""
TAKE = """
import sys
from darkfuse.media.capture import Capture
with Capture(sys.argv[1]) as capture:
    frames = []
    while len(frames) < int(sys.argv[2]) and not (capture.ended and capture.idle):
        frame = capture.take(1.0)
        if frame is not None:
            frames.append((frame.number, frame.image.shape, int(frame.image.mean())))
    print(len(frames), frames[-1][1], frames[0][2] > 0, capture.live)
"""


def run(code: str, root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.run([PYTHON, "-c", code, *words], env=env, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module", autouse=True)
def system(root: Path) -> None:
    if not PYTHON or run(ASK, root).returncode:
        pytest.skip("the system's python3 has no OpenCV with GStreamer (Debian: python3-opencv)")


def test_a_file_through_a_pipeline(root: Path, tmp_path: Path) -> None:
    film = make_video(tmp_path / "film.avi", 12)
    done = run(TAKE, root, f"filesrc location={film} ! avidemux ! jpegdec", "99")
    assert done.stdout == "12 (240, 320, 3) True False\n", done.stderr


def test_a_live_source(root: Path) -> None:
    pipeline = "videotestsrc is-live=true ! video/x-raw,width=320,height=180,framerate=30/1"
    done = run(TAKE, root, pipeline, "5")
    assert done.stdout == "5 (180, 320, 3) True True\n", done.stderr


def test_the_command(root: Path, tmp_path: Path) -> None:
    film = make_video(tmp_path / "film.avi", 4)
    words = ["demo", "--video", f"filesrc location={film} ! avidemux ! jpegdec", "--no-window", "--thresh",
             "0.1", "--json-lines", str(tmp_path / "lines")]
    env = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run([PYTHON, "-m", "darkfuse", *words], env=env, capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "lines").read_text().splitlines()) == 4


def test_a_pipeline_that_cannot_run_is_one_line(root: Path) -> None:
    words = ["demo", "--video", "nonsensesrc ! appsink", "--no-window"]
    env = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run([PYTHON, "-m", "darkfuse", *words], env=env, capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 2 and "GStreamer cannot run this pipeline" in done.stderr


WRITE = """
import sys
import cv2, numpy
from darkfuse.media.writer import Writer
with Writer(sys.argv[1], 64, 48, 10.0, False, True) as writer:
    for level in range(30):
        writer.add(numpy.full((48, 64, 3), 8 * level, numpy.uint8), 0.0)
video = cv2.VideoCapture(sys.argv[1])
code, count = (int(video.get(which)) for which in (cv2.CAP_PROP_FOURCC, cv2.CAP_PROP_FRAME_COUNT))
print(code.to_bytes(4, "little").decode(), count)
"""


def test_films_for_browsers_are_h264(root: Path, tmp_path: Path) -> None:
    done = run(WRITE, root, str(tmp_path / "out.mp4"))
    assert done.stdout in ("avc1 30\n", "h264 30\n"), done.stderr
