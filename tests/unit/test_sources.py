"""Sources of frames: how they are told apart, and what is said when one is not there."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest

from darkfuse.errors import ImageError
from darkfuse.media.capture import Capture
from darkfuse.media.opencv import opencv
from darkfuse.media.sources import has_gstreamer, is_camera, open_source, shown


@pytest.mark.parametrize(("source", "camera", "name"), [
    (1, True, "camera 1"),
    ("film.mp4", False, "film.mp4"),
    ("rtsp://me:secret@cam/1", True, "rtsp://cam/1"),
    ("libcamera:1", True, "libcamera:1"),
    ("v4l2src ! videoconvert ! appsink", True, "GStreamer: v4l2src ! videoconvert ! appsink"),
    ("filesrc location=a.mp4 ! decodebin", False, "GStreamer: filesrc location=a.mp4 ! decodebin"),
    ("rtspsrc location=rtsp://me:secret@cam/1 ! decodebin", True,
     "GStreamer: rtspsrc location=rtsp://cam/1 ! decodebin"),
])
def test_sources_are_told_apart(source: int | str, camera: bool, name: str) -> None:
    assert is_camera(source) == camera
    assert "secret" not in shown(source)
    if "location=rtsp" not in name:
        assert shown(source) == name


@pytest.mark.parametrize(("source", "says"), [
    (77, "/dev/video77 is not there"), ("libcamera", "picamera2"), ("none.mp4", "No such file"),
])
def test_what_is_missing_is_said_in_one_line(source: int | str, says: str) -> None:
    with pytest.raises(ImageError, match=says) as caught:
        open_source(opencv(), source)
    assert "\n" not in str(caught.value)


def test_gstreamer_runs_or_says_what_lacks_it() -> None:
    cv2 = opencv()
    pipeline = "videotestsrc num-buffers=5 ! video/x-raw,width=64,height=48 ! videoconvert ! appsink"
    if not has_gstreamer(cv2):
        with pytest.raises(ImageError, match="built without it"):
            open_source(cv2, pipeline)
        return
    good, frame = open_source(cv2, pipeline).read()
    assert good and frame.shape == (48, 64, 3)


def test_a_boards_camera_is_used_as_its_manual_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in that knows only what picamera2's manual names, and refuses any other order of calls."""
    calls: list[str] = []

    class Picamera2:
        camera_controls: dict[str, Any] = {"FrameDurationLimits": (33333, 120000, None)}

        def __init__(self, number: int) -> None:
            calls.append(f"open {number}")

        def create_video_configuration(self, main: dict[str, Any]) -> dict[str, Any]:
            assert main["format"] == "RGB888"
            return main

        def configure(self, config: dict[str, Any]) -> None:
            self.size = config["size"]
            calls.append("configure")

        def start(self) -> None:
            assert calls[-1] == "configure"
            calls.append("start")

        def capture_array(self, name: str) -> np.ndarray:
            assert name == "main" and "start" in calls
            return np.full((self.size[1], self.size[0], 3), 7, np.uint8)

        def stop(self) -> None:
            calls.append("stop")

        def close(self) -> None:
            calls.append("close")

    module = types.ModuleType("picamera2")
    module.Picamera2 = Picamera2  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "picamera2", module)
    with Capture("libcamera:1") as camera:
        frame = camera.take(5)
        assert frame is not None and frame.image.shape == (720, 1280, 3)
        assert camera.fps == pytest.approx(30, 0.01)
        assert camera.live and camera.name == "libcamera:1"
    assert calls == ["open 1", "configure", "start", "stop", "close"]
