"""Measuring this machine: what its `Device` profile says is what the engine itself reached on small networks.

A network with a layer of every kind is run under plans that differ in kernels, strips, grids and threads.
Every stage gives one equation: the cost model's amounts of work, each divided by an unknown rate, add up to
the time measured. All rates together come from least squares on the relative errors.
"""

from __future__ import annotations

import array
import dataclasses
import os
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple

from darkfuse import process
from darkfuse.errors import DarkfuseError
from darkfuse.graph import Graph, load_graph
from darkfuse.graph.weights import weight_offsets
from darkfuse.plan.device import Device, Rates, cache_folder
from darkfuse.plan.lower import lower
from darkfuse.plan.predict import predict
from darkfuse.plan.program import Program
from darkfuse.plan.simple import plan_layer
from darkfuse.plan.types import Group, LayerPlan, Plan

RATES = tuple(field.name for field in dataclasses.fields(Rates))
ENDLESS = 1e30  # a rate at which something takes no time
READ_BYTES = 48 << 20
CHUNK = 256 << 10

# Pieces of cfgs: widths as networks have them, in maps small enough for a slow board.
_NET = "[net]\nwidth={}\nheight={}\nchannels=3\n"
_CONV = "[convolutional]\nbatch_normalize=1\nfilters={}\nsize={}\nstride={}\npad=1\nactivation=leaky\n"
_POOL = "[maxpool]\nsize=2\nstride=2\n"


def _text(width: int, height: int, *layers: tuple[int, int, int] | str) -> str:
    """A cfg of convolutions (filters, size, stride) and whole sections."""
    return _NET.format(width, height) + "".join(
        layer if isinstance(layer, str) else _CONV.format(*layer) for layer in layers)


# Wide maps and few channels; small maps and many; groups of channels; maps no cache holds.
EARLY = _text(224, 160, (32, 3, 1), (32, 3, 1), _POOL, (64, 3, 1), (64, 1, 1), _POOL, (128, 3, 1), (64, 1, 1),
              (128, 3, 1), "[upsample]\nstride=2\n", (32, 1, 1), (32, 3, 2))
LATE = _text(76, 76, (128, 3, 2), (256, 3, 1), (128, 1, 1), (256, 3, 1), _POOL, (512, 3, 1), (256, 1, 1),
             (512, 3, 1))
GROUPED = _text(64, 48, (64, 3, 1), _CONV.format(64, 3, 1) + "groups=8\n")
LARGE = _text(640, 448, (32, 3, 1), (32, 1, 1), _POOL, (64, 3, 1), (32, 1, 1), (64, 3, 2))
NETWORKS = (EARLY, LATE, GROUPED, LARGE)


@dataclass(frozen=True)
class Sample:
    """One stage as measured: amounts of work by rate (milliseconds at a rate of 1), and milliseconds."""

    what: str
    amounts: Dict[str, float]
    ms: float


def calibrate(name: str, threads: Sequence[int], seconds: float = 16.0,
              progress: Optional[Callable[[float], None]] = None, folder: Optional[str] = None) -> Device:
    """Measure this machine.

    Parameters
    ----------
    name : str
        What to call the profile.
    threads : sequence of int
        Team sizes to measure.
    seconds : float
        What the measuring takes.
    progress : callable, optional
        Given the share done, 0 to 1, now and then.
    folder : str, optional
        On the storage whose bandwidth counts. Default: the cache folder.

    Raises
    ------
    OSError
        The folder cannot be written to.
    """
    shown = progress or (lambda share: None)
    if folder is None:
        folder = cache_folder()
        os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="darkfuse-", dir=folder) as place:
        read = read_bandwidth(place)
        shown(0.1)
        cache, last = process.cache_bytes()
        near = last // 8  # other maps and weights want their part of it, and other programs
        rates: Dict[int, Rates] = {}
        for number, team in enumerate(threads):
            def part(share: float, number: int = number) -> None:
                shown(0.1 + 0.9 * (number + share) / len(threads))

            samples = measure(place, team, cache, near, 0.9 * seconds / len(threads), part)
            rates[team] = fit(samples, packing(place, team, 0.05 * seconds))
    return Device(name, read, cache, near, rates)


def team_sizes(text: str | None) -> list[int]:
    """Numbers of threads from `1,4`; None is one and one a core. Raises DarkfuseError."""
    if text is None:
        return sorted({1, process.cpu_count()})
    words = text.split(",")
    if not all(word.isascii() and word.isdigit() and 1 <= int(word) <= 256 for word in words):
        raise DarkfuseError(f"--threads {text}: write numbers from 1 to 256, like 1,4")
    return sorted({int(word) for word in words})


