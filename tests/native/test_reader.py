"""Weights read while a frame runs: past the page cache or through it, from disk or memory, in pieces of any
size, by any number of threads; files cut short and frames broken off meanwhile. The bits never change."""

from __future__ import annotations

import dataclasses
import itertools
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small import CONV, LONG, made, noise, tasks, tasks_fall_to

from darkfuse.engine._engine import Engine
from darkfuse.errors import WeightsError
from darkfuse.graph import Graph
from darkfuse.graph.weights import weight_offsets
from darkfuse.plan.layout.lower import lower
from darkfuse.plan.program import reads_of
from darkfuse.plan.search.simple import layer_by_layer
from darkfuse.plan.types import Plan

# Filters of 27, 360, 864, 70, 129 and 168 floats: hardly a read begins or ends at a page
NET = ("[net]\nwidth=24\nheight=16\nchannels=3\n" + CONV.format(40, 3, 1) + "[maxpool]\nsize=2\nstride=2\n"
       + CONV.format(96, 3, 1) + CONV.format(70, 3, 1) + CONV.format(129, 1, 1)
       + "[maxpool]\nsize=2\nstride=2\n" + CONV.format(7, 1, 1)
       + "[connected]\noutput=50\nactivation=leaky\n")
LAST = 7
# block, raw, slots; reads of several panels at the end
PIECES = [*itertools.product((32, 64, 160), (1, 8, 32), (1, 2, 5)),
          (64, 64, 1), (128, 64, 3), (96, 96, 2), (128, 64, 2)]


