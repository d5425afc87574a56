"""A memory cgroup of our own, version 1 or 2: made, limited, read and removed."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

from darkfuse.errors import DarkfuseError


class Group:
    """A memory cgroup of our own, below this process's group where that is writable, else below the root."""

    def __init__(self) -> None:
        tried = []
        for parent, version in _parents():
            path = parent / f"darkfuse-{os.getpid()}-{time.monotonic_ns()}"
            try:
                if version == 2 and "memory" not in _read(parent / "cgroup.subtree_control").split():
                    (parent / "cgroup.subtree_control").write_text("+memory")
                path.mkdir()
            except OSError as error:
                tried.append(f"{parent}: {error.strerror}")
                continue
            self.path, self.version = path, version
            return
        where = "; ".join(tried) or "no memory controller is mounted"
        raise DarkfuseError(
            f"memory cgroups are not writable here ({where}); run as root or in a delegated group"
        )

    def limit(self, size: int, swap: bool) -> None:
        if self.version == 2:
            self._write("memory.max", size)
            if (self.path / "memory.swap.max").exists():
                self._write("memory.swap.max", "max" if swap else 0)
            return
        self._write("memory.limit_in_bytes", size)
        if not swap:
            self._write("memory.swappiness", 0)
            # memory and swap together are held to the same limit; absent without swap accounting
            if (self.path / "memory.memsw.limit_in_bytes").exists():
                self._write("memory.memsw.limit_in_bytes", size)

    def peak(self) -> int:
        name = "memory.peak" if self.version == 2 else "memory.max_usage_in_bytes"
        try:
            return int(_read(self.path / name))
        except OSError:
            raise DarkfuseError(
                f"this kernel keeps no {name}; Linux 5.19 or later, or cgroup v1, does"
            ) from None

    def swap_peak(self) -> int | None:
        """Most swap in use at once, or None where the kernel does not keep it."""
        mark = self.path / "memory.swap.peak"
        return int(_read(mark)) if mark.exists() else None

    def swap_now(self) -> int:
        if self.version == 2:
            now = self.path / "memory.swap.current"
            return int(_read(now)) if now.exists() else 0
        return self.stat().get("swap", 0)

    def stat(self) -> dict[str, int]:
        pairs = (line.split() for line in _read(self.path / "memory.stat").splitlines())
        return {key: int(value) for key, value in pairs}

    def oom_kills(self) -> int:
        events = _read(self.path / ("memory.events" if self.version == 2 else "memory.oom_control"))
        return int(dict(line.split() for line in events.splitlines()).get("oom_kill", 0))

    def kill(self) -> None:
        """End whatever runs in the group."""
        for pid in _read(self.path / "cgroup.procs").split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)

    def close(self) -> None:
        """End whatever still runs in the group and remove it."""
        for _ in range(500):
            self.kill()
            try:
                self.path.rmdir()
                return
            except OSError:  # still busy: the killed are not gone yet
                time.sleep(0.01)
        print(f"{self.path}: the group is still busy; remove it with rmdir", file=sys.stderr)

    def _write(self, name: str, value: int | str) -> None:
        try:
            (self.path / name).write_text(str(value))
        except OSError as error:
            raise DarkfuseError(f"{self.path / name}: cannot set {value}: {error.strerror}") from None


class Throttle:
    """A block device held to a rate, for whoever is in this group of cgroup v1's blkio controller.

    Reads past the page cache and pages coming back from swap count; what the page cache writes back later
    does not, which v1 charges to nobody.

    Parameters
    ----------
    path : str
        A file on the device.
    rate : int
        Bytes a second, for reads and for writes alike.
    """

    def __init__(self, path: str, rate: int) -> None:
        number = os.stat(path).st_dev
        disk = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()
        if (disk / "partition").exists():
            disk = disk.parent  # the controller knows whole disks only
        self.path = Path(f"/sys/fs/cgroup/blkio/darkfuse-{os.getpid()}-{time.monotonic_ns()}")
        try:
            device = _read(disk / "dev").strip()
            self.path.mkdir()
            for what in ("read", "write"):
                (self.path / f"blkio.throttle.{what}_bps_device").write_text(f"{device} {rate}")
        except OSError as error:
            raise DarkfuseError(f"{path}: its device cannot be throttled: {error}") from None

    def close(self) -> None:
        """Remove the group; whoever was in it has ended."""
        self.path.rmdir()


def _read(path: Path) -> str:
    return path.read_text()


def _parents() -> list[tuple[Path, int]]:
    """Where a group may be made, best first, with the cgroup version found there."""
    own: dict[str, str] = {}
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        for name in controllers.split(","):
            own[name] = path
    found = []
    for line in _read(Path("/proc/self/mounts")).splitlines():
        _, mount, kind, options = line.split()[:4]
        if kind == "cgroup" and "memory" in options.split(","):
            version, below = 1, own.get("memory", "/")
        elif kind == "cgroup2" and "memory" in _read(Path(mount) / "cgroup.controllers").split():
            version, below = 2, own.get("", "/")
        else:
            continue
        inside = Path(mount + below)
        found += [
            (path, version) for path in dict.fromkeys((inside, inside.parent, Path(mount))) if path.is_dir()
        ]
    return [(path, version) for path, version in found if str(path).startswith("/sys/fs/cgroup")]


def machine_swap() -> int:
    """Bytes of swap this machine has."""
    rows = _read(Path("/proc/swaps")).splitlines()[1:]
    return sum(int(row.split()[2]) << 10 for row in rows)


def drop_from_page_cache(path: str) -> None:
    """Take one file out of the page cache, so that whoever reads it next is charged for it."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise DarkfuseError(f"{path}: cannot be opened for --cold: {error.strerror}") from None
    try:
        os.fsync(fd)  # dirty pages would stay
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)
