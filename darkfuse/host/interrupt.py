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
# These end a program too, and what it had begun to write must go: from a service manager, a closed terminal
_ENDINGS = (_signal.SIGTERM, _signal.SIGHUP)
_INT = _signal.SIGINT
_pressed = 0  # the signal, once it came


def end_at_once() -> None:
    """From here on Ctrl-C ends the process where it stands: nothing is there yet, or any more, to clean up.

    Where it is ignored, as in a shell's background, it stays so.
    """
    _drop_parts()
    if _signal.getsignal(_INT) not in (_signal.SIG_IGN, None):
        _signal.signal(_INT, _signal.SIG_DFL)
    for number in _ENDINGS:
        if _signal.getsignal(number) is _raise:
            _signal.signal(number, _signal.SIG_DFL)


def end_cleanly() -> None:
    """From here on Ctrl-C raises KeyboardInterrupt, and that ends the process even where it gets lost."""
    sys.excepthook = _uncaught
    sys.unraisablehook = _lost
    if _signal.getsignal(_INT) not in (_signal.SIG_IGN, None):
        _signal.signal(_INT, _raise)
    for number in _ENDINGS:
        if _signal.getsignal(number) == _signal.SIG_DFL:
            _signal.signal(number, _raise)


def leave(code: int) -> int:
    """`code`, to end with; where another thread still runs (a camera's driver that hangs) it ends here.

    Python would end that thread wherever it is, and C++ in it would abort the process.
    """
    threads = sys.modules.get("threading")
    if threads is not None and threads.active_count() > 1:
        from contextlib import suppress

        _drop_parts()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):  # nobody is there to read it
                stream.flush()
        os._exit(code)
    return code


def status() -> int:
    """The exit status of a program that a signal ended."""
    return 128 + _pressed if _pressed else STATUS


def _raise(number: int, _frame: object) -> None:
    global _pressed
    _pressed = number
    raise KeyboardInterrupt


def _uncaught(kind: type, error: BaseException, trace: object) -> None:
    _leave_if_pressed(kind)
    sys.__excepthook__(kind, error, trace)  # type: ignore[arg-type]


def _lost(what: object) -> None:
    _leave_if_pressed(getattr(what, "exc_type", None))
    sys.__unraisablehook__(what)  # type: ignore[arg-type]


def _leave_if_pressed(kind: object) -> None:
    if _pressed or kind is KeyboardInterrupt:
        _drop_parts()
        os._exit(status())


def _drop_parts() -> None:
    """Remove files begun and not finished: an interrupt just as a `with` takes hold leaves one behind."""
    files = sys.modules.get("darkfuse.host.files")
    if files is not None:
        files.drop_all()