def plan_of(graph: Graph, residency: str, threads: int, kernel: str = "", **weights: int) -> Plan:
    plan = layer_by_layer(graph, threads, residency)
    groups = []
    for group in plan.groups:
        layer, = group.layers
        if layer.residency != "none":
            layer = dataclasses.replace(layer, **weights)
        if kernel and layer.kernel in ("direct", "winograd", "general"):
            layer = dataclasses.replace(layer, kernel=kernel)
        if layer.kernel == "winograd":  # from slots that hold a block; whole panels, or parts of one
            raw = max(layer.raw, min(32, 1 << (layer.block // 32 - 1).bit_length()))
            layer = dataclasses.replace(layer, raw=raw, slots=max(layer.slots, -(-layer.block // raw)))
        groups.append(dataclasses.replace(group, layers=(layer,)))
    return dataclasses.replace(plan, groups=tuple(groups))


def engine_of(graph: Graph, weights: str, plan: Plan, **how: bool) -> Engine:
    program = lower(graph, plan, (), weight_offsets(graph, weights))
    return Engine(program, weights, plan.threads, **how)


def frame_bytes(engine: Engine, frame: np.ndarray, layer: int = LAST) -> bytes:
    engine.run_chw(frame)
    return bytes(engine.output(layer))


@pytest.fixture(params=["disk", "memory"])
def folder(request, tmp_path) -> Iterator[Path]:
    """A folder on disk, and one on tmpfs, which reads past the page cache in its own way or not at all."""
    if request.param == "disk":
        yield tmp_path
        return
    if not os.path.isdir("/dev/shm"):
        pytest.skip("no /dev/shm: no file system in memory to try")
    path = tempfile.mkdtemp(dir="/dev/shm")
    yield Path(path)
    shutil.rmtree(path)


@pytest.mark.parametrize("cached", [False, True], ids=["direct", "cached"])
@pytest.mark.parametrize("threads", [1, 2, 3, 4])
def test_pieces_of_any_size_give_the_same_bits(threads, cached, folder):
    graph, weights = made(NET, folder)
    frame = noise(graph)
    want = frame_bytes(engine_of(graph, weights, plan_of(graph, "pinned", 1)), frame)
    total = sum(node.weights.kernels * 4 for node in graph.nodes if node.weights)
    turns = [("streamed", *sizes) for sizes in PIECES] + [("loaded", *sizes) for sizes in PIECES[:9]]
    for number, (residency, block, raw, slots) in enumerate(turns):
        plan = plan_of(graph, residency, threads, block=block, raw=raw, slots=slots)
        plan = dataclasses.replace(plan, ahead_bytes=(0, 12 << 10, 1 << 20)[number // 2 % 3])
        # Guarded, every buffer has its own place and is spoilt first; otherwise they share as planned
        engine = engine_of(graph, weights, plan, guard=number % 2 == 1, cached=cached)
        for _ in range(2):
            assert frame_bytes(engine, frame) == want, (residency, block, raw, slots)
            assert engine.stats()["bytes_read"] == total
        engine.close()


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("kernel", ["direct", "general"])
def test_streamed_weights_of_every_kernel(kernel, threads, tmp_path):
    graph, weights = made(NET, tmp_path)
    frame = noise(graph)
    want = frame_bytes(engine_of(graph, weights, plan_of(graph, "pinned", 1, kernel)), frame)
    for block, raw, slots in PIECES[::5]:
        plan = plan_of(graph, "streamed", threads, kernel, block=block, raw=raw, slots=slots)
        assert frame_bytes(engine_of(graph, weights, plan, guard=True), frame) == want, (block, raw, slots)


@pytest.mark.parametrize("kernel", ["direct", "winograd"])
@pytest.mark.parametrize("kept", [0, 2])
def test_weights_that_are_not_in_the_file_are_not_read(kernel, kept, tmp_path):
    conv = CONV.format(64, 3, 1)
    text = "[net]\nwidth=24\nheight=24\nchannels=16\n" + conv + conv + "dontload=1\n" + conv
    graph, weights = made(text, tmp_path)
    frame = noise(graph)
    want = frame_bytes(engine_of(graph, weights, plan_of(graph, "pinned", 1, kernel)), frame, 2)
    plan = plan_of(graph, "streamed", 2, kernel, raw=32, slots=3, resident=kept)
    engine = engine_of(graph, weights, plan)
    assert frame_bytes(engine, frame, 2) == want
    assert engine.stats()["bytes_read"] == 4 * sum(graph.nodes[n].weights.kernels for n in (0, 2))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("cached", [False, True], ids=["direct", "cached"])
def test_reads_that_stay_are_read_once(cached, threads, tmp_path):
    graph, weights = made(NET, tmp_path)
    frame = noise(graph)
    want = frame_bytes(engine_of(graph, weights, plan_of(graph, "pinned", 1)), frame)
    total = sum(node.weights.kernels * 4 for node in graph.nodes if node.weights)
    for number, (block, raw, slots) in enumerate(PIECES):
        plan = plan_of(graph, "streamed", threads, block=block, raw=raw, slots=slots)
        groups, kept_bytes = [], 0
        for group in plan.groups:
            layer, = group.layers
            if layer.residency == "streamed":
                node = graph.node(layer.node)
                filters = node.weights.biases
                count = reads_of(filters, layer.block, layer.raw)
                kept = (number + layer.node) % (count + 1)  # from none to all
                firsts = [first + at for first in range(0, filters, layer.block)
                          for at in range(0, min(layer.block, filters - first), layer.raw)]
                end = firsts[kept] if kept < count else filters
                kept_bytes += end * node.weights.kernels // filters * 4
                group = dataclasses.replace(group, layers=(dataclasses.replace(layer, resident=kept),))
            groups.append(group)
        plan = dataclasses.replace(plan, groups=tuple(groups))
        engine = engine_of(graph, weights, plan, guard=number % 2 == 1, cached=cached)
        for read in (total, total - kept_bytes, total - kept_bytes):
            assert frame_bytes(engine, frame) == want, (block, raw, slots)
            assert engine.stats()["bytes_read"] == read
        engine.close()


@pytest.mark.parametrize("extra", [0, 1, 4095, 4096])
def test_a_file_that_ends_anywhere_in_a_page(extra, tmp_path):
    graph, weights = made(NET, tmp_path)
    frame = noise(graph)
    want = frame_bytes(engine_of(graph, weights, plan_of(graph, "pinned", 1)), frame)
    plan = plan_of(graph, "streamed", 2)
    program = lower(graph, plan, (), weight_offsets(graph, weights))
    with open(weights, "ab") as file:
        file.write(b"\xff" * extra)
    assert frame_bytes(Engine(program, weights, 2), frame) == want


@pytest.mark.parametrize("cached", [False, True], ids=["direct", "cached"])
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_a_file_cut_short_while_frames_run(threads, cached, folder):
    """Every frame is right or refused, whatever was read already; none hangs, and no thread stays."""
    graph, weights = made(NET, folder)
    frame, data = noise(graph), Path(weights).read_bytes()
    engine = engine_of(graph, weights, plan_of(graph, "streamed", threads, raw=8), cached=cached)
    want = frame_bytes(engine, frame)
    before = tasks()
    stop = threading.Event()

    def spoil() -> None:
        draw = np.random.default_rng(threads)
        while not stop.is_set():
            os.truncate(weights, int(draw.integers(0, len(data))))
            time.sleep(draw.uniform(0, 0.003))
            with open(weights, "r+b") as file:
                file.write(data)
            time.sleep(draw.uniform(0, 0.003))

    spoiler = threading.Thread(target=spoil)
    spoiler.start()
    refused = 0
    try:
        for _ in range(2000):
            try:
                engine.run_chw(frame)
            except WeightsError as error:
                assert "cut short" in str(error) or "changed while it was in use" in str(error)
                refused += 1
            if refused >= 20:
                break
    finally:
        stop.set()
        spoiler.join()
    assert refused
    assert frame_bytes(engine, frame) == want
    assert tasks_fall_to(before)


class Enough(Exception):
    """What a signal raises here."""


@pytest.fixture
def alarm() -> Iterator[None]:
    def handler(number: int, frame: object) -> None:
        raise Enough

    previous = signal.signal(signal.SIGALRM, handler)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, previous)


@pytest.mark.parametrize("cached", [False, True], ids=["direct", "cached"])
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_frames_broken_off_at_any_moment(threads, cached, tmp_path, alarm):
    graph, weights = made(LONG, tmp_path)
    last = graph.nodes[-1].index
    engine = engine_of(graph, weights, plan_of(graph, "streamed", threads, raw=1), cached=cached)
    frame = noise(graph)
    want = frame_bytes(engine, frame, last)
    before, least = tasks(), engine.stats()["latency_ms"] / 1000
    broken = 0
    for delay in np.random.default_rng(threads).uniform(0.001, least, 12):
        try:
            signal.setitimer(signal.ITIMER_REAL, delay)
            engine.run_chw(frame)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except Enough:
            broken += 1
        assert tasks_fall_to(before)
    assert broken
    assert frame_bytes(engine, frame, last) == want


@pytest.mark.parametrize("threads", [1, 2])
def test_a_signal_outranks_the_read_error_it_meets(threads, tmp_path):
    """The handler spoils the file before it raises: what a person asked for is what comes out."""
    graph, weights = made(LONG, tmp_path)
    engine = engine_of(graph, weights, plan_of(graph, "streamed", threads, raw=1, slots=2))
    frame, data = noise(graph), Path(weights).read_bytes()
    times = []
    for _ in range(3):  # the shortest: other programs may leave the processor meanwhile
        engine.run_chw(frame)
        times.append(engine.stats()["latency_ms"])
    half = min(times) / 2000

    def handler(number: int, stack: object) -> None:
        os.truncate(weights, 0)
        time.sleep(0.2)  # until the readers have found out
        raise Enough

    previous = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, half)
        with pytest.raises(Enough):
            engine.run_chw(frame)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    with pytest.raises(WeightsError, match="cut short"):
        engine.run_chw(frame)
    Path(weights).write_bytes(data)
    engine.run_chw(frame)


@pytest.mark.parametrize("threads", [1, 2])
def test_reads_are_held_to_a_rate(threads, tmp_path):
    graph, weights = made(NET, tmp_path)
    frame, plan = noise(graph), plan_of(graph, "streamed", threads)
    want = frame_bytes(engine_of(graph, weights, plan), frame)
    engine = engine_of(graph, weights, plan, read_rate=2 << 20)
    for _ in range(2):
        assert frame_bytes(engine, frame) == want
        stats = engine.stats()
        assert stats["latency_ms"] >= 999 * stats["bytes_read"] / (2 << 20)  # at least


@pytest.mark.parametrize("threads", [1, 2])
def test_a_signal_ends_a_read_that_is_held(threads, tmp_path, alarm):
    graph, weights = made(NET, tmp_path)
    engine = engine_of(graph, weights, plan_of(graph, "streamed", threads), read_rate=1)  # a week for a frame
    for n in range(10):  # whichever thread it is that waits for the read
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(Enough):
            engine.run_chw(noise(graph))
        if n == 0:
            with_team = tasks()  # whose threads stay
    assert tasks_fall_to(with_team)
