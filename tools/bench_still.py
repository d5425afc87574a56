#!/usr/bin/env python3
"""A camera that stands still: time and memory of frames in parts against whole ones, and their bits.

    bench_still.py --frames 100                           # a generated scene with one mover
    bench_still.py --video vtest.avi --frames 795 --bits  # every frame against a whole one

Each frame is looked at by the plan `darkfuse demo` would have, by the plan of `--still` whole, and by that
plan in parts, in turn, in one process; what is compared is processor time, and the bits of all outputs.
Memory is that of two more processes, one with and one without `--still`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a plain checkout is enough to run this

from darkfuse import load
from darkfuse.host.process import peak_rss_bytes
from darkfuse.host.units import format_bytes
from darkfuse.session.network import Network

MUST, MUST_MEMORY = 3.0, 1.3
HEIGHT, WIDTH, MOVER = 480, 640, 40


def scene(count: int) -> Iterator[Any]:
    """A still background with one square that moves in every frame."""
    rng = np.random.default_rng(1)
    ground = rng.integers(0, 256, (HEIGHT // 16, WIDTH // 16, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    mover = rng.integers(0, 256, (MOVER, MOVER, 3), dtype=np.uint8)
    for number in range(count):
        frame = ground.copy()
        y, x = 3 * number % (HEIGHT - MOVER), 7 * number % (WIDTH - MOVER)
        frame[y : y + MOVER, x : x + MOVER] = mover
        yield frame


def film(path: str, count: int) -> Iterator[Any]:
    """Frames of a video, RGB."""
    import cv2

    video = cv2.VideoCapture(path)
    for _ in range(count):
        there, frame = video.read()
        if not there:
            return
        yield np.ascontiguousarray(frame[:, :, ::-1])


def maps(net: Network) -> list[bytes]:
    """All outputs of the last frame."""
    return [bytes(net._engine.output(layer)) for layer in net.graph.outputs]


def timed(net: Network, frame: Any) -> float:
    """Processor seconds of one frame."""
    began = time.process_time()
    net.detect(frame)
    return time.process_time() - began


def peak(options: argparse.Namespace, still: bool) -> int:
    """VmHWM of a process that looks at a few frames."""
    command = [sys.executable, __file__, *options.files, "--frames", "5", "--size", str(options.size),
               "--alone", "still" if still else "usual"]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def opened(options: argparse.Namespace) -> Network:
    """The network that is measured."""
    cfg, weights = (*options.files, None, None)[:2]
    size = options.size or None
    return load(cfg, weights, threads=1, mem="resident", width=size, height=size)


def alone(options: argparse.Namespace) -> int:
    """What `peak` starts: print VmHWM."""
    with opened(options) as net:
        if options.alone == "still":
            net.stand_still()
        for frame in scene(options.frames):
            net.detect(frame)
    print(peak_rss_bytes())
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; 1 where bits differ, or the scene falls short."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", nargs="*", metavar="CFG WEIGHTS", help="default: darkfuse's own small model")
    parser.add_argument("--video", metavar="FILE")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--size", type=int, default=0)
    parser.add_argument("--bits", action="store_true", help="compare bits only")
    parser.add_argument("--alone", choices=("still", "usual"), help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.alone:
        return alone(options)
    frames = film(options.video, options.frames) if options.video else scene(options.frames)
    spent, macs, count, differ = {"usual": 0.0, "whole": 0.0, "parts": 0.0}, [0, 0], 0, 0
    with opened(options) as usual, opened(options) as whole, opened(options) as parts:
        if not (whole.stand_still() and parts.stand_still()):
            print("not all maps of this network can stay")
            return 1
        for number, frame in enumerate(frames):
            if whole._still and whole._engine:
                whole._still.forget(whole._engine)
            seconds = {"parts": timed(parts, frame), "whole": timed(whole, frame)}
            if not options.bits:
                seconds["usual"] = timed(usual, frame)
            differ += maps(parts) != maps(whole)
            count += 1
            if number > 1:  # the first are not what the others are
                macs = [macs[0] + parts.stats["macs"], macs[1] + whole.stats["macs"]]
                for name, value in seconds.items():
                    spent[name] += value
    print(f"{count} frames, {differ} differ from whole ones; {macs[0] / macs[1]:.2f} of the multiplications, "
          f"{spent['whole'] / spent['parts']:.2f} times as fast as whole frames of that plan")
    if options.bits:
        return 1 if differ else 0
    times, memory = spent["usual"] / spent["parts"], [peak(options, still) for still in (True, False)]
    print(f"{times:.2f} times as fast as the usual plan (must {MUST}), in {format_bytes(memory[0])} against "
          f"{format_bytes(memory[1])}: {memory[0] / memory[1]:.2f} times (must {MUST_MEMORY})")
    return 1 if differ or (not options.video and (times < MUST or memory[0] > MUST_MEMORY * memory[1])) else 0


if __name__ == "__main__":
    raise SystemExit(main())
