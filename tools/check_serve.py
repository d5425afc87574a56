#!/usr/bin/env python3
"""`darkfuse serve` behind Obico's form in a memory cgroup without swap: a thousand pictures, what it took.

    check_serve.py ../shared/models/yolov2-1class-reorg3d-96.cfg --size 416 --limit 48M --requests 1000

Pictures of a megapixel are served by a web site of our own and asked for by address, as Obico does. Of the
first `--paired` requests each is followed by `darkfuse detect` looking at the same file, in a cgroup of
the same limit: their times are compared. Every answer is compared with what `detect` said of it.
Weights are seeded random ones unless named.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a plain checkout is enough to run this

from darkfuse.errors import DarkfuseError
from darkfuse.graph import load_graph
from darkfuse.host.units import format_bytes, parse_bytes
from tools.bench_peers import resized_cfg
from tools.cgroup import Group
from tools.make_weights import make_weights

ROOT = Path(__file__).resolve().parent.parent
MEGAPIXEL = (1152, 896)


def main() -> int:
    """Run it; status 1 when something was not as it has to be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cfg")
    parser.add_argument("--weights")
    parser.add_argument("--size", type=int, default=416)
    parser.add_argument("--limit", default="48M")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--paired", type=int, default=100)
    parser.add_argument("--pictures", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after so long")
    parser.add_argument("--source", default=str(ROOT.parent / "shared" / "images"))
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="darkfuse-serve-") as folder:
        report = check(args, Path(folder))
    print(json.dumps(report, indent=1))
    if args.json:
        Path(args.json).write_text(json.dumps(report, indent=1) + "\n")
    return 0 if report["wrong"] == 0 and report["oom_kills"] == 0 else 1


