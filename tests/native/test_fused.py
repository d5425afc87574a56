"""The engine on any plan of any network: the bits of the untiled kernels, in the memory promised."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from networks import bytes_read, networks, plans
from profiles import examples

from darkfuse.engine._engine import Engine
from darkfuse.graph import Graph, build_graph
from darkfuse.graph.weights import weight_offsets
from darkfuse.model.cfg import parse_cfg
from darkfuse.plan.layout.draft import OPTIONAL
from darkfuse.plan.layout.lower import lower
from darkfuse.plan.show.notation import parse_plan
from darkfuse.plan.types import Group, LayerPlan, Plan
from tools.make_weights import make_weights

runs = examples(120)


def whole(graph: Graph, plan: Plan) -> Plan:
    """The same kernels, every layer on its own, whole maps, all weights resident, one thread."""
    layers = {layer.node: layer for group in plan.groups for layer in group.layers}
    return Plan(graph.name, graph.fingerprint(), tuple(
        Group((LayerPlan(n.index, layers[n.index].kernel, "pinned" if n.has_kernels else "none"),))
        for n in graph.nodes))


def run(graph: Graph, plan: Plan, weights: str, frames: list[np.ndarray], threads: int, guard: bool,
        without: tuple[str, ...] = ()):
    """(outputs per frame, stats, program)."""
    asked = [n.index for n in graph.nodes if n.index in graph.outputs or n.index % 3 == 2]
    program = lower(graph, plan, asked, weight_offsets(graph, weights), without=without)
    engine = Engine(program, weights, threads, guard=guard)
    outputs = []
    for frame in frames:
        engine.run_chw(frame)
        outputs.append({n: np.array(engine.output(n)) for n, _ in program.outputs})
    stats = engine.stats()
    engine.close()
    return outputs, stats, program


def check(graph: Graph, plan: Plan, threads: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = graph.input
    frames = [rng.uniform(-1, 1, (shape.c, shape.h, shape.w)).astype(np.float32) for _ in range(2)]
    with tempfile.TemporaryDirectory() as folder:
        weights = str(Path(folder) / "random.weights")
        make_weights(graph, weights, seed)
        expected, _, _ = run(graph, whole(graph, plan), weights, frames, 1, True)
        for guard in (True, False):  # apart, between guard bytes; then packed as planned
            got, stats, program = run(graph, plan, weights, frames, threads, guard)
            for want, have in zip(expected, got):
                for layer, values in want.items():
                    assert np.isfinite(values).all()
                    assert have[layer].tobytes() == values.tobytes(), f"layer {layer} differs"
            assert stats["arena_bytes"] == program.arena_bytes
            assert stats["macs"] == sum(op.macs for stage in program.stages for op in stage.ops)
            if all(group.cache == "full" for group in plan.groups):
                assert stats["macs"] == graph.macs
            assert stats["bytes_read"] == bytes_read(program)


@examples(40)
@given(st.data())
def test_without_any_of_the_passes_that_save_memory_the_bits_are_the_same(data):
    """A wrong picture can be bisected: each pass can be left out by itself, or all of them."""
    graph = data.draw(networks())
    plan = data.draw(plans(graph, threads=2))
    without = tuple(data.draw(st.sampled_from([(name,) for name in OPTIONAL] + [OPTIONAL])))
    shape = graph.input
    frames = [np.random.default_rng(7).uniform(-1, 1, (shape.c, shape.h, shape.w)).astype(np.float32)]
    with tempfile.TemporaryDirectory() as folder:
        weights = str(Path(folder) / "random.weights")
        make_weights(graph, weights, 3)
        [expected], _, packed = run(graph, plan, weights, frames, 2, False)
        [got], stats, program = run(graph, plan, weights, frames, 2, False, without)
    assert {layer: values.tobytes() for layer, values in got.items()} == {
        layer: values.tobytes() for layer, values in expected.items()}
    assert stats["arena_bytes"] == program.arena_bytes
    if "packing" in without:
        assert program.arena_bytes >= packed.arena_bytes


@runs
@given(st.data())
def test_any_plan_gives_the_same_bits(data):
    graph = data.draw(networks())
    threads = data.draw(st.integers(1, 4))
    plan = data.draw(plans(graph, threads=data.draw(st.integers(threads, 4))))
    check(graph, plan, threads, data.draw(st.integers(0, 99)))


@runs
@given(st.data())
def test_full_caches_compute_everything_once(data):
    graph = data.draw(networks(max_side=33))
    threads = data.draw(st.integers(1, 3))
    check(graph, data.draw(plans(graph, caches=("full",), threads=threads)), threads, 1)


def resident(plan: Plan) -> Plan:
    """The same kernels on the same tiles, all weights in memory."""
    return replace(plan, ahead_bytes=0, groups=tuple(
        replace(group, layers=tuple(layer if layer.residency == "none" else replace(layer, residency="pinned")
                                    for layer in group.layers))
        for group in plan.groups))


@runs
@given(st.data())
def test_where_weights_come_from_changes_no_bit(data):
    """Winograd included: input and output in one place, reads wherever is room."""
    graph = data.draw(networks())
    threads = data.draw(st.integers(1, 3))
    plan = data.draw(plans(graph, exact=False, threads=threads))
    frame = np.random.default_rng(1).uniform(-1, 1, (graph.input.c, graph.input.h, graph.input.w))
    frames = [frame.astype(np.float32)] * 2
    with tempfile.TemporaryDirectory() as folder:
        weights = str(Path(folder) / "random.weights")
        make_weights(graph, weights, 3)
        expected, _, _ = run(graph, resident(plan), weights, frames[:1], threads, True)
        got, _, _ = run(graph, plan, weights, frames, threads, False)
    for have in got:
        for layer, values in expected[0].items():
            assert have[layer].tobytes() == values.tobytes(), f"layer {layer} differs"


def test_reads_wait_for_the_maps_that_lie_in_their_places(tmp_path):
    """The last layer's weights are read while the first layers, long ones, still use the same memory."""
    conv = "[convolutional]\nfilters={}\nsize=3\nstride=1\npad=1\nactivation=leaky\n"
    pool = "[maxpool]\nsize=2\nstride=2\n"
    graph = build_graph(parse_cfg("[net]\nwidth=96\nheight=96\nchannels=64\n" + 3 * conv.format(64) + 3 * pool
                                  + conv.format(512)))
    weights = str(tmp_path / "random.weights")
    make_weights(graph, weights, 1)
    plan = parse_plan("s", graph, exact=True)
    frames = [np.random.default_rng(1).uniform(-1, 1, (64, 96, 96)).astype(np.float32)] * 3
    expected, _, _ = run(graph, resident(plan), weights, frames[:1], 1, True)
    got, _, program = run(graph, plan, weights, frames, 1, False)
    last = program.weights[-1]
    assert sum(landing.step > 1 for landing in last.landings) > last.slots
    assert all(have[6].tobytes() == expected[0][6].tobytes() for have in got)
