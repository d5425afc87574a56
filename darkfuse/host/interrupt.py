"""Ctrl-C ends a program at once, with status 130 and no traceback, whatever it is doing.

Python raises KeyboardInterrupt at whatever line it has come to. In the middle of an import that can be a
callback that loses it, or a class that turns it into another error; and with nobody to catch it there is a
traceback.
Programs only: who uses the library decides about signals.
"""

import _signal  # what `signal` wraps in enums: importing those takes longer than everything here
import os
import sys

STATUS = 130  # as shells have it: 128 + SIGINT
_INT = _signal.SIGINT
_pressed = False


def end_at_once() -> None:
    """From here on Ctrl-C ends the process where it stands: nothing is there yet, or any more, to clean up.

    Where it is ignored, as in a shell's background, it stays so.
    """
    if _signal.getsignal(_INT) not in (_signal.SIG_IGN, None):
        _signal.signal(_INT, _signal.SIG_DFL)


def end_cleanly() -> None:
    """From here on Ctrl-C raises KeyboardInterrupt, and that ends the process even where it gets lost."""
    sys.excepthook = _uncaught
    sys.unraisablehook = _lost
    if _signal.getsignal(_INT) not in (_signal.SIG_IGN, None):
        _signal.signal(_INT, _raise)


def _raise(_number: int, _frame: object) -> None:
    global _pressed
    _pressed = True
    raise KeyboardInterrupt


def _uncaught(kind: type, error: BaseException, trace: object) -> None:
    _leave_if_pressed(kind)
    sys.__excepthook__(kind, error, trace)  # type: ignore[arg-type]


def _lost(what: object) -> None:
    _leave_if_pressed(getattr(what, "exc_type", None))
    sys.__unraisablehook__(what)  # type: ignore[arg-type]


def _leave_if_pressed(kind: object) -> None:
    if _pressed or kind is KeyboardInterrupt:
        os._exit(STATUS)