def check(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All of it; gives the figures."""
    cfg = folder / "network.cfg"
    cfg.write_text(resized_cfg(args.cfg, args.size))
    weights = args.weights
    if weights is None:
        weights = str(folder / "seeded.weights")
        make_weights(load_graph(str(cfg)), weights, 1)
    pictures = make_pictures(Path(args.source), folder, args.pictures)
    common = [str(cfg), str(weights), "--mem", args.limit]
    if args.threads:
        common += ["--threads", str(args.threads)]
    thresh = find_threshold(common, pictures)
    common += ["--thresh", str(thresh)]
    expected, counts = answers(common, pictures, folder)
    site = Site(folder)
    size = parse_bytes(args.limit)
    server, looker = Limited(size), Limited(size)
    try:
        port = free_port()
        serve = server.start([*darkfuse("serve"), *common, "--http", str(port), "--api", "obico",
                              "--allow", "127.0.0.1", "--log", "off", "--deadline", "600"])
        base = f"http://127.0.0.1:{port}"
        wait_ready(base, serve)
        detect = looker.start([*darkfuse("detect"), *common, "--no-draw"])
        took, looked, rss, wrong = [], [], [], 0
        number = 0
        until_s = time.monotonic() + args.seconds
        while number < args.requests and time.monotonic() < until_s:
            name = pictures[number % len(pictures)].name
            began = time.monotonic()
            found = ask(base, f"{site.base}/{name}")
            took.append(time.monotonic() - began)
            wrong += found != expected[name]
            if number < args.paired:
                looked.append(look(detect, folder / name))
            number += 1
            if number % 50 == 0:
                rss.append(memory(base))
                median, held = statistics.median(took[-50:]) * 1000, rss[-1]
                print(f"{number}: {median:.0f} ms, {wrong} wrong, now {format_bytes(held['now'])}, "
                      f"peak {format_bytes(held['peak'])}", file=sys.stderr, flush=True)
        if detect.stdin:
            detect.stdin.close()
        detect.wait()
        serve.send_signal(signal.SIGTERM)
        serve.wait(30)
        paired = took[: args.paired]
        return {
            "requests": len(took), "wrong": wrong, "threshold": thresh,
            "boxes_a_picture": [min(counts), max(counts)], "limit": size,
            "group_peak": server.group.peak(), "oom_kills": server.group.oom_kills(),
            "rss_after_50": rss[0] if rss else None, "rss_at_end": rss[-1] if rss else None,
            "serve_ms": spread(took), "serve_paired_ms": spread(paired), "detect_paired_ms": spread(looked),
            "p50_ratio": ratio(paired, looked, 50), "p99_ratio": ratio(paired, looked, 99),
        }
    finally:
        site.close()
        server.group.close()
        looker.group.close()


class Limited:
    """A memory cgroup without swap, and processes started in it."""

    def __init__(self, size: int) -> None:
        self.group = Group()
        self.group.limit(size, swap=False)

    def start(self, command: list[str]) -> subprocess.Popen[str]:
        entrance = os.open(self.group.path / "cgroup.procs", os.O_WRONLY)
        try:
            return subprocess.Popen(command, preexec_fn=lambda: os.write(entrance, b"0"), text=True,
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
                                    env={**os.environ, "PYTHONPATH": str(ROOT)})
        finally:
            os.close(entrance)


class Site:
    """Serves the files of a folder from another process: its work is not the service's."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.base = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "-d", str(folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: urllib.request.urlopen(self.base + "/", timeout=5).status == 200, self._process)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def darkfuse(verb: str) -> list[str]:
    """A verb's command."""
    return [sys.executable, "-m", "darkfuse", verb]


def make_pictures(source: Path, folder: Path, count: int) -> list[Path]:
    """JPEGs of a megapixel: seeded cuts of the pictures in `source`, scaled."""
    from PIL import Image

    rng, made = random.Random(1), []
    files = sorted(source.glob("*.jpg"))
    if not files:
        raise DarkfuseError(f"{source}: no .jpg to make pictures of")
    for number in range(count):
        with Image.open(files[number % len(files)]) as photo:
            width, height = photo.size
            left, top = rng.randrange(width // 3), rng.randrange(height // 3)
            cut = photo.convert("RGB").crop((left, top, width - left // 2, height - top // 2))
            path = folder / f"{number}.jpg"
            cut.resize(MEGAPIXEL, Image.Resampling.BICUBIC).save(path, quality=88)
            made.append(path)
    return made


def find_threshold(common: list[str], pictures: list[Path]) -> float:
    """A threshold, in hundredths, that gives 5 to 50 boxes in as many of the pictures as can be."""
    found = detected([*common, "--thresh", "0.02"], pictures[:6])
    scores = [sorted((o["confidence"] for o in frame["objects"]), reverse=True) for frame in found]
    best = max(range(2, 99), key=lambda h: (
        sum(5 <= sum(s >= h / 100 for s in one) <= 50 for one in scores),
        -abs(statistics.mean(sum(s >= h / 100 for s in one) for one in scores) - 20)))
    return best / 100


def detected(common: list[str], pictures: list[Path]) -> list[dict[str, Any]]:
    """What `darkfuse detect --json -` says."""
    files, options = common[:2], common[2:]
    command = [*darkfuse("detect"), *files, *map(str, pictures), *options, "--json", "-", "--no-draw"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=ROOT,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    return list(json.loads(done.stdout))


def answers(common: list[str], pictures: list[Path], folder: Path) -> tuple[dict[str, Any], list[int]]:
    """What Obico's form has to say of each picture, to a millionth, and how many boxes each has.

    Obico's threshold of overlap is Darknet's own, so only the threshold has to be named.
    """
    expected, counts = {}, []
    for path, frame in zip(pictures, detected(common, pictures)):
        expected[path.name] = [(o["name"], f"{o['confidence']:.6f}",
                                *(f"{o['relative_coordinates'][key]:.6f}"
                                  for key in ("center_x", "center_y", "width", "height")))
                               for o in frame["objects"]]
        counts.append(len(frame["objects"]))
    return expected, counts


def ask(base: str, url: str) -> Any:
    """The answer to Obico's documented call, in the form of `answers`."""
    with urllib.request.urlopen(f"{base}/p/?img={urllib.parse.quote(url, safe='')}", timeout=600) as answer:
        told = json.loads(answer.read())
    width, height = MEGAPIXEL
    return [(name, f"{score:.6f}", f"{box[0] / width:.6f}", f"{box[1] / height:.6f}",
             f"{box[2] / width:.6f}", f"{box[3] / height:.6f}") for name, score, box in told["detections"]]


def look(detect: subprocess.Popen[str], path: Path) -> float:
    """Seconds from naming a picture to `darkfuse detect` until it says what is in it."""
    assert detect.stdin and detect.stdout
    began = time.monotonic()
    detect.stdin.write(f"{path}\n")
    detect.stdin.flush()
    while "Predicted in" not in detect.stdout.readline():
        if detect.poll() is not None:
            raise DarkfuseError("darkfuse detect has ended")
    return time.monotonic() - began


def memory(base: str) -> dict[str, int]:
    """Memory of the service as its metrics tell it."""
    with urllib.request.urlopen(base + "/metrics", timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    return {kind: int(line.split()[1]) for line in lines for kind in ("now", "peak")
            if line.startswith(f'darkfuse_memory_bytes{{kind="{kind}"')}


def wait_ready(base: str, process: subprocess.Popen[str]) -> None:
    """Return when the service takes pictures."""
    until(lambda: urllib.request.urlopen(base + "/readyz", timeout=5).status == 200, process)


def until(condition: Any, process: subprocess.Popen[Any]) -> None:
    """Return when `condition()` holds and raises nothing. Raises `DarkfuseError` when the process ends."""
    pause = threading.Event()
    for _ in range(6000):
        try:
            if condition():
                return
        except OSError:
            pass
        if process.poll() is not None:
            raise DarkfuseError(f"a process ended with status {process.returncode}")
        pause.wait(0.1)
    raise DarkfuseError("it does not get ready")


def free_port() -> int:
    """A port nobody has now."""
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as probe:
        return int(probe.server_address[1])


def at(values: list[float], percent: int) -> float:
    """A percentile, of those there are the next larger one."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def spread(values: list[float]) -> dict[str, float]:
    """p50, p99 and the most, in milliseconds."""
    if not values:
        return {}
    return {"p50": round(at(values, 50) * 1000, 1), "p99": round(at(values, 99) * 1000, 1),
            "most": round(max(values) * 1000, 1)}


def ratio(values: list[float], others: list[float], percent: int) -> float | None:
    """How much larger a percentile is."""
    return round(at(values, percent) / at(others, percent), 3) if values and others else None


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DarkfuseError as error:
        sys.exit(f"check_serve: {error}")
