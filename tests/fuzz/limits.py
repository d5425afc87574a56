#!/usr/bin/env python3
"""Fuzz whole commands in a memory cgroup of their budget: who takes more, children included, is killed.

    tests/fuzz/limits.py                                 each command for 30 s
    tests/fuzz/limits.py serve --seconds 600 --record tests/counts.json

`detect` gets cfgs, `watch` pictures, `serve` requests and ZMQ messages. Status 1 where the kernel killed
something, or a command ended in anything but a result or a line made for people.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(ROOT)]

import pictures  # noqa: E402
import sockets  # noqa: E402
from mutate import mutated  # noqa: E402
from targets import CFG_WORDS, HTTP_WORDS, NET  # noqa: E402

from darkfuse.host.units import parse_bytes  # noqa: E402
from tools.cgroup import Group  # noqa: E402

BATCH = 40  # pictures that one `watch` looks at
WAIT_S = 900.0  # for an end, on a machine that is busy
MODEL = [str(ROOT / "cfg" / "darkfuse-voc7.cfg"), str(ROOT / "weights" / "darkfuse-voc7.weights")]


class Limited:
    """A command in a group of its own, which may take `limit` and no more."""

    def __init__(self, words: list[str], limit: str, folder: Path) -> None:
        self.group = Group()
        self.group.limit(parse_bytes(limit), swap=False)
        code = "import os, sys; open(sys.argv[1] + '/cgroup.procs', 'w').write(str(os.getpid()));" \
               "os.execv(sys.executable, [sys.executable, '-m', 'darkfuse', *sys.argv[2:]])"
        self.said = folder / "said"
        with open(self.said, "wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, str(self.group.path), *words], cwd=folder, stdout=said,
                stderr=said, env={**os.environ, "PYTHONPATH": str(ROOT)})

    def end(self, expected: tuple[int, ...]) -> tuple[int, list[str]]:
        """Wait; the most it took, and what is wrong with how it ended."""
        try:
            status = self.process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        peak, killed = self.group.peak(), self.group.oom_kills()
        self.group.close()
        said = self.said.read_text(errors="replace")
        wrong = [f"{killed} killed at the limit"] if killed else []
        if status not in expected or "Traceback" in said:
            wrong.append(f"status {status}: {said[-500:]}")
        return peak, wrong


def swollen(draw: random.Random, data: bytes) -> bytes:
    """A picture whose header tells of other sides, up to the most its format can say."""
    sides = [draw.choice((1, 700, 3000, 20000, 65535, draw.randrange(1, 65536))) for _ in range(2)]
    kinds = {b"\x89PNG": (16, 4, "big"), b"GIF8": (6, 2, "little"), b"BM": (18, 4, "little")}
    at, width, order = next((how for head, how in kinds.items() if data.startswith(head)), (0, 2, "big"))
    if data.startswith(b"\xff\xd8"):
        at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2")) + 5
    elif data.startswith(b"RIFF") and data[12:16] == b"VP8X":
        at, width, order = 24, 3, "little"
    if not at:
        return data
    new = b"".join(side.to_bytes(width, order) for side in sides)  # type: ignore[arg-type]
    return data[:at] + new + data[at + 2 * width:]


def shown(draw: random.Random, pool: list[bytes]) -> bytes:
    """A picture near those there are."""
    data = draw.choice(pool)
    if draw.random() < 0.5:
        data = swollen(draw, data)
    if draw.random() < 0.7:
        data = mutated(draw, [data], pictures.WORDS, 1 << 16)
    return pictures.prepared(data)


def watch(draw: random.Random, limit: str, end: float, folder: Path) -> Iterator[tuple[int, int, list[str]]]:
    """Inputs, peak and what went wrong, of each run that looks at a folder of pictures."""
    pool = [*pictures.seeds(), sockets.PICTURE.read_bytes()]
    while time.monotonic() < end:
        seen = Path(tempfile.mkdtemp(dir=folder))
        for number in range(BATCH):
            ending = draw.choice(("jpg", "png", "bmp", "webp"))
            (seen / f"{number:03}.{ending}").write_bytes(shown(draw, pool))
        words = ["watch", str(seen), *MODEL, "--existing", "--count", str(BATCH), "--json-lines", "lines",
                 "--mem", limit, "--threads", "1"]
        peak, wrong = Limited(words, limit, folder).end((0,))
        lines = (folder / "lines").read_text().count("\n") if (folder / "lines").exists() else 0
        (folder / "lines").unlink(missing_ok=True)
        yield BATCH, peak, wrong + ([] if lines == BATCH else [f"{lines} lines for {BATCH} pictures"])


def detect(draw: random.Random, limit: str, end: float, folder: Path) -> Iterator[tuple[int, int, list[str]]]:
    """Of each run with another cfg; its weights are zeros, as many as a file of 8 MB has."""
    (folder / "zeros.weights").write_bytes(bytes(8 << 20))
    large = NET.replace("width=32", "width=2048").replace("filters=16", "filters=1024")
    pool = [NET.encode(), large.encode(), (ROOT / "cfg" / "darkfuse-voc7.cfg").read_bytes()]
    while time.monotonic() < end:
        (folder / "a.cfg").write_bytes(mutated(draw, pool, CFG_WORDS, 1 << 13))
        words = ["detect", "a.cfg", "zeros.weights", str(sockets.PICTURE), "--no-draw", "--mem", limit,
                 "--threads", "1"]
        peak, wrong = Limited(words, limit, folder).end((0, 2))
        yield 1, peak, wrong


def serve(draw: random.Random, limit: str, end: float, folder: Path) -> Iterator[tuple[int, int, list[str]]]:
    """Of one service, asked again and again."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = ["serve", *MODEL, "--http", f"127.0.0.1:{port}", "--log", "off", "--mem", limit, "--threads", "1",
             "--zmq", f"ipc://{folder}/zmq"]
    service = Limited(words, limit, folder)
    pool, shapes, asked = sockets.service_seeds(), pictures.seeds(), 0
    until = time.monotonic() + WAIT_S
    while b"serving" not in service.said.read_bytes() and time.monotonic() < until:
        time.sleep(0.05)
    end += WAIT_S - (until - time.monotonic())  # what it took to begin
    with contextlib.suppress(ConnectionRefusedError):
        while time.monotonic() < end and service.process.poll() is None:
            if asked % 50 == 0:
                message(draw, f"ipc://{folder}/zmq")
            elif draw.random() < 0.5:
                sockets.send(port, mutated(draw, pool, HTTP_WORDS, 1 << 16))
            else:
                picture = shown(draw, shapes)
                head = b"POST /detect HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
                sockets.send(port, head % len(picture) + picture)
            asked += 1
    service.process.terminate()
    peak, wrong = service.end((0, 143))
    yield asked, peak, wrong


