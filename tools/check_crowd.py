#!/usr/bin/env python3
"""`darkfuse serve` with a crowd at its door: what rate an honest client keeps, and what the crowd costs.

    check_crowd.py --connections 2000 --rounds 4 --seconds 5

In turns an honest client asks alone, and beside so many connections from another process: half of them send a
byte now and then, a tenth nonsense, the rest nothing; whoever is dropped comes again, forty a second. Rates
are compared round by round; on a busy machine they are mostly noise, so what the crowd takes of the service's
processor time is told too: all it took, less what so many pictures take alone, as a part of one core.
Descriptors, threads and memory of the service are told before, at worst and after.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import selectors
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a plain checkout is enough to run this

from darkfuse.errors import DarkfuseError
from tools.check_serve import darkfuse, free_port, wait_ready

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"
NEWCOMER_S = 0.025
SLOW_BYTES = 4  # connections that send one between two newcomers


def main() -> int:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5.0)
    args = parser.parse_args()
    port = free_port()
    command = [*darkfuse("serve"), str(GOLDEN / "mini-alexeyab.cfg"), str(GOLDEN / "mini-alexeyab.weights"),
               "--http", str(port), "--mem", "48M", "--threads", "1", "--log", "off", "--api", "none"]
    process = subprocess.Popen(command, cwd=ROOT, text=True,
                               env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        wait_ready(f"http://127.0.0.1:{port}", process)
        print(json.dumps(compare(args, port, process.pid), indent=1))
    finally:
        process.terminate()
        process.wait()
    return 0


def compare(args: argparse.Namespace, port: int, pid: int) -> dict[str, Any]:
    """Rates alone and in the crowd, and what the service holds."""
    honest(port, 1.0)
    before, rates, shares, failures, came = held(pid), [], [], 0, 0
    worst = dict(before)
    for _ in range(args.rounds):
        began = processor_s(pid)
        alone, missed = honest(port, args.seconds)
        alone_s = processor_s(pid) - began
        with Crowd(port, args.connections) as crowd, Watch(pid) as watch:
            began = processor_s(pid)
            crowded, failed = honest(port, args.seconds)
            crowded_s = processor_s(pid) - began
            came += crowd.came
        worst = {name: max(value, worst[name]) for name, value in watch.worst.items()}
        failures += failed + missed
        rates.append((round(alone, 2), round(crowded, 2)))
        shares.append(round((crowded_s - alone_s * crowded / alone) / args.seconds, 3))
    return {"rates_alone_and_crowded": rates, "kept": round(statistics.median(b / a for a, b in rates), 3),
            "crowd_takes_of_a_core": shares, "kept_of_a_core": round(1 - statistics.median(shares), 3),
            "honest_failures": failures, "connections_that_came": came, "before": before, "worst": worst,
            "after": held(pid)}


def processor_s(pid: int) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Watch:
    """Looks at a process four times a second within the `with`; `worst` is the most of everything `held`."""

    def __init__(self, pid: int) -> None:
        self._pid, self._stop, self.worst = pid, threading.Event(), held(pid)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.25):
            self.worst = {name: max(value, self.worst[name]) for name, value in held(self._pid).items()}


def honest(port: int, seconds: float) -> tuple[float, int]:
    """Pictures a second that a client is answered, one after another, and how often it was not."""
    picture = (GOLDEN / "cat.png").read_bytes()
    head = (f"POST /detect?thresh=0.36 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\n"
            f"Content-Length: {len(picture)}\r\n\r\n").encode()
    done = failed = 0
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        try:
            with socket.create_connection(("127.0.0.1", port), 30) as sock:
                sock.sendall(head + picture)
                got = b""
                while piece := sock.recv(65536):
                    got += piece
            done += got.startswith(b"HTTP/1.1 200")
            failed += not got.startswith(b"HTTP/1.1 200")
        except OSError:
            failed += 1
    return done / (time.monotonic() - began), failed


def held(pid: int) -> dict[str, int]:
    """Descriptors, threads and resident bytes of a process."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    rss = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmRSS"))
    return {"descriptors": len(os.listdir(f"/proc/{pid}/fd")), "rss": rss,
            "threads": len(os.listdir(f"/proc/{pid}/task"))}


class Crowd:
    """`count` connections from another process, until the end of the `with`: see `crowd`.

    Attributes
    ----------
    came : int
        Connections made so far.
    """

    def __init__(self, port: int, count: int) -> None:
        apart = multiprocessing.get_context("spawn")
        self._stop, self._all_there, self._came = apart.Event(), apart.Event(), apart.Value("i", 0)
        self._process = apart.Process(target=crowd, daemon=True, args=(
            port, count, self._stop, self._all_there, self._came))

    @property
    def came(self) -> int:
        return int(self._came.value)

    def __enter__(self) -> Crowd:
        self._process.start()
        if not self._all_there.wait(120):
            raise DarkfuseError("the crowd does not get to the door")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._process.join()


def crowd(port: int, count: int, stop: Any, all_there: Any, came: Any) -> None:
    """Open `count` connections from 200 addresses; a newcomer for each that is dropped, forty a second.

    Of ten, one says nonsense, five promise a picture of which a byte comes now and then, four say nothing.
    """
    rng, select = random.Random(1), selectors.DefaultSelector()
    slow: dict[socket.socket, None] = {}

    def enter(number: int) -> None:
        with contextlib.suppress(OSError):
            sock = socket.create_connection(("127.0.0.1", port), 10, (f"127.0.0.{2 + number % 200}", 0))
            sock.setblocking(False)
            select.register(sock, selectors.EVENT_READ, number)
            if number % 2:
                slow[sock] = None
            came.value += 1
            if number % 10 == 0:
                sock.send(rng.randbytes(200) + b"\r\n\r\n")
            elif number % 2:
                sock.send(b"POST /detect HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n\x89")

    def dropped(sock: socket.socket) -> bool:
        with contextlib.suppress(BlockingIOError):
            try:
                return not sock.recv(65536)
            except OSError:
                return True
        return False

    for number in range(count):
        enter(number)
    all_there.set()
    outside: list[int] = []  # numbers of those that were dropped
    while not stop.wait(NEWCOMER_S):
        for key, _ in select.select(0):
            sock: Any = key.fileobj
            if dropped(sock):
                select.unregister(sock)
                slow.pop(sock, None)
                sock.close()
                outside.append(key.data)
        if outside:
            enter(outside.pop(0))
        for sock in rng.sample(list(slow), min(SLOW_BYTES, len(slow))):
            with contextlib.suppress(OSError):
                sock.send(b"x")


if __name__ == "__main__":
    sys.exit(main())
