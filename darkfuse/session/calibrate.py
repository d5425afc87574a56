"""Measuring this machine: what its `Device` profile says is what the engine itself reached on small networks.

A network with a layer of every kind is run under plans that differ in kernels, strips, grids and threads.
Every stage gives one equation: the cost model's amounts of work, each divided by an unknown rate, add up to
the time measured. All rates together come from least squares on the relative errors. What weights cost that
are not in memory comes from a layer that is read and packed anew for each frame.
"""

from __future__ import annotations

import array
import dataclasses
import os
import statistics
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence

from darkfuse.errors import DarkfuseError
from darkfuse.graph import Graph, load_graph
from darkfuse.graph.weights import weight_offsets
from darkfuse.host import process
from darkfuse.host.files import failed
from darkfuse.plan.layout.lower import lower
from darkfuse.plan.layout.weights import MAX_SLOTS
from darkfuse.plan.price.device import Device, Rates, cache_folder
from darkfuse.plan.price.predict import predict
from darkfuse.plan.program import Landing, Program
from darkfuse.plan.search.simple import layer_by_layer, plan_layer
from darkfuse.plan.types import Group, LayerPlan, Plan
from darkfuse.session.fit import RATES, Sample, fit
from darkfuse.session.storage import reading_rate

PICTURE_SIZE = 320, 240
PICTURE = (bytes(range(251)) * 918)[: 320 * 240 * 3]
ENDLESS = 1e30  # a rate at which something takes no time
ROUNDS = 2
STEADY = 1.3  # times as long the same work may take a few seconds later
MOST_WALKED = 256 << 20  # bytes of weights walked for the tiles of a frame, or a slow machine takes too long
SMALL_READ, LARGE_READ = 8, 32  # filters: reads that cost their beginning, and those that cost their bytes

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
LARGE = _text(512, 320, (32, 3, 1), (32, 1, 1), _POOL, (64, 3, 1), (32, 1, 1), (64, 3, 2))
WEIGHTS = _text(4, 4, (256, 3, 1), (512, 3, 1))  # of the last layer: how fast they are packed
READS = _text(4, 4, (512, 3, 1), (1024, 3, 1))  # 19 MB with next to nothing to compute: how fast they come
NETWORKS = (EARLY, LATE, GROUPED, LARGE)


def calibrate(name: str, threads: Sequence[int], seconds: float = 10.0,
              progress: Callable[[float], None] | None = None, folder: str | None = None,
              anyway: bool = False, weights: str | None = None) -> Device:
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
    anyway : bool
        Take what was measured, however busy the machine seemed.
    weights : str, optional
        A file of weights that is there: the bandwidth is that of the storage it lies on.

    Raises
    ------
    DarkfuseError
        The folder cannot be written to, or the weights cannot be read; the same work took much longer at one
        time than at another.
    """
    shown = progress or (lambda share: None)
    if folder is None:
        folder = cache_folder()
    read = reading_rate(weights, 0.06 * seconds) if weights else None
    try:
        return _measured(name, threads, seconds, shown, folder, anyway, read)
    except OSError as error:
        raise failed(error.filename or folder, "weights to measure with", error) from None


def _measured(name: str, threads: Sequence[int], seconds: float, shown: Callable[[float], None],
              folder: str, anyway: bool, given: float | None) -> Device:
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="darkfuse-", dir=folder) as place:
        cache, last = process.cache_bytes()
        graphs = [_network(place, text) for text in (*NETWORKS, _deep(last))]
        reads = _network(place, READS)
        samples: dict[int, list[Sample]] = {}
        for number, team in enumerate(threads):
            def part(share: float, number: int = number) -> None:
                shown(0.9 * (number + share) / len(threads))

            before = pulse(graphs[0], team)
            samples[team] = measure(graphs, team, cache, near_bytes(last), 0.8 * seconds / len(threads), part)
            if not anyway:
                check_steady(team, before, pulse(graphs[0], team))
        # Last, when the storage has long written what it was given
        read, pack = storage(reads, 0.06 * seconds), packing(0.03 * seconds)
        rates = {team: fit(samples[team], pack * team, read_us(reads, team, read, 0.03 * seconds))
                 for team in threads}
    return Device(name, given or read, cache, near_bytes(last), rates)


def pulse(graph: Graph, threads: int) -> float:
    """Milliseconds of one frame of a network, for comparison with the same at another time."""
    return sum(_run(graph, layer_by_layer(graph, threads), 0.0))


def check_steady(threads: int, first: float, then: float) -> None:
    """Raise DarkfuseError where the same work took so different times that what was measured says nothing."""
    if max(first, then) > STEADY * min(first, then):
        raise DarkfuseError(f"the machine is busy with something else, or hot: with {threads} threads the "
                            f"same work took {first:.1f} ms and then {then:.1f}; measure again when it is "
                            f"quiet, or keep such a profile with --anyway")


def near_bytes(last: int) -> int:
    """A map's part of the last level of cache: other maps and weights want theirs, and other programs."""
    return last // 8


