"""Programs made from plans: checked cell by cell on random small networks."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import networks, plans

from darkfuse.plan.check import check_program
from darkfuse.plan.lower import lower

walks = settings(max_examples=150, deadline=None,
                 suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large))


@walks
@given(st.data())
def test_any_plan_of_any_network_computes_it(data):
    graph = data.draw(networks())
    plan = data.draw(plans(graph, exact=False, threads=data.draw(st.integers(1, 3))))
    extra = data.draw(st.lists(st.integers(0, len(graph.nodes) - 1), max_size=2))
    check_program(graph, lower(graph, plan, extra))


@walks
@given(st.data())
def test_full_caches_compute_everything_once(data):
    graph = data.draw(networks())
    program = lower(graph, data.draw(plans(graph, caches=("full",))))
    computed = check_program(graph, program)
    for op in (op for stage in program.stages for op in stage.ops if op.kind not in ("copy", "export")):
        assert computed[op.node] == graph.shape(op.node).values
    assert sum(op.macs for stage in program.stages for op in stage.ops) == graph.macs
