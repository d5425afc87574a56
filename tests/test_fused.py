"""The engine on any plan of any network: the bits of the untiled kernels, in the memory promised."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import networks, plans

from darkfuse.engine._engine import Engine
from darkfuse.graph import Graph
from darkfuse.graph.weights import weight_offsets
from darkfuse.plan.lower import lower
from darkfuse.plan.types import Group, LayerPlan, Plan
from tools.make_weights import make_weights

runs = settings(max_examples=120, deadline=None,
                suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large))


def whole(graph: Graph, plan: Plan) -> Plan:
    """The same kernels, every layer on its own, whole maps, all weights resident, one thread."""
    layers = {layer.node: layer for group in plan.groups for layer in group.layers}
    return Plan(graph.name, graph.fingerprint(), tuple(
        Group((LayerPlan(n.index, layers[n.index].kernel, "pinned" if n.weights else "none"),))
        for n in graph.nodes))


def run(graph: Graph, plan: Plan, weights: str, frames: list[np.ndarray], threads: int, guard: bool):
    """(outputs per frame, stats, program)."""
    asked = [n.index for n in graph.nodes if n.index in graph.outputs or n.index % 3 == 2]
    program = lower(graph, plan, asked, weight_offsets(graph, weights))
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
            read = [w for w in program.weights if w.residency != "pinned"]
            assert stats["bytes_read"] == sum(w.filters * w.per_filter * 4 for w in read)


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
