#!/usr/bin/env python3
"""`darkfuse serve` with a crowd at its door: what rate an honest client keeps, and what the crowd costs.

    check_crowd.py --connections 2000 --rounds 4 --seconds 5

In turns an honest client asks alone, and beside so many connections: half of them say nothing or a byte now
and then, a tenth of them nonsense, the rest only connect; whoever is dropped comes again. Rates are compared
round by round; descriptors, threads and memory of the service are told before and after.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a plain checkout is enough to run this

from tools.check_serve import darkfuse, free_port, wait_ready

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"


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
    before, rates, failures, came = held(pid), [], 0, 0
    worst = dict(before)
    for _ in range(args.rounds):
        alone, missed = honest(port, args.seconds)
        with Crowd(port, args.connections) as crowd:
            crowded, failed = honest(port, args.seconds)
            worst = {name: max(value, worst[name]) for name, value in held(pid).items()}
            came += crowd.came
        failures += failed + missed
        rates.append((round(alone, 2), round(crowded, 2)))
    return {"rates_alone_and_crowded": rates, "kept": round(statistics.median(b / a for a, b in rates), 3),
            "honest_failures": failures, "connections_that_came": came, "before": before, "worst": worst,
            "after": held(pid)}


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
    """`count` connections, in a process's own thread: opened at once, and again, slowly, when dropped."""

    def __init__(self, port: int, count: int) -> None:
        self._port, self._count, self._stop = port, count, threading.Event()
        self._socks: list[socket.socket] = []
        self._random = random.Random(1)
        self.came = 0
        self._thread = threading.Thread(target=self._dribble, daemon=True)

    def __enter__(self) -> Crowd:
        for number in range(self._count):
            self._open(number)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for sock in self._socks:
            sock.close()

    def _open(self, number: int) -> None:
        with contextlib.suppress(OSError):
            sock = socket.create_connection(("127.0.0.1", self._port), 10, (f"127.0.0.{2 + number % 200}", 0))
            sock.setblocking(False)
            self._socks.append(sock)
            self.came += 1
            if number % 10 == 0:
                sock.send(self._random.randbytes(200) + b"\r\n\r\n")
            elif number % 2 == 0:
                sock.send(b"POST /detect HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n\x89")

    def _dribble(self) -> None:
        """A byte on some of the connections, and a newcomer for each that was closed, forty a second."""
        number = 0
        while not self._stop.wait(0.025):
            number += 1
            sock = self._socks[number % len(self._socks)]
            try:
                sock.send(b"x")
            except OSError:
                sock.close()
                self._socks.remove(sock)
                self._open(number)


if __name__ == "__main__":
    sys.exit(main())
