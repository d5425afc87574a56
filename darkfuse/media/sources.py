"""Where frames come from: V4L2 cameras, boards' own cameras, GStreamer pipelines, streams and files.

Each opens as something that reads like OpenCV's VideoCapture: `read(buffer)`, `get(property)`, `release()`.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from darkfuse.errors import ImageError

OPEN_MS, READ_MS = 5000, 5000  # a stream that is silent for so long is lost
BOARD = "libcamera"
BOARD_SIZE = (1280, 720)


def is_board_camera(source: int | str) -> bool:
    """Whether a source is a board's own camera: `libcamera`, or `libcamera:1` for the second."""
    head, _, number = str(source).partition(":")
    return head == BOARD and (number.isdigit() or not number)


def is_pipeline(source: int | str) -> bool:
    """Whether a source is a GStreamer pipeline: elements joined by `!`."""
    return isinstance(source, str) and " ! " in source


def is_camera(source: int | str) -> bool:
    """Whether a source goes on for ever, and is to be waited for when it is lost."""
    return (isinstance(source, int) or is_board_camera(source) or "://" in source
            or (is_pipeline(source) and "filesrc" not in source))


def shown(source: int | str) -> str:
    """What to call a source: a stream without the user and password in its address."""
    if isinstance(source, int):
        return f"camera {source}"
    if is_pipeline(source):
        return "GStreamer: " + " ! ".join(shown(part) for part in source.split(" ! "))
    scheme, mark, rest = source.partition("://")
    if not mark:
        return source
    place, slash, path = rest.partition("/")
    return scheme + mark + place.rpartition("@")[2] + slash + path


def open_source(cv2: Any, source: int | str) -> Any:
    """The source as something like a VideoCapture. Raises `ImageError` with what to do about it."""
    if is_board_camera(source):
        return BoardCamera(cv2, int(str(source).partition(":")[2] or 0))
    if isinstance(source, int):
        video, why = _v4l2(cv2, source), "cannot be opened; another program may be using it"
    elif is_pipeline(source):
        video, why = _gstreamer(cv2, source), "GStreamer cannot run this pipeline; try it with gst-launch-1.0"
    else:
        video = _film(cv2, source)
        why = "not a video that can be played" if "://" not in source else "nobody answers there"
    if not video.isOpened():
        video.release()
        raise ImageError(f"{shown(source)}: {why}")
    return video


def _v4l2(cv2: Any, number: int) -> Any:
    device = f"/dev/video{number}"
    if sys.platform.startswith("linux") and not os.path.exists(device):
        raise ImageError(f"{shown(number)}: {device} is not there; plug the camera in, name another with "
                         f"--camera ({BOARD} for a board's own), or play a file with --video")
    video = cv2.VideoCapture(number, cv2.CAP_V4L2 if sys.platform.startswith("linux") else cv2.CAP_ANY)
    video.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return video


def has_gstreamer(cv2: Any) -> bool:
    """Whether this OpenCV can run GStreamer; its list of backends names it even where it is not there."""
    registry = cv2.videoio_registry
    if hasattr(registry, "hasBackend"):  # OpenCV 4.6
        return bool(registry.hasBackend(cv2.CAP_GSTREAMER))
    return cv2.CAP_GSTREAMER in registry.getBackends()


def _gstreamer(cv2: Any, pipeline: str) -> Any:
    if not has_gstreamer(cv2):
        raise ImageError("GStreamer: this OpenCV was built without it, as those of PyPI are; Debian's "
                         "python3-opencv has it")
    if "appsink" not in pipeline:
        pipeline += " ! videoconvert ! video/x-raw,format=BGR ! appsink max-buffers=1"
        pipeline += " drop=true" if is_camera(pipeline) else ""
    return cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER)


def _film(cv2: Any, source: str) -> Any:
    if "://" not in source:
        try:
            open(source, "rb").close()
        except OSError as error:
            raise ImageError(f"{source}: cannot read the video: {error.strerror}") from None
    backend = cv2.CAP_FFMPEG
    if backend not in cv2.videoio_registry.getBackends():
        backend = cv2.CAP_ANY
    limits = []
    if hasattr(cv2, "CAP_PROP_OPEN_TIMEOUT_MSEC"):  # OpenCV 4.5.2
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_MS]
    return cv2.VideoCapture(source, backend, limits)


class BoardCamera:
    """A board's own camera through picamera2, the Raspberry Pi's Python for libcamera.

    Written to picamera2's documented interface and untested on a camera: there was none. Its format "RGB888"
    holds blue first, as OpenCV's arrays do.
    """

    def __init__(self, cv2: Any, number: int) -> None:
        name = f"{BOARD}:{number}"
        try:
            from picamera2 import Picamera2
        except ImportError as error:
            raise ImageError(f"{name}: picamera2 cannot be loaded ({error}); on Raspberry Pi OS: apt install "
                             "python3-picamera2, and a venv made with --system-site-packages") from None
        self._cv2 = cv2
        try:
            self._camera = Picamera2(number)
            self._camera.configure(self._camera.create_video_configuration(
                main={"format": "RGB888", "size": BOARD_SIZE}))
            self._camera.start()
        except (RuntimeError, IndexError) as error:
            raise ImageError(f"{name}: cannot be opened: {error}; rpicam-hello --list-cameras tells which "
                             "there are") from None

    def read(self, buffer: Any = None) -> tuple[bool, Any]:
        """The next frame, copied into `buffer` where that fits."""
        try:
            frame = self._camera.capture_array("main")
        except RuntimeError:
            return False, None
        if buffer is not None and buffer.shape == frame.shape:
            buffer[:] = frame
            return True, buffer
        return True, frame

    def get(self, prop: int) -> float:
        """Frames a second where that is asked; 0 for the rest."""
        if prop != self._cv2.CAP_PROP_FPS:
            return 0.0
        limits = self._camera.camera_controls.get("FrameDurationLimits")
        return 1e6 / limits[0] if limits and limits[0] else 0.0

    def release(self) -> None:
        """Stop it and let it go."""
        self._camera.stop()
        self._camera.close()