def team_sizes(text: str | None) -> list[int]:
    """Numbers of threads from `1,4`; None is one and one a core. Raises DarkfuseError."""
    if text is None:
        return sorted({1, process.cpu_count()})
    words = text.split(",")
    if not all(word.isascii() and word.isdigit() and 1 <= int(word) <= 256 for word in words):
        raise DarkfuseError(f"--threads {text}: write numbers from 1 to 256, like 1,4")
    return sorted({int(word) for word in words})


def _deep(last: int) -> str:
    """Weights that the last level of cache, of so many bytes, does not hold, walked again for each tile."""
    width = 64
    while 2 * 9 * 4 * width**2 < last + (last >> 2) and width < 768:
        width += 64
    return _text(12, 12, (width, 3, 1), (width, 3, 1), (width, 3, 1))


def measure(graphs: Sequence[Graph], threads: int, cache: int, near: int, seconds: float,
            progress: Callable[[float], None]) -> list[Sample]:
    """Run every plan of every network a few frames, for about `seconds`."""
    jobs = [(graph, plan) for graph in graphs for plan in dict.fromkeys(_plans(graph, threads))]
    samples: list[Sample] = []
    end = time.monotonic() + seconds
    for number, (graph, plan) in enumerate(jobs):
        left = max(0.0, end - time.monotonic()) / (len(jobs) - number)
        samples += _samples(graph, plan, _run(graph, plan, left), cache, near)
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
        out.flush()
        os.fsync(out.fileno())
    return graph


