"""Threads that leave files mapped where they are.

Pages of program files may be given back only where no other thread could put memory of its own at their
addresses meanwhile. A thread of pure Python that neither looks up names nor loads libraries cannot: who gives
back holds the interpreter's lock. Such threads are registered here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # who has only one thread does without it
    import threading

_threads: list[threading.Thread] = []


def is_quiet(thread: threading.Thread) -> None:
    """Have it known that a thread is such a one; to be said once it runs."""
    _threads[:] = [one for one in _threads if one.is_alive()]
    _threads.append(thread)


def quiet_threads() -> int:
    """How many such threads there are."""
    return sum(one.is_alive() for one in _threads)
