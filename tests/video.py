"""Videos to try with, and `darkfuse demo` as people start it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def make_video(path: Path, frames: int, fps: float = 10.0, size: tuple[int, int] = (320, 240)) -> Path:
    """A camera that wanders over the sample photo of a person; every frame differs from the one before."""
    import cv2

    photo = cv2.imread(str(ROOT / "docs" / "images" / "astronaut.jpg"))
    high, wide = photo.shape[:2]
    film = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), fps, size)
    for number in range(frames):
        # back and forth, by 2 pixels a frame
        at = number * 2 % 120
        shift = at if at < 60 else 120 - at
        part = photo[shift: high - 60 + shift, shift // 2: wide - 60 + shift // 2]
        film.write(cv2.resize(part, size, interpolation=cv2.INTER_AREA))
    film.release()
    return path


class Demo:
    """A running `darkfuse demo`, with what it says."""

    def __init__(self, *words: Any, cwd: Path, env: dict[str, str] | None = None) -> None:
        home = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
        if not env or "DISPLAY" not in env:
            home.pop("DISPLAY", None)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "darkfuse", "demo", *map(str, words)], cwd=cwd, env=home,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.said: list[str] = []
        self.printed: list[str] = []
        self._readers = [threading.Thread(target=self._read, args=pair, daemon=True) for pair in (
            (self.process.stderr, self.said), (self.process.stdout, self.printed))]
        for reader in self._readers:
            reader.start()

    def _read(self, source: Any, lines: list[str]) -> None:
        for line in source:
            lines.append(line.rstrip("\n"))

    def __enter__(self) -> Demo:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def wait_for(self, part: str, seconds: float = 60, after: int = 0) -> str:
        """The line on standard error with `part` in it, once it is there."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for line in self.said[after:]:
                if part in line:
                    return line
            if self.process.poll() is not None and not self._readers[0].is_alive():
                break
            time.sleep(0.05)
        raise AssertionError(f"{part!r} was never said, but {self.said}")

    def url(self) -> str:
        """Of its page."""
        return self.wait_for("watch at").rpartition(" ")[2]

    def end(self, number: int = signal.SIGINT, seconds: float = 60) -> int:
        """Interrupt it, wait, and give its exit status."""
        self.process.send_signal(number)
        return self.finish(seconds)

    def finish(self, seconds: float = 120) -> int:
        """Wait for its end."""
        status = self.process.wait(seconds)
        for reader in self._readers:
            reader.join(10)
        return status

    def status(self, name: str) -> int:
        """A number from /proc/PID/status, like VmHWM (kB) or Threads."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1])
        raise KeyError(name)

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))