def message(draw: random.Random, endpoint: str) -> None:
    """A picture as large as a part may be, in an order of Frigate's."""
    import zmq

    side = draw.choice((64, 416, 836, 900))
    shape = draw.choice(([1, side, side, 3], [1, 3, side, side]))
    with zmq.Context.instance().socket(zmq.REQ) as peer:
        peer.setsockopt(zmq.LINGER, 0)
        peer.setsockopt(zmq.RCVTIMEO, 2000)  # one that is too large has no answer
        peer.connect(endpoint)
        peer.send_multipart([json.dumps({"shape": shape, "dtype": "uint8"}).encode(), bytes(3 * side * side)])
        with contextlib.suppress(zmq.Again):
            peer.recv()


COMMANDS: dict[str, tuple[Any, str]] = {"detect": (detect, "48M"), "watch": (watch, "32M"),
                                        "serve": (serve, "40M")}


def run(name: str, seconds: float, seed: int) -> dict[str, Any]:
    """Fuzz one command for so long; its figures."""
    command, limit = COMMANDS[name]
    found: dict[str, Any] = {"inputs": 0, "limit_mb": parse_bytes(limit) >> 20, "peak_mb": 0.0, "faults": 0}
    with tempfile.TemporaryDirectory(prefix="darkfuse-fuzz-") as folder:
        end = time.monotonic() + seconds
        for inputs, peak, wrong in command(random.Random(f"{name} {seed}"), limit, end, Path(folder)):
            found["inputs"] += inputs
            found["peak_mb"] = max(found["peak_mb"], round(peak / (1 << 20), 1))
            found["faults"] += len(wrong)
            for one in wrong:
                print(f"{name}: {one}", flush=True)
    return found


def main() -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("commands", nargs="*", metavar="COMMAND", help=", ".join(COMMANDS))
    parser.add_argument("--seconds", type=float, default=30.0, help="for each command (default 30)")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--record", type=Path, metavar="FILE", help="add the counts to this JSON")
    args = parser.parse_args()
    wrong = 0
    for name in args.commands or COMMANDS:
        found = run(name, args.seconds, args.seed)
        print(f"{name}: {found}", flush=True)
        wrong += found["faults"]
        if found["faults"]:
            print(f"{name}: again with --seed {args.seed}", flush=True)
        if args.record:
            counts = json.loads(args.record.read_text()) if args.record.exists() else {}
            was = counts.setdefault("limits", {}).get(name, {"inputs": 0, "peak_mb": 0.0, "faults": 0})
            for key in ("inputs", "faults"):
                found[key] += was[key]
            found["peak_mb"] = max(found["peak_mb"], was["peak_mb"])
            counts["limits"][name] = found
            args.record.write_text(json.dumps(counts, indent=1, sort_keys=True) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
