"""Threads that fetch pictures for calls that name an address, then let them queue."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from darkfuse.live.serve.fetch import TOTAL_S, Rules, Unfetched, fetch
from darkfuse.live.serve.upload import PictureFile
from darkfuse.live.web.http import Refused

if TYPE_CHECKING:
    from darkfuse.live.serve.door import Door

THREADS = 2


class Fetcher:
    """At most `places` calls under way, each given no more than its deadline.

    Parameters
    ----------
    rules : Rules
    most : int
        Bytes of a picture.
    """

    def __init__(self, rules: Rules, most: int, places: int) -> None:
        self._rules, self._most, self._places = rules, most, places
        self._calls: deque[tuple[Any, float]] = deque()
        self._busy = 0
        self._there = threading.Condition()
        self._stop = False
        self._threads: list[threading.Thread] = []
        self._door: Any = None

    def start(self, door: Door) -> None:
        """Fetch for `door` from now on; threads begin with the first calls, for stacks are memory too."""
        self._door = door

    def put(self, call: Any, seconds: float) -> bool:
        """Take a call; False when too many are under way."""
        with self._there:
            if len(self._calls) + self._busy >= self._places:
                return False
            if len(self._threads) < THREADS and len(self._calls) + self._busy >= len(self._threads):
                self._begin()
            if not self._threads:
                return False
            self._calls.append((call, time.monotonic() + seconds))
            self._there.notify()
            return True

    def _begin(self) -> None:
        """One thread more, if the system has one left."""
        name = f"fetch-{len(self._threads)}"
        thread = threading.Thread(target=self._run, args=(self._door,), name=name, daemon=True)
        with contextlib.suppress(RuntimeError):
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """Begin nothing new; a thread that waits for an answer ends with the process."""
        with self._there:
            self._stop = True
            self._there.notify_all()

    def _run(self, door: Door) -> None:
        while True:
            with self._there:
                while not self._calls and not self._stop:
                    self._there.wait()
                if self._stop:
                    return
                call, until = self._calls.popleft()
                self._busy += 1
            try:
                if not call.job.dead:
                    self._one(door, call, until)
            finally:
                with self._there:
                    self._busy -= 1

    def _one(self, door: Door, call: Any, until: float) -> None:
        from darkfuse.live.serve.door import refusal

        began = time.monotonic()
        file = PictureFile(self._most)
        try:
            fetch(call.ask.url, file, self._rules, max(0.0, min(TOTAL_S, until - began)))
            call.job.seconds["fetch"] = time.monotonic() - began
            call.picture, file = file, PictureFile(0)
            door.enqueue(call)
        except Unfetched as error:
            door.finish(call, refusal(call.route, Refused(400, message=f"Failed to get image: {error}")))
        except Refused as refused:
            door.finish(call, refusal(call.route, refused), refused.header)
        except Exception as error:  # a fault of ours costs this call, not the thread
            words = f"{type(error).__name__}: {error}"
            door.finish(call, refusal(call.route, Refused(500, message=words)))
        finally:
            file.close()
