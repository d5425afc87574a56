"""Batches: pictures that share each read of weights, and get the bits they get one by one."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import bytes_read, networks, plans
from profiles import examples
from small import CONV, made, noise, tasks, tasks_fall_to

from darkfuse.engine._engine import Engine
from darkfuse.errors import DarkfuseError, PlanError
from darkfuse.graph import Graph
from darkfuse.graph.weights import weight_offsets
from darkfuse.plan.check import check_program
from darkfuse.plan.layout.lower import lower
from darkfuse.plan.search.simple import layer_by_layer
from darkfuse.plan.types import Plan
from tools.make_weights import make_weights

# Winograd, direct and connected layers, a route back to an early map, a pooling that goes with a convolution
NET = ("[net]\nwidth=24\nheight=20\nchannels=3\n" + CONV.format(40, 3, 1) + CONV.format(64, 3, 1)
       + "[maxpool]\nsize=2\nstride=2\n" + CONV.format(96, 3, 1) + CONV.format(33, 1, 1)
       + CONV.format(96, 3, 1) + "[route]\nlayers=-1,-3\n" + CONV.format(130, 3, 2)
       + "[connected]\noutput=40\nactivation=leaky\n")


def outputs_of(engine: Engine, graph: Graph, picture: int = 0) -> list[bytes]:
    return [bytes(engine.output(layer, picture)) for layer in graph.outputs]


def one_by_one(graph: Graph, plan: Plan, weights: str, frames: list[np.ndarray]) -> list[list[bytes]]:
    engine = Engine(lower(graph, plan, (), weight_offsets(graph, weights)), weights, plan.threads)
    found = []
    for frame in frames:
        engine.run_chw(frame)
        found.append(outputs_of(engine, graph))
    engine.close()
    return found


def together(engine: Engine, graph: Graph, frames: list[np.ndarray]) -> list[list[bytes]]:
    for frame in frames:
        engine.run_chw(frame, more=True)
    engine.finish()
    return [outputs_of(engine, graph, picture) for picture in range(len(frames))]


def for_batches(plan: Plan, batch: int, alone: int = 1) -> Plan:
    """The plan for so many pictures, whose first groups run as each comes; weights of those cannot be
    streamed for several, nor those of groups of several columns of tiles."""
    alone = min(alone, len(plan.groups)) if batch > 1 else 1
    return replace(plan, batch=batch, alone=alone, groups=tuple(
        replace(group, layers=tuple(
            replace(layer, residency="loaded") if layer.residency == "streamed" else layer
            for layer in group.layers))
        if number < alone or group.grid[1] > 1 else group for number, group in enumerate(plan.groups)))


@examples(120)
@given(st.data())
def test_any_plan_gives_each_picture_of_a_batch_its_own_bits(data):
    graph = data.draw(networks())
    threads, batch = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 5))
    plan = data.draw(plans(graph, threads=threads))
    sizes = [batch, data.draw(st.integers(1, batch))]  # a whole batch and a short one
    dice = np.random.default_rng(data.draw(st.integers(0, 99)))
    shape = graph.input.c, graph.input.h, graph.input.w
    frames = [dice.uniform(-1, 1, shape).astype(np.float32) for _ in range(batch)]
    with tempfile.TemporaryDirectory() as folder:
        weights = str(Path(folder) / "random.weights")
        make_weights(graph, weights, 5)
        want = one_by_one(graph, replace(plan, threads=1), weights, frames)
        try:
            batched = for_batches(plan, batch, data.draw(st.integers(1, 6)))
            program = lower(graph, batched, (), weight_offsets(graph, weights))
        except PlanError as error:
            assert "must read the network's input" in str(error) or "the last layers" in str(error)
            return
        for guard in (True, False):
            engine = Engine(program, weights, threads, guard=guard)
            for size in sizes:
                assert together(engine, graph, frames[:size]) == want[:size]
                stats = engine.stats()
                assert stats["bytes_read"] == bytes_read(program)
                assert stats["macs"] == size * sum(op.macs for stage in program.stages for op in stage.ops)
            engine.close()


@examples(40)
@given(st.data())
def test_programs_of_batches_are_proved(data):
    graph = data.draw(networks(max_layers=5, max_side=7))
    plan = for_batches(data.draw(plans(graph)), data.draw(st.integers(2, 3)), data.draw(st.integers(1, 4)))
    try:
        program = lower(graph, plan)
    except PlanError as error:
        assert "must read the network's input" in str(error)
        return
    check_program(graph, program)


@pytest.mark.parametrize("cached", [False, True], ids=["direct", "cached"])
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("residency", ["pinned", "loaded", "streamed"])
def test_a_block_of_filters_is_read_once_for_all_pictures(residency, threads, cached, tmp_path):
    graph, weights = made(NET, tmp_path)
    frames = [noise(graph, seed) for seed in range(5)]
    plan = layer_by_layer(graph, threads, residency)
    want = one_by_one(graph, layer_by_layer(graph, 1, "pinned"), weights, frames)
    turns = ((1, 32, 16, 4, 0), (2, 32, 8, 4, 1), (3, 64, 32, 2, 2), (5, 96, 32, 5, 0))
    for batch, block, raw, slots, strip in turns:
        groups = tuple(replace(group, layers=tuple(
            replace(layer, block=block, raw=raw, slots=slots, strip=strip) if layer.residency == "streamed"
            else layer for layer in group.layers)) for group in plan.groups)
        batched = for_batches(replace(plan, groups=groups, ahead_bytes=(0, 1 << 18)[batch % 2]), batch)
        program = lower(graph, batched, (), weight_offsets(graph, weights))
        engine = Engine(program, weights, threads, cached=cached)
        for size in (batch, 1, batch):
            assert together(engine, graph, frames[:size]) == want[:size], (batch, block, raw, slots)
            assert engine.stats()["bytes_read"] == sum(
                4 * w.filters * w.per_filter for w in program.weights if w.residency != "pinned")
        engine.close()


@pytest.mark.parametrize("residency", ["pinned", "loaded"])
@pytest.mark.parametrize("alone", [1, 2, 4, 6])
def test_first_groups_run_for_each_picture_as_it_comes(alone, residency, tmp_path):
    graph, weights = made(NET, tmp_path)
    frames = [noise(graph, seed) for seed in range(4)]
    want = one_by_one(graph, layer_by_layer(graph, 1, "pinned"), weights, frames)
    plan = for_batches(layer_by_layer(graph, 2, "streamed"), 4, alone)
    plan = replace(plan, ahead_bytes=1 << 18, groups=tuple(replace(group, layers=tuple(
        replace(layer, residency=residency) if layer.residency == "loaded" else layer
        for layer in group.layers)) for group in plan.groups))
    program = lower(graph, plan, (), weight_offsets(graph, weights))
    ends = [max(n for n, stage in enumerate(program.stages) for op in stage.ops
                if at in (*op.inputs, op.output)) for at in range(len(program.tensors))]
    for at, tensor in enumerate(program.tensors):
        if ends[at] < program.alone and tensor.layout != "chw":  # other views of it may be read later
            storage = [n for n, other in enumerate(program.tensors) if other.buffer == tensor.buffer]
            assert (tensor.apart > 0) == any(ends[n] >= program.alone for n in storage)
    for guard in (True, False, False):
        engine = Engine(program, weights, 2, guard=guard)
        for size in (4, 1, 3):
            assert together(engine, graph, frames[:size]) == want[:size]
            assert engine.stats()["bytes_read"] == bytes_read(program)
        engine.close()


def batch_engine(tmp_path: Path, batch: int) -> tuple[Graph, Engine]:
    graph, weights = made(NET, tmp_path)
    plan = for_batches(layer_by_layer(graph, 2, "streamed"), batch)
    return graph, Engine(lower(graph, plan, (), weight_offsets(graph, weights)), weights, 2)


def test_a_batch_left_unfinished_is_forgotten(tmp_path):
    graph, engine = batch_engine(tmp_path, 3)
    frames = [noise(graph, seed) for seed in range(3)]
    want = together(engine, graph, frames)
    before = tasks()
    engine.run_chw(frames[2], more=True)
    engine.abandon()
    assert tasks_fall_to(before)
    assert together(engine, graph, frames) == want
    engine.run_chw(frames[0], more=True)
    engine.close()
    assert tasks_fall_to(before)


def test_what_a_batch_cannot_do_is_said(tmp_path):
    graph, engine = batch_engine(tmp_path, 2)
    frame = noise(graph)
    with pytest.raises(DarkfuseError, match="no picture of a batch waits"):
        engine.finish()
    together(engine, graph, [frame, frame])
    with pytest.raises(DarkfuseError, match="had 2 pictures"):
        engine.output(graph.outputs[0], 2)
    engine.run_chw(frame, more=True)
    engine.run_chw(frame, more=True)
    with pytest.raises(DarkfuseError, match="laid out for 2 pictures"):
        engine.run_chw(frame, more=True)
    for plan, said in ((replace(layer_by_layer(graph, 1, "streamed"), batch=2), "cannot be streamed for all"),
                       (replace(layer_by_layer(graph, 1, "pinned"), batch=0), "0 pictures at a time")):
        with pytest.raises(PlanError, match=said):
            lower(graph, plan)