def measure(folder: str, threads: int, cache: int, near: int, seconds: float,
            progress: Callable[[float], None]) -> List[Sample]:
    """Run every plan of every network a few times, for about `seconds`."""
    jobs = [(graph, plan) for text in NETWORKS for graph in [_network(folder, text)]
            for plan in _plans(graph, threads)]
    samples: List[Sample] = []
    end = time.monotonic() + seconds
    for number, (graph, plan) in enumerate(jobs):
        left = max(0.0, end - time.monotonic()) / (len(jobs) - number)
        samples += _run(graph, plan, cache, near, left)
        progress((number + 1) / len(jobs))
    return samples


def _network(folder: str, text: str) -> Graph:
    """Write a cfg and weights for it; any sane numbers do, arithmetic takes as long with all of them."""
    path = os.path.join(folder, f"network{len(os.listdir(folder))}.cfg")
    with open(path, "w") as file:
        file.write(text)
    graph = load_graph(path)
    some = array.array("f", [0.01 * (n % 23 - 11) + 0.003 for n in range(4096)]).tobytes()
    with open(path[:-4] + ".weights", "wb") as out:
        out.write(struct.pack("<iiiQ", 0, 2, 0, 0))
        left = graph.weight_bytes
        while left > 0:
            left -= out.write(some[:left])
    return graph


