"""Pictures waiting to be looked at: a bounded number, each camera in its turn, nothing nobody waits for.

Whoever takes a job out of the queue owns its picture, and lets it go.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any, Callable

from darkfuse.host.record import dataclass, field


@dataclass(eq=False)
class Job:
    """One picture, and who waits for what is in it.

    Attributes
    ----------
    camera : str
        Whose turn it takes.
    newest : bool
        A newer picture of the same camera takes its place.
    dead : bool
        Nobody waits any more.
    call : Any
        Who waits.
    seconds : dict of str to float
        What its stages took.
    objects : int or None
        How many were found.
    run : callable, optional
        What there is to do instead of looking at the picture of a call.
    """

    camera: str
    newest: bool = False
    dead: bool = False
    objects: int | None = None
    run: Callable[[], None] | None = None
    call: Any = None
    seconds: dict[str, float] = field(default_factory=dict)


class Queue:
    """At most `most` jobs, from any thread; `take` gives them camera by camera."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._cameras: dict[str, deque[Job]] = {}
        self._count = 0
        self._there = threading.Condition()

    def __len__(self) -> int:
        return self._count

    def put(self, job: Job) -> tuple[bool, list[Job]]:
        """Let a job wait; gives whether it may, and the jobs that had to go for it.

        Those are an older picture of a camera of which only the newest is wanted, or, where all places are
        taken, the last of the camera that holds most of them, if that is more than this one would hold.
        """
        with self._there:
            if job.dead:
                return False, []
            waiting = self._cameras.get(job.camera, ())
            gone = [old for old in waiting if old.newest] if job.newest else []
            for old in gone:
                self._remove(old)
            if self._count >= self.most:
                greedy = max(self._cameras.values(), key=len)
                if len(greedy) <= len(self._cameras.get(job.camera, ())) + 1:
                    return False, gone
                gone.append(greedy[-1])
                self._remove(greedy[-1])
            self._cameras.setdefault(job.camera, deque()).append(job)
            self._count += 1
            self._there.notify()
            return True, gone

    def take(self, seconds: float) -> Job | None:
        """The next job, None when there is none for so long or `wake` is called."""
        with self._there:
            if not self._count:
                self._there.wait(seconds)
            if not self._count:
                return None
            camera = next(iter(self._cameras))
            jobs = self._cameras.pop(camera)
            job = jobs.popleft()
            self._count -= 1
            if jobs:
                self._cameras[camera] = jobs  # at the end: the others first
            return job

    def cancel(self, job: Job) -> bool:
        """Nobody waits for this one any more; gives whether it was still in the queue."""
        with self._there:
            job.dead = True
            return self._remove(job)

    def wake(self) -> None:
        """Have `take` return."""
        with self._there:
            self._there.notify_all()

    def _remove(self, job: Job) -> bool:
        jobs = self._cameras.get(job.camera)
        if jobs is None or job not in jobs:
            return False
        jobs.remove(job)
        self._count -= 1
        if not jobs:
            del self._cameras[job.camera]
        return True
