#!/usr/bin/env python3
"""Check and time every kernel on every instruction set this CPU has.

    kernels.py check [--rounds 200] [--seed 0]
    kernels.py time cfg/yolov2.cfg --size 416,608 [--isa avx2,avx512] [--rows 8] [--match 3x3]
    kernels.py peak

`check` draws awkward shapes (partial channel blocks, odd maps, strides, dilations, groups, line buffers,
slices of concatenations, pooled stores) and holds each ISA against float64, against its own bits on other
regions and, loosely, against the generic path. `time` runs each distinct convolution of a cfg on one core and
prints GFLOP/s and the share of the multiply-add peak measured around each run; Winograd's are effective
GFLOP/s, counted as if done directly. Figures are medians of processor time, so that a busy machine spoils
them less.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a plain checkout is enough to run this

import numpy as np

from darkfuse.errors import DarkfuseError
from darkfuse.graph import load_graph
from darkfuse.graph.layers.convolutional import ConvOptions
from darkfuse.graph.layers.maxpool import MaxpoolOptions
from darkfuse.host.interrupt import end_cleanly
from darkfuse.kernels import _kernels, reference
from darkfuse.kernels.reference import Map, padded, panels

CHANNELS = (1, 3, 12, 13, 16, 24, 31, 32, 33, 127, 128)
TOLERANCE = 3e-5  # of values around 1, sums of up to a few thousand products


class Layer(NamedTuple):
    """One convolution. `height`, `width`: of its input."""

    in_c: int
    out_c: int
    size: int
    stride: int
    pad: int
    dilation: int
    groups: int
    act: str
    pool: int
    height: int
    width: int

    @property
    def conv_size(self) -> tuple[int, int]:
        span = (self.size - 1) * self.dilation + 1
        return ((self.height + 2 * self.pad - span) // self.stride + 1,
                (self.width + 2 * self.pad - span) // self.stride + 1)

    @property
    def out_size(self) -> tuple[int, int]:
        h, w = self.conv_size
        return ((h + 1) // 2, (w + 1) // 2) if self.pool else (h, w)

    @property
    def flops(self) -> float:
        h, w = self.conv_size
        return 2.0 * h * w * self.out_c * self.in_c // self.groups * self.size**2

    @property
    def kernel(self) -> str:
        """The kernel an exact run uses."""
        if self.groups > 1 or (self.in_c == 3 and self.dilation > 1):
            return "general"
        return "first" if self.in_c == 3 else "direct"

    @property
    def winograd(self) -> bool:
        """Whether F(4,3) can do it."""
        return self.kernel == "direct" and (self.size, self.stride, self.dilation) == (3, 1, 1)

    def __str__(self) -> str:
        extra = f"/{self.stride}" if self.stride > 1 else ""
        extra += f" d{self.dilation}" if self.dilation > 1 else ""
        extra += f" g{self.groups}" if self.groups > 1 else ""
        extra += " pool" if self.pool else ""
        size = f"{self.width:>3}x{self.height:<3} {self.size}x{self.size}"
        return f"{self.in_c:>4}->{self.out_c:<4} {size}{extra}"


class Work:
    """A layer with random data, packed for one ISA, ready to run on any region."""

    def __init__(self, isa: str, layer: Layer, kernel: str, seed: int, *, slots: int = 0, before: int = 0,
                 after: int = 0, skew: int = 0) -> None:
        rng = np.random.default_rng(seed)
        in_c, out_c, size, stride, pad, dilation, groups, act, pool, h, w = layer
        self.layer, self.kind = layer, _kernels.KERNELS[kernel]
        self.k = _kernels.Kernels(isa)
        self.geometry: dict[str, Any] = {"stride": stride, "pad": pad, "dilation": dilation, "groups": groups,
                                         "act": act, "pool": pool}
        self.conv = _kernels.Conv(in_c, out_c, size, *layer.conv_size, **self.geometry)
        self.x = rng.standard_normal((in_c, h, w), np.float32)
        self.filters = rng.standard_normal((out_c, in_c // groups, size, size), np.float32)
        self.filters /= np.float32(np.sqrt(self.filters[0].size))
        self.bias = rng.standard_normal(out_c, np.float32)
        # Winograd reads up to 5 columns past the map's last whole tile
        self.src = Map(in_c, h, w, margin=pad + 4 * (kernel == "winograd"), image=in_c == 3,
                       before=before, after=after, skew=skew).put(self.x)
        self.out = Map(out_c, *layer.out_size, margin=1, before=after, after=before, slots=slots,
                       skew=skew)
        self.packed = panels(self.k, self.conv, self.kind, self.filters, np.ones(out_c, np.float32))
        self.padded_bias = padded(self.bias)

    def expected(self) -> np.ndarray:
        return reference.conv(self.x, self.filters, self.bias, **self.geometry)

    def run(self, y0: int, y1: int, x0: int, x1: int) -> None:
        for i, panel in enumerate(self.packed):
            self.k.conv(self.kind, self.conv, self.src.view, self.out.view, panel, self.padded_bias, i,
                        y0, y1, x0, x1)

    def winograd(self, tile_rows: int) -> Callable[[], None]:
        """A pass over the map in strips of that many tile rows (0: all at once)."""
        h, w = self.layer.conv_size
        step = 4 * tile_rows or h
        across = (w + 3) // 4
        most = (min(step, h) + 3) // 4 * across
        u = reference.aligned(self.conv.wino_u_floats(most))
        scratch = reference.aligned(self.conv.wino_scratch_floats(most))
        blocks = (self.layer.in_c + 15) // 16

        def go() -> None:
            for y in range(0, h, step):
                end = min(y + step, h)
                strip = (y, end, 0, w, (end - y + 3) // 4, across)
                self.k.wino_input(self.conv, self.src.view, strip, 0, blocks, u)
                for i, panel in enumerate(self.packed):
                    self.k.wino_panel(self.conv, self.out.view, strip, panel, self.padded_bias, i, u,
                                      0, strip[4] * across, scratch)
        return go


def random_layer(rng: np.random.Generator) -> Layer:
    while True:
        in_c, out_c = (int(rng.choice(CHANNELS)) for _ in range(2))
        size, stride = int(rng.choice([1, 1, 2, 3, 3, 3, 5, 7])), int(rng.choice([1, 1, 1, 2, 3]))
        dilation = int(rng.choice([1, 1, 1, 2, 3]))
        pad = int(rng.choice([0, size // 2 * dilation, size // 2]))
        groups = int(rng.choice([g for g in range(1, in_c + 1) if in_c % g == out_c % g == 0]
                                if rng.random() < 0.3 else [1]))
        act = str(rng.choice(["linear", "leaky", "relu", "mish", "logistic"]))
        height, width = (int(n) for n in rng.integers(1, 40, 2))
        layer = Layer(in_c, out_c, size, stride, pad, dilation, groups, act, int(rng.choice([0, 2])),
                      height, width)
        span = (size - 1) * dilation + 1
        if height + 2 * pad >= span and width + 2 * pad >= span:
            return layer


def cuts(rng: np.random.Generator, end: int) -> list[tuple[int, int]]:
    edges = sorted({0, end, *rng.integers(0, end + 1, 3).tolist()})
    return list(zip(edges, edges[1:]))


def check_one(isa: str, layer: Layer, kernel: str, rng: np.random.Generator) -> str:
    """'' or what is wrong."""
    before, after = (int(n) for n in rng.integers(0, 3, 2))
    image = layer.in_c == 3
    work = Work(isa, layer, kernel, 1, before=0 if image else before, after=0 if image else after,
                skew=int(rng.integers(0, 4)))
    h, w = layer.out_size
    want = work.expected()
    if kernel == "winograd":
        work.winograd(int(rng.integers(0, 3)))()
    else:
        work.run(0, h, 0, w)
    got = work.out.get().copy()
    if not work.out.intact():
        return "wrote outside its view"
    if got[layer.out_c:].any():
        return "padding channels are not zero"
    error = float(np.abs(got[:layer.out_c] - want).max() / max(1.0, np.abs(want).max()))
    if not error <= TOLERANCE:
        return f"off by {error:.1e}"
    if kernel != "winograd":
        work.out.put(np.full((layer.out_c, h, w), np.nan))
        for y0, y1 in cuts(rng, h):
            for x0, x1 in cuts(rng, w):
                work.run(y0, y1, x0, x1)
        if not np.array_equal(work.out.get().view(np.int32), got.view(np.int32)):
            return "other bits when cut into regions"
    return ""


def check(rounds: int, seed: int) -> int:
    rng = np.random.default_rng(seed)
    counts: dict[tuple[str, str], int] = {}
    for _ in range(rounds):
        layer = random_layer(rng)
        kernels = {layer.kernel, "general"} | ({"winograd"} if layer.winograd else set())
        for isa in _kernels.available():
            for kernel in sorted(kernels):
                wrong = check_one(isa, layer, kernel, rng)
                if wrong:
                    print(f"{isa} {kernel} {layer}: {wrong}\n  {layer!r}", file=sys.stderr)
                    return 1
                counts[isa, kernel] = counts.get((isa, kernel), 0) + 1
    for (isa, kernel), n in sorted(counts.items()):
        print(f"{isa:8} {kernel:9} {n:4} shapes agree")
    return 0


def seconds(job: Callable[[], object]) -> float:
    start = time.thread_time()
    job()
    return time.thread_time() - start


def burst(k: _kernels.Kernels) -> float:
    """GFLOP/s of multiply-adds in registers, over about 2 ms."""
    start = time.thread_time()
    done = k.fma_burst(200_000)
    return done / (time.thread_time() - start) / 1e9


def measure(job: Callable[[], object], flops: float, k: _kernels.Kernels, least: float = 0.1
            ) -> tuple[float, float]:
    """Median GFLOP/s, and median share of the peak measured just before and after each run.

    A core's clock wanders by a tenth within a second, so the peak is taken anew every time.
    """
    job()
    rates: list[float] = []
    shares: list[float] = []
    spent = 0.0
    before = burst(k)
    while len(rates) < 7 or spent < least:
        took = seconds(job)
        after = burst(k)
        rates.append(flops / took / 1e9)
        shares.append(rates[-1] / ((before + after) / 2))
        before, spent = after, spent + took
    return statistics.median(rates), statistics.median(shares)


def layers_of(cfg: str, size: int) -> Iterator[Layer]:
    """Distinct convolutions, each with the 2x2 pooling that can be done in its store."""
    graph = load_graph(cfg, size or None, size or None)
    seen = set()
    for node in graph.nodes:
        o, shape = node.options, node.in_shapes[0]
        if not isinstance(o, ConvOptions):
            continue
        follows = [n.options for n in graph.nodes if node.index in n.inputs]
        pool = (2 if len(follows) == 1 and isinstance(follows[0], MaxpoolOptions)
                and (follows[0].size, follows[0].stride) == (2, 2) else 0)
        layer = Layer(shape.c, o.filters, o.size, o.stride, o.pad, o.dilation, o.groups, o.activation, pool,
                      shape.h, shape.w)
        if layer not in seen:
            seen.add(layer)
            yield layer


def time_layers(cfg: str, sizes: list[int], isas: list[str], rows: int, match: str) -> None:
    for size in sizes:
        for layer in layers_of(cfg, size):
            if match not in str(layer):
                continue
            line = f"{layer!s:32}"
            for isa in isas:
                work = Work(isa, layer, layer.kernel, 0)
                h, w = layer.out_size
                step = rows or h

                def direct(work: Work = work, h: int = h, w: int = w, step: int = step) -> None:
                    for y in range(0, h, step):
                        work.run(y, min(y + step, h), 0, w)

                rate, share = measure(direct, layer.flops, work.k)
                line += f" | {isa} {rate:6.1f} {100 * share:5.1f}%"
                if layer.winograd:
                    work = Work(isa, layer, "winograd", 0)
                    rate, _ = measure(work.winograd((rows + 3) // 4), layer.flops, work.k)
                    line += f" wino {rate:6.1f}"
            print(line, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("check", help="every kernel and ISA on random awkward shapes")
    verb.add_argument("--rounds", type=int, default=200)
    verb.add_argument("--seed", type=int, default=0)
    verb = verbs.add_parser("time", help="GFLOP/s and share of peak per layer shape of a cfg")
    verb.add_argument("cfg")
    verb.add_argument("--size", default="0", help="input sizes, comma separated; 0: the cfg's own")
    verb.add_argument("--isa", default=",".join(_kernels.available()))
    verb.add_argument("--rows", type=int, default=0, help="rows per call; 0: whole maps")
    verb.add_argument("--match", default="", help="only layers whose printed shape contains this")
    verbs.add_parser("peak", help="multiply-add peak of each ISA")
    args = parser.parse_args()
    try:
        if args.verb == "check":
            return check(args.rounds, args.seed)
        if args.verb == "peak":
            for isa in _kernels.available():
                k = _kernels.Kernels(isa)
                print(f"{isa}: {statistics.median(burst(k) for _ in range(200)):.1f} GFLOP/s")
            return 0
        sizes = [int(s) for s in args.size.split(",")]
        time_layers(args.cfg, sizes, args.isa.split(","), args.rows, args.match)
    except (DarkfuseError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    end_cleanly()
    sys.exit(main())
