"""What the engine does when things go wrong: weights that fail, frames broken off."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from small import HEAVY, LONG, SMALL, made, noise, program_of, tasks, tasks_fall_to

from darkfuse.engine._engine import Engine
from darkfuse.errors import DarkfuseError, WeightsError


def close_to(have: np.ndarray, want: np.ndarray, rms: float = 2e-5) -> None:
    assert have.shape == want.shape
    level = np.sqrt(np.mean(np.square(want, dtype=np.float64)))
    assert np.sqrt(np.mean((have - want) ** 2)) <= rms * level + 1e-9
    assert np.abs(have - want).max() <= 1e-3

# -- weights that fail ------------------------------------------------------------------------------------


@pytest.mark.parametrize("residency", ["pinned", "loaded", "streamed"])
def test_a_file_too_short_is_refused_at_once(residency, tmp_path):
    graph, weights = made(SMALL, tmp_path)
    program = program_of(graph, weights, 1, residency)
    os.truncate(weights, os.path.getsize(weights) - 100)
    with pytest.raises(WeightsError, match="100 bytes"):
        Engine(program, weights, 1)
    with pytest.raises(WeightsError, match="No such file"):
        Engine(program, weights + "x", 1)


@pytest.mark.parametrize("residency", ["loaded", "streamed"])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_file_cut_short_between_frames_ends_the_frame(threads, residency, tmp_path):
    graph, weights = made(SMALL, tmp_path)
    engine = Engine(program_of(graph, weights, threads, residency), weights, threads)
    engine.run_chw(noise(graph))
    good = bytes(engine.output(3))
    data = Path(weights).read_bytes()
    os.truncate(weights, len(data) // 2)
    before = tasks()
    for _ in range(3):
        with pytest.raises(WeightsError, match="cut short"):
            engine.run_chw(noise(graph))
    assert tasks_fall_to(before)
    Path(weights).write_bytes(data)
    engine.run_chw(noise(graph))
    assert bytes(engine.output(3)) == good


def test_a_folder_is_no_weights_file(tmp_path):
    graph, weights = made(SMALL, tmp_path)
    program = program_of(graph, weights, 1, "streamed")
    with pytest.raises(WeightsError):
        Engine(program, str(tmp_path), 1)


def test_memory_refused_is_one_clear_error(tmp_path):
    graph, weights = made(SMALL, tmp_path)
    program = program_of(graph, weights)
    buffer = program.buffers[0]._replace(offset=program.arena_bytes, bytes=1 << 50)
    huge = dataclasses.replace(program, arena_bytes=program.arena_bytes + (1 << 50),
                               buffers=(*program.buffers, buffer))
    with pytest.raises(DarkfuseError, match="refuses"):
        Engine(huge, weights, 1)


# -- leaving early ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2])
def test_a_signal_stops_a_frame(threads, tmp_path):
    """The exception of the signal's handler comes out of run, and the engine still works afterwards."""

    class Enough(Exception):
        pass

    def handler(number, stack):
        raise Enough

    graph, weights = made(HEAVY, tmp_path)
    program = program_of(graph, weights, threads, "streamed")
    engine = Engine(program, weights, threads, isa="generic")
    frame = noise(graph)
    engine.run_chw(frame)
    whole = engine.stats()["macs"]
    previous = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.03)  # no processor does these 20 G multiply-adds in that
        with pytest.raises(Enough):
            engine.run_chw(frame)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert engine.stats()["bytes_read"] < sum(n.weights.kernels * 4 for n in graph.nodes if n.weights)
    engine.run_chw(frame)
    assert engine.stats()["macs"] == whole


def test_other_threads_run_meanwhile_but_not_in_the_same_engine(tmp_path):
    graph, weights = made(LONG, tmp_path)
    engine = Engine(program_of(graph, weights, 1), weights, 1, isa="generic")
    frame = noise(graph)
    worker = threading.Thread(target=engine.run_chw, args=(frame,))
    worker.start()
    refused = 0
    while worker.is_alive() and not refused:
        try:
            engine.run_chw(frame)
        except DarkfuseError as error:
            assert "running" in str(error)
            refused += 1
        time.sleep(0.001)
    worker.join()
    assert refused
