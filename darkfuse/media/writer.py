"""A video file of what was seen: written under another name, complete and in its place when closed."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import Any

from darkfuse.errors import ImageError
from darkfuse.host.files import WholeFile
from darkfuse.media.mp4 import check_whole
from darkfuse.media.opencv import opencv

# What the encoder comes to hold: frames and work, measured at 768x576 and 1920x1080
BYTES, PIXEL_BYTES = 3 << 20, 9

# Left free of the storage so that the video can be finished: what the encoder has not written yet, and its
# table, of which each frame takes some 20 bytes
ROOM, FRAME_ROOM = 2 << 20, 24

CODECS = {".mp4": ("avc1", "mp4v"), ".avi": ("DIVX",)}  # the first for browsers
LONGEST = 10.0  # seconds one frame is shown at most, when nothing came after it


class Writer:
    """An .mp4 file: H.264, which browsers play, or MPEG-4 Part 2, which every build of OpenCV can write. An
    .avi file is MPEG-4 Part 2, as Darknet's.

    Parameters
    ----------
    path : str
        Where it goes. Until `close` it is beside that place, under another name.
    width, height : int
        Of the frames.
    fps : float
        Frames a second of the file.
    timed : bool
        The frames come at their own times: `add` repeats or leaves out frames, so that the video runs as
        fast as what it shows did.
    browsers : bool
        H.264 where this OpenCV has an encoder for it (Debian's has, those of PyPI have not). It holds some
        250 bytes a pixel, about ten times what MPEG-4 does.

    Raises
    ------
    ImageError
        The name ends neither in .mp4 nor in .avi, or the file cannot be written.
    """

    def __init__(self, path: str, width: int, height: int, fps: float, timed: bool,
                 browsers: bool = False) -> None:
        ending = os.path.splitext(path)[1].lower()
        if ending not in CODECS:
            raise ImageError(f"{path}: the video is written as MPEG-4; name it .mp4 or .avi")
        self._cv2, self.path, self._size = opencv(), path, (width, height)
        self._fps, self._timed = fps, timed
        self._start, self.frames, self._begun = 0.0, 0, 0
        self._video: Any = None
        self._file = WholeFile(path, "the video", ImageError, ending=ending, check=self._check)
        self._file.__enter__()
        try:
            self._has_room()
            for codec in CODECS[ending][0 if browsers else -1 :]:
                with quiet() if codec == "avc1" else contextlib.nullcontext():  # OpenCV reports what it lacks
                    self._video = self._cv2.VideoWriter(
                        self._file.part, self._cv2.VideoWriter_fourcc(*codec), fps, self._size)
                if self._video.isOpened():
                    break
            else:
                raise ImageError(f"{path}: this OpenCV cannot write MPEG-4 at {width}x{height}")
        except BaseException:
            self._file.drop()
            raise

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, image: Any, at: float) -> None:
        """Append a frame, (height, width, 3) uint8 BGR, that was seen at `at` seconds of any clock."""
        if (image.shape[1], image.shape[0]) != self._size:  # a camera that came back with another size
            image = self._cv2.resize(image, self._size)
        times = 1
        if self._timed:
            if not self.frames:
                self._start = at
            times = int((at - self._start) * self._fps) + 1 - self.frames
            most = max(1, round(self._fps * LONGEST))
            if times > most:
                times, self._start = most, at - (self.frames + most - 1) / self._fps
        for _ in range(times):
            self._begun = self.frames + 1  # an interrupt may come when it is written, and not counted yet
            self._video.write(image)
            self.frames += 1
        self._has_room()

    def close(self) -> None:
        """Finish the file and put it in its place, if it is whole; without a single frame there is none.

        Raises
        ------
        ImageError
            It is not whole; what was there before stays.
        """
        video, self._video = self._video, None
        if video is None:
            return
        try:
            video.release()
            if self.frames:
                self._file.commit()
        finally:
            self._file.drop()

    def _has_room(self) -> None:
        """The encoder goes on in silence where storage is full: ask, while what there is can be finished."""
        there = os.fstatvfs(self._file.file.fileno())
        if there.f_blocks and there.f_bavail * there.f_frsize < ROOM + FRAME_ROOM * self.frames:
            end = f"; it ends after {self.frames} frames" if self.frames else ""
            raise ImageError(f"{self.path}: cannot write the video: {os.strerror(errno.ENOSPC)}{end}")

    def _check(self, part: str) -> None:
        try:
            if part.endswith(".avi"):
                check_frames(self._cv2, part, self.frames)
            else:
                check_whole(part, self.frames, self._begun)
        except ImageError as error:
            full = os.fstatvfs(self._file.file.fileno()).f_bavail == 0
            why = os.strerror(errno.ENOSPC) if full else f"the encoder left it in part, {error}"
            raise ImageError(f"{self.path}: cannot write the video: {why}") from None


def check_frames(cv2: Any, path: str, frames: int) -> None:
    """Raise `ImageError` for a video whose index has fewer frames."""
    video = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
    there = int(video.get(cv2.CAP_PROP_FRAME_COUNT)) if video.isOpened() else 0
    video.release()
    if there < frames:
        raise ImageError(f"with {there} of {frames} frames")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Nothing that native code says meanwhile reaches standard error."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
