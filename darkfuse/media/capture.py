"""Frames of a camera, a stream or a video file, read by a thread of its own.

A camera's frames are dropped, never queued: the thread keeps the newest only, so however slow detection is it
sees what is in front of the lens now. Three buffers go round: one being read into, one ready, one in use.
"""

from __future__ import annotations

import atexit
import threading
import time
from typing import Any, Callable, NamedTuple

from darkfuse.errors import ImageError
from darkfuse.media.opencv import opencv
from darkfuse.media.sources import is_camera, open_source, shown

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)  # seconds between attempts to get a camera back


class Frame(NamedTuple):
    """One picture.

    Attributes
    ----------
    number : int
        From 1, in the order of the source; dropped frames count too.
    image : ndarray
        (height, width, 3) uint8, BGR. The caller's to draw on, until the next `take`.
    at : float
        `time.monotonic()` when the source had delivered it.
    """

    number: int
    image: Any
    at: float


class Capture:
    """A source of frames.

    Parameters
    ----------
    source : int or str
        Number of a camera, path of a video file, the address of a stream (anything with `://`), `libcamera`
        or `libcamera:1` for a board's own, or a GStreamer pipeline (anything with ` ! `).
    realtime : bool
        Play a file as a camera would show it: at its own speed, dropping what detection has no time for.
        Otherwise every frame of a file is given, each once.
    say : callable
        Told in one line when a camera is lost and when it is back.

    Raises
    ------
    ImageError
        There is no such camera, stream or file, or it gives no picture.

    Attributes
    ----------
    name : str
        What to call it.
    live : bool
        Whether frames that come too fast are dropped.
    fps : float
        As the source says; 0 when it does not.
    width, height : int
        Of its frames.
    dropped : int
        Frames read and never taken.
    ended : bool
        A file has no more frames.
    lost : bool
        A camera is gone and being waited for.
    """

    def __init__(self, source: int | str, realtime: bool = False,
                 say: Callable[[str], None] = lambda _line: None) -> None:
        self._cv2 = opencv()
        self._source, self._say = source, say
        self._camera = is_camera(source)
        self.name = shown(source)
        self.live = self._camera or realtime
        self.dropped, self.ended, self.lost = 0, False, False
        self._video = open_source(self._cv2, self._source)
        good, first = self._video.read()
        if not good or first is None:
            self._video.release()
            raise ImageError(f"{self.name}: opened, but gives no picture")
        self.height, self.width = first.shape[:2]
        fps = self._video.get(self._cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps < 1000 else 0.0
        self._gap = 1 / (self.fps or 25)  # seconds from frame to frame, as they come
        self._pace = self._gap if realtime and not self._camera else 0.0
        self._number, self._at = 1, time.monotonic()
        self._ready: Frame | None = Frame(1, first, self._at)
        self._spare = [first.copy(), first.copy()]
        self._used: Any = None
        self._stop = False
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        # An interrupt can come before anybody has this object to close. Python ends a thread that still runs
        # at exit in the middle of OpenCV's C++, which then aborts the process.
        atexit.register(self.close)
        try:
            self._thread.start()
        except RuntimeError:
            self.close()
            self._video.release()
            raise ImageError(f"{self.name}: the system refuses a thread to read it with") from None

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def idle(self) -> bool:
        """No frame waits to be taken."""
        return self._ready is None

    def close(self) -> None:
        """Stop reading and let the source go."""
        with self._change:
            self._stop = True
            self._change.notify_all()
        if self._thread.ident is not None:
            self._thread.join(2)  # a driver that hangs keeps its thread; the program then leaves at once
        atexit.unregister(self.close)

    def take(self, timeout: float) -> Frame | None:
        """The newest frame not taken before, or None when none comes within `timeout` seconds.

        A frame of a camera that is nearer to the next one than to its own moment is left for that one: at
        worst half an interval is waited, and what is looked at is never older than that.
        """
        until = time.monotonic() + timeout
        with self._change:
            while True:
                now = time.monotonic()
                ready, wait = self._ready, until - now
                if ready is not None:
                    age = now - ready.at
                    if self.lost or not self.live or not self._gap / 2 < age < self._gap:
                        break
                    wait = min(wait, self._gap - age)
                if until <= now or (ready is None and self.ended):
                    return None
                self._change.wait(wait)
            if self._used is not None:
                self._spare.append(self._used)
            self._ready, self._used = None, ready.image
            self._change.notify_all()
            return ready

    def _run(self) -> None:
        while not self._stop:
            buffer = self._spare.pop()
            good, image = self._video.read(buffer)
            if good and image is not None:
                self._keep(image)
            elif self._camera:
                self._spare.append(buffer)
                self._find_again()
            else:
                break
        self._video.release()
        with self._change:
            self.ended = True
            self._change.notify_all()

    def _keep(self, image: Any) -> None:
        """Put a frame where `take` finds it; in a file played frame by frame wait until there is room."""
        with self._change:
            if self._pace:
                due = self._at + self._pace
                self._change.wait_for(lambda: self._stop, due - time.monotonic())
            while not self.live and self._ready is not None and not self._stop:
                self._change.wait()
            if self._ready is not None:
                self.dropped += 1
                self._spare.append(self._ready.image)
            now = time.monotonic()
            if self.live:
                self._gap += 0.1 * (now - self._at - self._gap)
            self._number, self._at = self._number + 1, now
            self.height, self.width = image.shape[:2]
            self._ready = Frame(self._number, image, now)
            self._change.notify_all()

    def _find_again(self) -> None:
        """A camera that went away: try to open it until it is back."""
        self.lost, since, tries = True, time.monotonic(), 0
        self._say(f"{self.name}: lost; trying to get it back")
        self._video.release()
        while not self._stop:
            with self._change:
                self._change.wait_for(lambda: self._stop, PAUSES[min(tries, len(PAUSES) - 1)])
            tries += 1
            if self._stop:
                return
            try:
                self._video = open_source(self._cv2, self._source)
            except ImageError:
                continue
            good, image = self._video.read()
            if good and image is not None:
                self._say(f"{self.name}: back after {time.monotonic() - since:.0f} s")
                self.lost, self._at = False, time.monotonic() - self._gap
                self._spare.pop()
                self._keep(image)
                return
            self._video.release()
