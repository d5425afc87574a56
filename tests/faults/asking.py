#!/usr/bin/env python3
"""Asks each `serve` that a walk starts about one picture, writes down the answer, and ends it.

    tests/faults/asking.py FOLDER

The process to ask is named in FOLDER/../pid, its address in FOLDER/../port. The answer, with its `status`,
becomes FOLDER/../answer.json; where the connection ends without one, there is none.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import sys
import time
from pathlib import Path

WAIT_S = 60.0  # for an answer, on a machine that is busy


def alive(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def ask(address: str, pid: int, picture: bytes, answer: Path) -> None:
    """Ask as soon as it has loaded its network, until it takes the question."""
    taken = False
    while alive(pid) and not taken:
        connection = http.client.HTTPConnection(address, timeout=WAIT_S)
        try:
            connection.connect()
            taken = True
            connection.request("POST", "/detect", picture, {"Content-Type": "image/jpeg"})
            got = connection.getresponse()
            found = {**json.loads(got.read()), "status": got.status}
        except (OSError, http.client.HTTPException, ValueError):
            time.sleep(0.02)
            continue
        finally:
            connection.close()
        if got.status == 503 and "loaded" in found.get("error", ""):
            taken = False
            time.sleep(0.02)
            continue
        part = answer.with_suffix(".new")
        part.write_text(json.dumps(found))
        part.replace(answer)


def main(folder: Path) -> None:
    """Until it is killed."""
    picture, done = (folder / "cat.jpg").read_bytes(), 0
    while True:
        pid = 0
        with contextlib.suppress(OSError, ValueError):
            pid = int((folder.parent / "pid").read_text())
        if pid in (0, done) or not alive(pid):
            time.sleep(0.01)
            continue
        done = pid
        ask((folder.parent / "port").read_text(), pid, picture, folder.parent / "answer.json")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
