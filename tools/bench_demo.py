#!/usr/bin/env python3
"""Run `darkfuse demo` for long and under load, and report what it took.

    bench_demo.py soak --frames 10000       # memory, descriptors, threads over a long run with viewers
    bench_demo.py viewers --frames 150      # frames a second with 50 viewers and without, turn by turn
    bench_demo.py latency --frames 150      # frame to boxes beyond the network's own time, file and camera

All use yolov2-tiny at 416 with seeded random weights, and a film of 640x480 made from the sample photo, with
the web view on. `soak` fails when the budget is passed or memory, descriptors or threads grow.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a plain checkout is enough to run this

from darkfuse.graph import load_graph  # noqa: E402
from darkfuse.host.units import format_bytes, parse_bytes  # noqa: E402
from tools.make_weights import make_weights  # noqa: E402

WARM = 300  # frames before growth is looked for
GROWTH = 1 << 20  # bytes over the whole run, by least squares, above which memory is said to grow


def film(path: Path, frames: int) -> Path:
    """640x480, 30 frames a second; a window that wanders over a photo."""
    from darkfuse.media.opencv import opencv

    cv2 = opencv()
    photo = cv2.resize(cv2.imread(str(ROOT / "docs" / "images" / "astronaut.jpg")), (800, 800))
    out = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 30, (640, 480))
    for number in range(frames):
        at = abs(number * 2 % 320 - 160)
        out.write(photo[2 * at: 2 * at + 480, at: at + 640])
    out.release()
    return path


class Run:
    """One `darkfuse demo` on `source`, its JSON lines read as they come."""

    def __init__(self, folder: Path, source: Path, mem: str, frames: int, *more: str) -> None:
        self.lines = folder / "lines"
        self.lines.unlink(missing_ok=True)
        words = [str(ROOT / "cfg" / "yolov2-tiny.cfg"), str(folder / "yolov2-tiny.weights"), "--video",
                 str(source), "--mem", mem, "--frames", str(frames), "--http", "0", "--no-window",
                 "--json-lines", str(self.lines), *more]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "darkfuse", "demo", *words], text=True, cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self.process.stderr is not None
        said = self.process.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", said)
        if not found:
            sys.exit(said + self.process.stderr.read())
        self.port = int(found[1])

    def status(self) -> dict[str, int]:
        """Bytes now and at most, threads, descriptors; empty when it has ended."""
        folder = Path(f"/proc/{self.process.pid}")
        try:
            text = (folder / "status").read_text()
            have = dict(re.findall(r"^(VmRSS|VmHWM|Threads):\s+(\d+)", text, re.MULTILINE))
            return {"now": int(have["VmRSS"]) << 10, "peak": int(have["VmHWM"]) << 10,
                    "threads": int(have["Threads"]), "files": len(os.listdir(folder / "fd"))}
        except (OSError, KeyError):
            return {}

    def done(self) -> int:
        """Frames so far."""
        try:
            with open(self.lines, "rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 8192))
                lines = file.read().split(b"\n")
            return int(json.loads(lines[-2])["frame_id"])
        except (OSError, IndexError, ValueError):
            return 0

    def wait(self, frames: int) -> None:
        """Until so many are done."""
        while self.done() < frames and self.process.poll() is None:
            time.sleep(0.2)

    def moments(self) -> tuple[int, int]:
        """Most threads and fewest descriptors of many moments: some come and go within a frame."""
        seen = []
        for _ in range(40):
            seen.append(self.status())
            time.sleep(0.05)
        return max(s.get("threads", 0) for s in seen), min(s.get("files", 0) for s in seen)

    def finish(self) -> list[dict[str, Any]]:
        """Its frames, after its end."""
        out, errors = self.process.communicate()
        if self.process.returncode:
            sys.exit(errors)
        print("   ", out.strip().replace("\n", "\n    "))
        return [json.loads(line) for line in self.lines.read_text().splitlines()]


class Viewers(threading.Thread):
    """Up to `count` viewers, each for a second or so: some read, some stall, some leave in the middle."""

    def __init__(self, port: int, count: int, seed: int = 1) -> None:
        super().__init__(daemon=True)
        self.port, self.count, self.ended, self.came, self.bytes = port, count, False, 0, 0
        self._random = random.Random(seed)
        self.start()

    def run(self) -> None:
        here: dict[socket.socket, tuple[float, bool]] = {}  # until when, whether it reads
        while not self.ended:
            now = time.monotonic()
            for sock in [sock for sock, (until, _) in here.items() if until < now]:
                sock.close()
                del here[sock]
            if len(here) < self.count:
                kind = self._random.choice((b"/stream.mjpg", b"/stream.mjpg", b"/events", b"/", b"/nothing"))
                sock = socket.socket()
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
                try:
                    sock.connect(("127.0.0.1", self.port))
                    sock.sendall(b"GET " + kind + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
                except OSError:
                    sock.close()
                else:
                    here[sock] = (now + self._random.uniform(0.5, 6), self._random.random() < 0.5)
                    self.came += 1
            reading = [sock for sock, (_, reads) in here.items() if reads]
            ready = select.select(reading, [], [], 0.02)[0] if reading else []
            for sock in ready:
                try:
                    got = len(sock.recv(1 << 16))
                except OSError:
                    got = 0
                self.bytes += got
                if not got:
                    sock.close()
                    del here[sock]
            time.sleep(0.02)
        for sock in here:
            sock.close()

    def end(self) -> None:
        """All leave."""
        self.ended = True
        self.join()


def slope(values: list[float]) -> float:
    """Least squares: how much the values grow from one to the next."""
    middle, mean = (len(values) - 1) / 2, statistics.fmean(values)
    above = sum((at - middle) * (value - mean) for at, value in enumerate(values))
    return above / sum((at - middle) ** 2 for at in range(len(values)))


def percentile(values: list[float], percent: float) -> float:
    """By nearest rank."""
    return sorted(values)[min(len(values) - 1, int(len(values) * percent / 100))]


def beyond(lines: list[dict[str, Any]]) -> str:
    """How much longer than the network itself a frame took."""
    extra = [line["latency_ms"] - line["forward_ms"] for line in lines]
    whole, network = ([line[name] for line in lines] for name in ("latency_ms", "forward_ms"))
    return ", ".join(f"p{p} {percentile(whole, p):.1f} ms (network {percentile(network, p):.1f}, beyond "
                     f"{percentile(extra, p):.1f})" for p in (50, 95, 99))


def soak(folder: Path, args: argparse.Namespace) -> bool:
    """The long run; False when something grew."""
    source = film(folder / "film.mp4", args.frames)
    run = Run(folder, source, args.mem, args.frames)
    run.wait(min(WARM, args.frames // 4))
    before, threads, most = run.moments(), set(), 0
    crowd = Viewers(run.port, args.viewers)
    last = args.frames - max(100, args.frames // 50)
    while run.done() < last and run.process.poll() is None:
        status = run.status()
        threads.add(status.get("threads", 0))
        most = max(most, status.get("files", 0))
        time.sleep(1)
    crowd.end()
    time.sleep(0.5)
    after = run.moments()
    lines = run.finish()
    memory = [float(line["memory"]["now"]) for line in lines[min(WARM, args.frames // 4):]]
    peak, grows, budget = max(line["memory"]["peak"] for line in lines), slope(memory), parse_bytes(args.mem)
    print(f"{len(lines)} frames, {crowd.came} viewers came, {crowd.bytes >> 20} MB to those who read")
    first, final = format_bytes(int(memory[0])), format_bytes(int(memory[-1]))
    print(f"peak {format_bytes(peak)} of {args.mem}; from frame {min(WARM, args.frames // 4)} to the last "
          f"{first} to {final}, slope {grows:+.1f} bytes a frame")
    print(f"threads at most {before[0]} before the viewers, {max(threads)} with them; descriptors "
          f"{before[1]} before the viewers, at most {most}, {after[1]} after them")
    print(f"frame to boxes: {beyond(lines)}")
    return (peak <= budget and grows * len(memory) < GROWTH and max(threads) <= before[0]
            and before[1] == after[1])


def viewers(folder: Path, args: argparse.Namespace) -> bool:
    """Rates with and without viewers, in turn; False when they cost more than 5%."""
    source = film(folder / "film.mp4", args.frames)
    rates: dict[int, list[float]] = {0: [], args.viewers: []}
    for turn in range(2 * args.turns):
        count = args.viewers * ((turn + 1) // 2 % 2)  # none, some, some, none
        run = Run(folder, source, args.mem, args.frames)
        # the load has a process of its own, or it would wait for this one's lock
        words = [sys.executable, __file__, "crowd", "--port", str(run.port), "--viewers", str(count)]
        crowd = subprocess.Popen(words, stdout=subprocess.PIPE, text=True) if count else None
        lines = run.finish()
        if crowd:
            crowd.send_signal(signal.SIGINT)
            print("   ", crowd.communicate()[0].strip())
        half = lines[len(lines) // 4:]
        rates[count].append((len(half) - 1) / (half[-1]["time"] - half[0]["time"]))
    none, some = statistics.median(rates[0]), statistics.median(rates[args.viewers])
    print(f"frames/s without viewers {none:.2f}, with {args.viewers}: {some:.2f}, "
          f"{100 * (some / none - 1):+.1f}%")
    return some >= 0.95 * none


def latency(folder: Path, args: argparse.Namespace) -> bool:
    """Frame to boxes: a file frame by frame, and the same played as a camera of 30 frames a second."""
    source = film(folder / "film.mp4", 30 * args.frames)
    print("file:", beyond(Run(folder, source, args.mem, args.frames).finish()[5:]))
    lines = Run(folder, source, args.mem, args.frames, "--realtime").finish()[5:]
    print("camera:", beyond(lines), f"; {lines[-1]['dropped']} frames dropped")
    extra = [line["latency_ms"] - line["forward_ms"] for line in lines]
    return percentile(extra, 50) <= 15


def crowd(args: argparse.Namespace) -> None:
    """Viewers until interrupted."""
    many = Viewers(args.port, args.viewers)
    try:
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        many.end()
        print(f"{many.came} viewers came, {many.bytes >> 20} MB")


def main() -> int:
    """Parse the command line and run."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("what", choices=("soak", "viewers", "latency", "crowd"))
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--mem", default="96M")
    parser.add_argument("--viewers", type=int, default=50, help="most at one time (default 50)")
    parser.add_argument("--turns", type=int, default=2, help="runs with and without viewers (default 2 each)")
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.what == "crowd":
        crowd(args)
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        graph = load_graph(str(ROOT / "cfg" / "yolov2-tiny.cfg"))
        make_weights(graph, str(folder / "yolov2-tiny.weights"), 1)
        good = {"soak": soak, "viewers": viewers, "latency": latency}[args.what](folder, args)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
