"""How fast the storage is that a file lies on, from reading the file."""

from __future__ import annotations

import mmap
import os
import threading
import time

from darkfuse.errors import WeightsError

PIECE = 1 << 20  # bytes of a read: large ones cost their bytes, as the planner counts the others apart
READERS = 2  # reads at a time, as the engine has
LEAST = 4 * PIECE  # a smaller file says too little


def reading_rate(path: str, seconds: float) -> float:
    """GB/s of reads past the page cache: of the whole file, or of what comes in `seconds`.

    A file system without such reads is read through the page cache, which lets go of the file first.

    Raises
    ------
    WeightsError
        The file cannot be read, or is too small to tell.
    """
    try:
        plain = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror}") from None
    try:
        size = os.fstat(plain).st_size
        if size < LEAST:
            raise WeightsError(f"{path}: {size} bytes are too few to measure its storage with; name a file "
                               f"of {LEAST >> 20} MB or more")
        direct = _direct(path)
        try:
            return _rate(plain if direct is None else direct, size, seconds, past_cache=direct is not None)
        except OSError as error:
            raise WeightsError(f"{path}: {error.strerror}") from None
        finally:
            if direct is not None:
                os.close(direct)
    finally:
        os.close(plain)


def _direct(path: str) -> int | None:
    """The file opened for reads past the page cache; None where its file system has none."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT)
    except (AttributeError, OSError):
        return None
    try:
        with mmap.mmap(-1, mmap.PAGESIZE) as page:
            os.preadv(file, [page], 0)
    except OSError:  # opened, and then refused
        os.close(file)
        return None
    return file


def _rate(file: int, size: int, seconds: float, past_cache: bool) -> float:
    if not past_cache and hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    begun = time.perf_counter()
    pieces = iter(range(0, size // PIECE * PIECE, PIECE))
    lock, done = threading.Lock(), [0]
    failed: list[OSError] = []

    def read() -> None:
        try:
            with mmap.mmap(-1, PIECE) as room:
                while not failed:
                    over = done[0] > 0 and time.perf_counter() > begun + seconds
                    with lock:
                        at = None if over else next(pieces, None)
                    if at is None:
                        return
                    got = os.preadv(file, [room], at)
                    with lock:
                        done[0] += got
        except OSError as error:
            failed.append(error)

    team = [threading.Thread(target=read) for _ in range(READERS)]
    for thread in team:
        thread.start()
    for thread in team:
        thread.join()
    if failed:
        raise failed[0]
    return round(done[0] / (time.perf_counter() - begun) * 1e-9, 6)