def _plans(graph: Graph, threads: int) -> Iterator[Plan]:
    """Whole maps with every kernel and strip, then line buffers of a few heights, then columns."""
    order = [node.index for node in graph.nodes]
    rule = [plan_layer(graph, node, "pinned") for node in graph.nodes]
    exact = [plan_layer(graph, node, "pinned", exact=True) for node in graph.nodes]

    def plan(groups: Sequence[Group]) -> Plan:
        return Plan(graph.name, graph.fingerprint(), tuple(groups), threads)

    def strips(tile_rows: int) -> list[LayerPlan]:
        return [dataclasses.replace(x, strip=tile_rows) if x.kernel == "winograd" else x for x in rule]

    for layers in (exact, rule, strips(0), strips(1)):
        yield plan([Group((layers[i],)) for i in order])
    last = graph.nodes[-1].out_shape
    for rows in (1, 4):
        down = min(-(-last.h // rows), MOST_WALKED // graph.weight_bytes)
        if down > 1:
            yield plan([Group(tuple(rule), (down, 1))])
            yield plan([Group(tuple(exact), (down, 1))])
    if min(last.h, last.w) >= 3:
        yield plan([Group(tuple(rule), (3, 3))])


def _run(graph: Graph, plan: Plan, seconds: float) -> list[float]:
    """Milliseconds of every stage, the median of at least two frames: what a frame usually takes."""
    from darkfuse.engine._engine import Engine

    weights = graph.path[:-4] + ".weights"
    program = _none_ahead(lower(graph, plan, (), weight_offsets(graph, weights)))
    engine = Engine(program, weights, plan.threads)
    frames: list[list[float]] = []
    try:
        engine.run_image(PICTURE, *PICTURE_SIZE)
        end = time.monotonic() + seconds
        while len(frames) < 2 or time.monotonic() < end:
            engine.run_image(PICTURE, *PICTURE_SIZE)
            frames.append(engine.stats()["stages_ms"])
    finally:
        engine.close()
    return [statistics.median_low(stage) for stage in zip(*frames)]


def _none_ahead(program: Program) -> Program:
    """The program with every read in its layer's own stage, so that a stage's time is all it takes."""
    first = {op.weights: stage.first for stage in program.stages for op in stage.ops}
    weights = tuple(
        w._replace(landings=tuple(Landing(p.offset, max(p.step, first[n])) for p in w.landings))
        for n, w in enumerate(program.weights))
    return dataclasses.replace(program, weights=weights)


def _samples(graph: Graph, plan: Plan, best: Sequence[float], cache: int, near: int) -> list[Sample]:
    """The equations of one plan and its stages' times."""
    amounts = _amounts(graph, plan, lower(graph, plan), cache, near)
    found = []
    for group, work, ms in zip(plan.groups, amounts, best):
        # Aliases take no time; what thread 0 did not see because others were faster takes none either.
        if sum(work.values()) > 0 and ms > 0.02:
            names = ",".join(str(n) for n in group.nodes)
            found.append(Sample(f"{graph.name} {names} {group.grid} {group.layers[0].kernel}", work, ms))
    return found


def _amounts(graph: Graph, plan: Plan, program: Program, cache: int, near: int) -> list[dict[str, float]]:
    """What every group takes of each rate: predictions for a device on which all else takes no time."""
    amounts: list[dict[str, float]] = [{} for _ in plan.groups]
    for name in RATES:
        rates = Rates(**{other: 1.0 if other == name else _free(other) for other in RATES})
        device = Device("unit", ENDLESS, cache, near, {plan.threads: rates})
        for work, group in zip(amounts, predict(graph, plan, device, program=program).groups):
            work[name] = group.ms
    return amounts


def _free(name: str) -> float:
    return 0.0 if name.endswith("_us") else ENDLESS


def packing(seconds: float) -> float:
    """GB/s of packing with one thread, from a file in memory where such a thing can be had."""
    shared = "/dev/shm" if os.path.isdir("/dev/shm") and os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="darkfuse-", dir=shared) as place:
        graph = _network(place, WEIGHTS)
        return round(graph.nodes[-1].weight_bytes / loading(graph, 1, 32, seconds) * 1e-6, 3)


def storage(graph: Graph, seconds: float) -> float:
    """GB/s of reads: what is left of the time large ones take without what each takes beside its bytes."""
    large, small = (streaming(graph, 1, raw, seconds / 2) for raw in (LARGE_READ, SMALL_READ))
    filters = graph.nodes[-1].out_shape.c
    each = max(0.0, small - large) / (filters / SMALL_READ - filters / LARGE_READ)
    ms = max(0.6 * large, large - each * filters / LARGE_READ)  # less: the storage was busy in between
    return round(graph.nodes[-1].weight_bytes / ms * 1e-6, 6)


def read_us(graph: Graph, threads: int, read: float, seconds: float) -> float:
    """Microseconds a read takes beside its bytes, with a team of so many threads."""
    last = graph.nodes[-1]
    more = streaming(graph, threads, SMALL_READ, seconds) - last.weight_bytes / read * 1e-6
    return round(max(1.0, 1e3 * more * SMALL_READ / last.out_shape.c), 3)


def streaming(graph: Graph, threads: int, raw: int, seconds: float) -> float:
    """Milliseconds in which the last layer's weights stream through the slots, `raw` filters a read."""
    layers = [plan_layer(graph, node, "pinned", exact=True) for node in graph.nodes]
    block = 32 * min(threads, MAX_SLOTS * SMALL_READ // 32 - 2)  # and two panels ahead
    layers[-1] = LayerPlan(layers[-1].node, "winograd", "streamed", block, raw, (block + 64) // raw)
    plan = Plan(graph.name, graph.fingerprint(), tuple(Group((layer,)) for layer in layers), threads)
    return min(_run(graph, plan, seconds / ROUNDS)[-1] for _ in range(ROUNDS))


def loading(graph: Graph, threads: int, raw: int, seconds: float) -> float:
    """Milliseconds more the last layer takes when its weights are read and packed, `raw` filters a read."""
    cost: dict[str, float] = {}
    for residency in ROUNDS * ("pinned", "loaded"):
        layers = [plan_layer(graph, node, "pinned", exact=True) for node in graph.nodes]
        layers[-1] = dataclasses.replace(layers[-1], residency=residency, raw=raw, slots=4)
        plan = Plan(graph.name, graph.fingerprint(), tuple(Group((layer,)) for layer in layers), threads)
        ms = _run(graph, plan, seconds / 2 / ROUNDS)[-1]
        cost[residency] = min(ms, cost.get(residency, ms))
    return max(1e-3, cost["loaded"] - cost["pinned"])
