"""Picture work in a short-lived process: its memory is gone before the arena needs the room.

Pillow stays in a process once imported, with its tables and what decoding left behind (5 to 9 MB). A second
interpreter costs 40 ms a picture and hands back nothing but pixels. It is started fresh rather than forked,
so threads of the caller, OpenMP's among them, do not matter.

The job goes in as JSON on standard input; the answer is one line of JSON (`{"bytes": n, ...}` or
`{"error": "..."}`), then n bytes.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from darkfuse.errors import ImageError


def run_aside(job: dict[str, Any], failed: str) -> tuple[dict[str, Any], bytearray]:
    """Run one job (`{"task": "decode" | "draw", ...}`) in a process of its own.

    Parameters
    ----------
    job : dict
        The arguments of `decode.decode` or `draw.draw`, and the task.
    failed : str
        How to begin the message when the process dies without an answer.

    Returns
    -------
    answer : dict
    pixels : bytearray

    Raises
    ------
    ImageError
        What the job raised, or that the process died.
    """
    job_in, job_out = os.pipe()
    back_in, back_out = os.pipe()
    process = 0
    try:
        process = _start(job_in, back_out)
        os.close(job_in)
        os.close(back_out)
        job_in = back_out = -1
        with os.fdopen(job_out, "wb") as out:
            job_out = -1
            out.write(json.dumps(job).encode())
        with os.fdopen(back_in, "rb", buffering=4096) as answers:
            back_in = -1
            line = answers.readline()
            answer = json.loads(line) if line.endswith(b"\n") else {}
            pixels = bytearray(answer.get("bytes", 0))
            whole = _fill(answers, pixels)
        process, status = 0, os.waitpid(process, 0)[1]
    except BrokenPipeError:  # it was gone before it had read its job
        answer, pixels, whole = {}, bytearray(), False
        process, status = 0, os.waitpid(process, 0)[1]
    finally:
        for descriptor in (job_in, job_out, back_in, back_out):
            if descriptor >= 0:
                os.close(descriptor)
        if process:  # interrupted: nobody waits for the answer any more
            os.kill(process, 9)
            os.waitpid(process, 0)
    if "error" in answer:
        raise ImageError(answer["error"])
    if not answer or not whole or status:
        why = f"signal {status & 127}" if status & 127 else f"status {status >> 8}"
        raise ImageError(f"{failed}: the process doing it ended with {why}"
                         + (", probably for want of memory" if status & 127 == 9 else ""))
    return answer, pixels


def _start(job: int, back: int) -> int:
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    path = sys.path if here in sys.path else [*sys.path, here]
    # Without -S the child would search site-packages for .pth files again; our own path says it all
    code = f"import sys; sys.path[:] = {path!r}; from darkfuse.media.aside import main; main()"
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        return os.posix_spawn(
            sys.executable, [sys.executable, "-I", "-S", "-c", code], os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, job, 0), (os.POSIX_SPAWN_DUP2, back, 1),
                          (os.POSIX_SPAWN_DUP2, null, 2)],
        )
    except OSError as error:
        raise ImageError(f"cannot start {sys.executable} to read a picture: {error.strerror}") from None
    finally:
        os.close(null)


def _fill(source: Any, pixels: bytearray) -> bool:
    view, at = memoryview(pixels), 0
    while at < len(pixels):
        count = source.readinto(view[at:])
        if not count:
            return False
        at += count
    return True


def main() -> None:
    """The other end: read one job, do it, answer."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C reaches both; only the caller has something to say
    out = sys.stdout.buffer
    try:
        job = json.loads(sys.stdin.buffer.read())
        if job.pop("task") == "draw":
            from darkfuse.media.draw import draw

            draw(**job)
            answer: dict[str, Any] = {"done": True}
        else:
            _decode(out, **job)
            return
    except ImageError as error:
        answer = {"error": str(error)}
    except BrokenPipeError:
        return
    except Exception as error:
        answer = {"error": f"reading or drawing a picture failed: {type(error).__name__}: {error}"}
    out.write(json.dumps(answer).encode() + b"\n")
    out.flush()


def _decode(out: Any, path: str, fit: Any, letterbox: bool, keep_bytes: Any, work_bytes: Any) -> None:
    from darkfuse.media.decode import bands, opened, shrunk

    with opened(path) as image:
        original = image.size
        image = shrunk(path, image, tuple(fit) if fit else None, letterbox, keep_bytes, work_bytes)
        width, height = image.size
        answer = {"size": (width, height, *original), "bytes": width * height * 3}
        out.write(json.dumps(answer).encode() + b"\n")
        for band in bands(image):
            out.write(band)
    out.flush()
