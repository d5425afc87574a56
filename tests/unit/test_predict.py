"""Predictions: exact bytes, the same prices as the search's, and sense."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import networks, plans
from profiles import examples

from darkfuse.graph import Graph, load_graph
from darkfuse.plan.layout.lower import lower
from darkfuse.plan.price import timeline
from darkfuse.plan.price.device import BUILTIN
from darkfuse.plan.price.predict import alive_bytes, predict, waiting
from darkfuse.plan.search.mafat import configurations, mafat_plan, mafat_smallest, predicted_bytes
from darkfuse.plan.search.search import plan_for
from darkfuse.plan.show.notation import parse_plan

MB = 1 << 20
X86 = BUILTIN["generic-x86"]


@pytest.fixture(scope="module")
def sixteen(root: Path) -> Graph:
    return load_graph(str(root / "cfg" / "yolov2-16.cfg"))


@examples(80, function_fixtures=True)
@given(data=st.data())
def test_any_plan_is_priced(data: st.DataObject) -> None:
    graph = data.draw(networks())
    plan = data.draw(plans(graph, exact=False))
    program = lower(graph, plan)
    found = predict(graph, plan, X86, baseline=1000)
    assert found.arena_bytes == program.arena_bytes and found.peak_bytes == found.arena_bytes + 1000
    assert len(found.groups) == len(plan.groups)
    assert found.ms == pytest.approx(sum(group.ms for group in found.groups))
    assert found.macs == sum(op.macs for stage in program.stages for op in stage.ops)
    steps = [(stage.first, stage.last) for stage in program.stages]
    for number, group in enumerate(found.groups):
        assert group.ms == pytest.approx(sum(layer.ms for layer in group.layers))
        assert all(layer.ms > 0 and 0 <= layer.weights_ms <= layer.ms for layer in group.layers)
        assert group.bytes == alive_bytes(program.buffers, steps)[number] <= program.arena_bytes
    # Some stage fills the arena, or the packing left a gap; it is never larger than what lives in it asks for
    assert max(group.bytes for group in found.groups) <= found.arena_bytes


@pytest.mark.parametrize("name", ["yolov2", "yolov2-16", "yolov2-tiny", "yolov3-tiny"])
@pytest.mark.parametrize("mem", [12, 32, 300])
def test_the_search_and_the_prediction_agree(root: Path, name: str, mem: int) -> None:
    graph = load_graph(str(root / "cfg" / f"{name}.cfg"))
    plan = plan_for(graph, mem * MB, 2, False, X86)
    assert predict(graph, plan, X86).ms == pytest.approx(plan.predicted_ms, rel=0.04)


def test_recompute_reads_and_storage_cost_time(sixteen: Graph) -> None:
    def ms(text: str, **changes: Any) -> float:
        return predict(sixteen, parse_plan(text, sixteen, 2), dataclasses.replace(X86, **changes)).ms

    assert ms("5x5n") > 1.5 * ms("5x5")  # MAFAT's arithmetic: 2.2 times the multiply-adds without reuse
    assert ms("38x1l") > ms("38x1")
    assert ms("s", read=0.02) > ms("s", read=0.2) > ms("p")
    assert ms("p", read=0.02) == ms("p")
    late = {2: dataclasses.replace(X86.at(2), read_us=5000.0)}
    assert ms("s", rates=late) > 1.2 * ms("s") and ms("p", rates=late) == ms("p")
    plan = parse_plan("s", sixteen, 2)
    worst = waiting(predict(sixteen, plan, dataclasses.replace(X86, read=0.02)))
    assert {layer for layer, _ in worst[:2]} == {12, 14}  # the largest weights


def test_mafat_space_and_estimate(sixteen: Graph) -> None:
    """Known: im2col, input and output of layer 2 at 608 are 135.4 MiB, in 3x3 tiles 38.4 MiB (ftp.c)."""
    space = configurations(sixteen)
    assert len(space) == 5 + 4 * 25 and len(set(space)) == len(space)
    assert {cut for _, cut, _ in space} == {0, 2, 4, 8, 12}
    assert predicted_bytes(sixteen, (1, 0, 0)) / MB == pytest.approx(31 + 135.38, abs=0.01)
    assert predicted_bytes(sixteen, (3, 0, 0)) / MB == pytest.approx(31 + 38.44, rel=0.02)
    assert predicted_bytes(sixteen, (5, 8, 2)) < predicted_bytes(sixteen, (2, 8, 2))


def test_mafat_takes_the_fewest_tiles_that_fit(sixteen: Graph) -> None:
    least = mafat_smallest(sixteen, 1)
    assert mafat_plan(sixteen, least.arena_bytes, 1).arena_bytes <= least.arena_bytes
    tiles = [sum(group.grid[0] ** 2 for group in mafat_plan(sixteen, mem * MB, 1).groups)
             for mem in (25, 40, 90)]
    assert tiles == sorted(tiles, reverse=True) and tiles[-1] <= 2


def test_tiles_that_take_as_long_as_the_one_before_are_not_gone_through(
        root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With late layers in stripes weights are read tile after tile: the same as with every one."""
    graph = load_graph(str(root / "cfg" / "yolov2-voc.cfg"))
    plan = plan_for(graph, 0, 2, False, X86)
    program = lower(graph, plan)
    quick = predict(graph, plan, X86, program=program)
    monkeypatch.setattr(timeline, "SAME", -1.0)
    every = predict(graph, plan, X86, program=program)
    assert every.read_bytes > 2 * graph.weight_bytes  # in stripes
    assert quick.ms == pytest.approx(every.ms, rel=1e-3)
    assert quick.reading_ms == pytest.approx(every.reading_ms, rel=1e-6)
    assert quick.waiting_ms == pytest.approx(every.waiting_ms, rel=1e-3)
    assert len(quick.slots) == len(every.slots)
    assert quick.slots[-1].end == pytest.approx(every.slots[-1].end, rel=1e-3)
