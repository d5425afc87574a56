"""Work in a short-lived process: what it took of memory is gone before the arena needs the room.

Pillow stays in a process once imported, with its tables and what decoding left behind (5 to 9 MB), and so
does the heap of a long search for a plan. A second interpreter costs 40 ms and hands back nothing but its
answer. It is started fresh rather than forked, so the caller's threads, OpenMP's among them, do not matter.

The job goes in as a line of JSON on standard input, which stays open as long as the caller waits; the answer
is one line of JSON, then `bytes` raw bytes. A helper whose caller has died ends too.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any, Callable

from darkfuse import errors
from darkfuse.host.lazy import lazy

_CHUNK = 1 << 16  # bytes passed on at a time


def call(
    task: str, job: dict[str, Any], failed: str, kind: type[errors.DarkfuseError] = errors.DarkfuseError,
    into: Callable[[dict[str, Any]], Any] | None = None,
) -> tuple[dict[str, Any], bytearray]:
    """Run `task(**job)` in a process of its own.

    Parameters
    ----------
    task : str
        `module:function`; the function returns an answer that JSON can hold, and an iterable of bytes. With
        any bytes, the answer's `bytes` says how many.
    job : dict
        Its arguments, as JSON can hold them.
    failed : str
        How to begin the message when the process dies without an answer.
    kind : type
        What to raise then.
    into : callable, optional
        Given the answer before its bytes, where there are any: what to `write` them to as they come.

    Returns
    -------
    answer : dict
    data : bytearray
        Empty with `into`.

    Raises
    ------
    DarkfuseError
        Whichever of ours the task raised; or the process could not be started, or died.
    """
    job_in, job_out = os.pipe()
    back_in, back_out = os.pipe()
    process = status = 0
    answer: dict[str, Any] = {}
    data, whole = bytearray(), False
    try:
        process = _start(task, job_in, back_out)
        os.close(job_in)
        os.close(back_out)
        job_in = back_out = -1
        with contextlib.suppress(BrokenPipeError):  # gone before it had read its job: there will be no answer
            _send(job_out, json.dumps(job).encode() + b"\n")
        # That pipe stays open: its end tells the helper that nobody waits for it any more
        with os.fdopen(back_in, "rb", buffering=4096) as answers:
            back_in = -1
            line = answers.readline()
            answer = json.loads(line) if line.endswith(b"\n") else {}
            size = answer.get("bytes", 0)
            if size and into is not None:
                whole = _pass_on(answers, size, into(answer))
            else:
                data = bytearray(size)
                whole = _fill(answers, data)
        waited, process = process, 0
        status = os.waitpid(waited, 0)[1]
    finally:
        for descriptor in (job_in, job_out, back_in, back_out):
            if descriptor >= 0:
                # Interrupted between closing it and noting that: the interrupt is what has to come out
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        if process:  # interrupted: nobody waits for the answer any more
            os.kill(process, 9)
            os.waitpid(process, 0)
    if "error" in answer:
        raise getattr(errors, answer["kind"], errors.DarkfuseError)(answer["error"])
    if not answer or not whole or status:
        signal = status & 127
        why = f"signal {signal}" if signal else f"status {status >> 8}"
        raise kind(f"{failed}: the process doing it ended with {why}"
                   + (", probably for want of memory" if signal == 9 else ""))
    return answer, data


def _start(task: str, job: int, back: int) -> int:
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    path = sys.path if here in sys.path else [*sys.path, here]
    # Without -S the child would search site-packages for .pth files again; our own path says it all
    code = f"import sys; sys.path[:] = {path!r}; from darkfuse.host.helper import serve; serve({task!r})"
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        return os.posix_spawn(
            sys.executable, [sys.executable, "-I", "-S", "-c", code], os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, job, 0), (os.POSIX_SPAWN_DUP2, back, 1),
                          (os.POSIX_SPAWN_DUP2, null, 2)],
        )
    except OSError as error:
        raise errors.DarkfuseError(f"cannot start {sys.executable} as a helper: {error.strerror}") from None
    finally:
        os.close(null)


def _send(pipe: int, job: bytes) -> None:
    left = memoryview(job)
    while len(left):
        left = left[os.write(pipe, left):]


def _pass_on(source: Any, size: int, target: Any) -> bool:
    chunk = memoryview(bytearray(min(size, _CHUNK)))
    while size:
        count = source.readinto(chunk[: min(size, _CHUNK)])
        if not count:
            return False
        target.write(chunk[:count])
        size -= count
    return True


def _fill(source: Any, data: bytearray) -> bool:
    view, at = memoryview(data), 0
    while at < len(data):
        count = source.readinto(view[at:])
        if not count:
            return False
        at += count
    return True


def serve(task: str) -> None:
    """The other end: read one job, do it, answer."""
    import importlib
    import signal

    # Where memory runs out, this process is the one to end: the caller can still say so
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C reaches both; only the caller has something to say
    lazy("inspect", "subprocess")  # Pillow's JPEG reader imports the second: 1.7 MB together
    out = sys.stdout.buffer
    module, name = task.split(":")
    try:
        job = json.loads(sys.stdin.buffer.readline())
        _end_with_caller()
        answer, pieces = getattr(importlib.import_module(module), name)(**job)
        out.write(json.dumps({**answer, "done": True}).encode() + b"\n")
        for piece in pieces:
            out.write(piece)
    except BrokenPipeError:
        return
    except Exception as error:
        ours = isinstance(error, errors.DarkfuseError)
        words = " ".join(str(error).split())
        text = words if ours else f"{name} failed: {type(error).__name__}: {words}"
        told = {"error": text, "kind": type(error).__name__ if ours else "DarkfuseError"}
        out.write(json.dumps(told).encode() + b"\n")
    out.flush()


def _end_with_caller() -> None:
    """From here on the kernel ends this process when the caller has closed its end of our input, or died.

    SIGIO's default is to end a process. Nothing more is sent, so the pipe's end is all that can raise it.
    """
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(0, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
        try:
            gone = os.read(0, 1) == b""  # it may have died before
        except BlockingIOError:
            gone = False
        if gone:
            os._exit(1)
