"""A command line that starts anew in its own place, once it has found a plan.

A search takes 10 MB and more beside an interpreter. Where a budget has no room for two of them, the command
searches in its own process, keeps the plan in the cache folder and begins from the start: the heap that the
search has grown is the system's again, and the plan is there.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

_VARIABLE = "DARKFUSE_PLANNED"  # arenas already searched for, in bytes
_MOST = 4  # starts: a plan that does not fit is searched for once more, for a larger arena
_line: list[str] | None = None  # of this process, where it is a command's
_ready = False


def remember_command() -> None:
    """Where `darkfuse` begins: this process is a command line of ours, not a program that called us."""
    global _line
    given = getattr(sys, "orig_argv", None)  # from Python 3.10 on
    _line = [sys.executable, *given[1:]] if given else None


def ready(yes: bool) -> None:
    """Whether the command has read and written nothing yet, so that it may begin anew."""
    global _ready
    _ready = yes


def possible() -> bool:
    """Whether `begin` would."""
    return _ready and _line is not None and len(planned()) < _MOST


def planned() -> list[int]:
    """Arenas that earlier starts of this process have searched for."""
    return [int(word) for word in os.environ.get(_VARIABLE, "").split(",") if word.isdigit()]


def begin(arena: int) -> NoReturn:
    """Start this process's command anew; the plan for so many bytes is in the cache folder."""
    assert _line is not None
    sys.stdout.flush()
    sys.stderr.flush()
    os.environ[_VARIABLE] = ",".join(str(one) for one in (*planned(), arena))
    os.execv(_line[0], _line)