def _plans(graph: Graph, threads: int) -> Iterator[Plan]:
    """Whole maps with every kernel and strip, then line buffers of a few heights, then columns."""
    order = [node.index for node in graph.nodes]
    rule = [plan_layer(graph, node, "pinned") for node in graph.nodes]
    exact = [plan_layer(graph, node, "pinned", exact=True) for node in graph.nodes]

    def plan(groups: Sequence[Group]) -> Plan:
        return Plan(graph.name, graph.fingerprint(), tuple(groups), threads)

    def strips(tile_rows: int) -> List[LayerPlan]:
        return [dataclasses.replace(x, strip=tile_rows) if x.kernel == "winograd" else x for x in rule]

    for layers in (exact, rule, strips(0), strips(1)):
        yield plan([Group((layers[i],)) for i in order])
    last = graph.nodes[-1].out_shape
    for rows in (1, 2, 5):
        down = -(-last.h // rows)
        if down > 1:
            yield plan([Group(tuple(rule), (down, 1))])
            yield plan([Group(tuple(exact), (down, 1))])
    if min(last.h, last.w) >= 3:
        yield plan([Group(tuple(rule), (3, 3))])


def _run(graph: Graph, plan: Plan, cache: int, near: int, seconds: float) -> List[Sample]:
    """Fastest of at least three frames, stage by stage."""
    from darkfuse.engine._engine import Engine

    weights = graph.path[:-4] + ".weights"
    program = lower(graph, plan, (), weight_offsets(graph, weights))
    engine = Engine(program, weights, plan.threads)
    width, height = 320, 240
    picture = bytes(n * 7 % 251 for n in range(width * height * 3))
    best = [ENDLESS] * len(plan.groups)
    try:
        engine.run_image(picture, width, height)
        end, frames = time.monotonic() + seconds, 0
        while frames < 3 or time.monotonic() < end:
            engine.run_image(picture, width, height)
            best = [min(pair) for pair in zip(best, engine.stats()["stages_ms"])]
            frames += 1
    finally:
        engine.close()
    amounts = _amounts(graph, plan, program, cache, near)
    found = []
    for group, work, ms in zip(plan.groups, amounts, best):
        # Aliases take no time; what thread 0 did not see because others were faster takes none either.
        if sum(work.values()) > 0 and ms > 0.02:
            names = ",".join(str(n) for n in group.nodes)
            found.append(Sample(f"{graph.name} {names} {group.grid} {group.layers[0].kernel}", work, ms))
    return found


def _amounts(graph: Graph, plan: Plan, program: Program, cache: int, near: int) -> List[Dict[str, float]]:
    """What every group takes of each rate: predictions for a device on which all else takes no time."""
    amounts: List[Dict[str, float]] = [{} for _ in plan.groups]
    for name in RATES:
        rates = Rates(**{other: 1.0 if other == name else _free(other) for other in RATES})
        device = Device("unit", ENDLESS, cache, near, {plan.threads: rates})
        for work, group in zip(amounts, predict(graph, plan, device, program=program).groups):
            work[name] = group.ms
    return amounts


def _free(name: str) -> float:
    return 0.0 if name == "op_us" else ENDLESS


def fit(samples: Sequence[Sample], pack: float) -> Rates:
    """Rates that predict the samples best, in the sense of least squares of relative errors.

    Every rate is an unknown time per amount, at least zero: solved one after another in turn until nothing
    moves. A rate that nothing measured, or that takes no time at all, keeps a large finite value.
    """
    times = dict.fromkeys(RATES, 0.0)
    rows = [({k: v / s.ms for k, v in s.amounts.items() if v > 1e-12}, s.ms) for s in samples]
    rest = [1.0 for _ in rows]  # what the times do not explain yet, as a share
    for _ in range(400):
        moved = 0.0
        for name in RATES:
            using = [(n, row[name]) for n, (row, _) in enumerate(rows) if name in row]
            square = sum(a * a for _, a in using)
            if not square:
                continue
            step = max(-times[name], sum(a * rest[n] for n, a in using) / square)
            times[name] += step
            moved = max(moved, abs(step) / max(times[name], 1e-12))
            for n, a in using:
                rest[n] -= a * step
        if moved < 1e-5:
            break
    values = {name: round(1 / max(seconds, 1e-6), 6) for name, seconds in times.items()}
    values["op_us"] = round(max(times["op_us"], 0.01), 3)
    values["pack"] = pack
    return Rates(**values)


def packing(folder: str, threads: int, seconds: float) -> float:
    """GB/s of packing, where a file in memory can be had: loading weights against having them."""
    shared = "/dev/shm" if os.path.isdir("/dev/shm") and os.access("/dev/shm", os.W_OK) else folder
    with tempfile.TemporaryDirectory(prefix="darkfuse-", dir=shared) as place:
        graph = _network(place, "[net]\nwidth=4\nheight=4\nchannels=256\n" + _CONV.format(512, 3, 1))
        cost = {}
        for residency in ("pinned", "loaded"):
            layer = plan_layer(graph, graph.node(0), residency, exact=True)
            plan = Plan(graph.name, graph.fingerprint(), (Group((layer,)),), threads)
            cost[residency] = _fastest(graph, plan, seconds / 2)
    return round(graph.weight_bytes / max(1e-3, cost["loaded"] - cost["pinned"]) * 1e-6, 3)


def _fastest(graph: Graph, plan: Plan, seconds: float) -> float:
    from darkfuse.engine._engine import Engine

    weights = graph.path[:-4] + ".weights"
    engine = Engine(lower(graph, plan, (), weight_offsets(graph, weights)), weights, plan.threads)
    source = array.array("f", bytes(4 * graph.input.values))
    best, end, frames = ENDLESS, time.monotonic() + seconds, 0
    try:
        while frames < 4 or time.monotonic() < end:
            engine.run_chw(source)
            best = min(best, engine.stats()["latency_ms"]) if frames else best
            frames += 1
    finally:
        engine.close()
    return best


def read_bandwidth(folder: str) -> float:
    """GB/s of reads in pieces as the engine makes them, from a file that is not in the page cache."""
    path = os.path.join(folder, "read")
    size = 0
    with open(path, "wb") as out:
        end = time.monotonic() + 1.5  # slow cards get a smaller file
        while size < READ_BYTES and time.monotonic() < end:
            size += out.write(os.urandom(1 << 20))
        out.flush()
        os.fsync(out.fileno())
    best = 0.0
    fd = os.open(path, os.O_RDONLY)
    try:
        end = time.monotonic() + 1.5
        for _ in range(3):
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            start = time.monotonic()
            done = 0
            while done < size and time.monotonic() < end:
                done += len(os.pread(fd, CHUNK, done))
            best = max(best, done / max(1e-6, time.monotonic() - start))
            if time.monotonic() > end:
                break
    finally:
        os.close(fd)
    os.remove(path)
    return round(best * 1e-9, 6)


def errors(samples: Sequence[Sample], rates: Rates) -> List[Tuple[str, float, float]]:
    """(what, predicted, measured) in milliseconds: how well `rates` explain the samples."""
    found = []
    for sample in samples:
        ms = sum(amount * (getattr(rates, name) if name == "op_us" else 1 / getattr(rates, name))
                 for name, amount in sample.amounts.items() if name != "pack")
        found.append((sample.what, ms, sample.ms))
    return found
