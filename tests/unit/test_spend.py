"""What a plan leaves of its memory goes to layers that wait for storage, and to no others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from darkfuse.graph import Graph, build_graph, load_graph
from darkfuse.model.cfg import parse_cfg
from darkfuse.plan.layout.lower import lay_out, lower
from darkfuse.plan.layout.reads import streamed_ways
from darkfuse.plan.price.device import BUILTIN, Device
from darkfuse.plan.price.predict import predict
from darkfuse.plan.search.search import plan_for
from darkfuse.plan.search.simple import layer_by_layer
from darkfuse.plan.search.spend import spend
from darkfuse.plan.show.notation import parse_plan
from darkfuse.plan.types import LayerPlan, Plan

MB = 1 << 20
BOARD = BUILTIN["rpi4"]  # an SD card: every late layer waits for it
# Late layers wait for it, early ones do not, as their maps come from memory
FAST = replace(BUILTIN["generic-x86"], read=1.5, near_bytes=256 << 10)
SWIFT = replace(BOARD, read=100.0, rates={n: replace(rates, read_us=0.1) for n, rates in BOARD.rates.items()})


@pytest.fixture(scope="module")
def graph(root: Path) -> Graph:
    return load_graph(str(root / "cfg" / "yolov2.cfg"), 416, 416)


def kept(plan: Plan) -> dict[int, int]:
    return {layer.node: layer.resident for group in plan.groups for layer in group.layers if layer.resident}


def by_hand(graph: Graph, text: str = "13x1/8/13x1/12/s") -> Plan:
    """A plan in the paper's notation, with reads as the search would have them."""
    plan = parse_plan(text, graph, 2)
    groups = tuple(replace(group, layers=tuple(well_read(graph, x) for x in group.layers))
                   for group in plan.groups)
    return replace(plan, groups=groups, arena_bytes=lower(graph, replace(plan, groups=groups)).arena_bytes)


def well_read(graph: Graph, layer: LayerPlan) -> LayerPlan:
    if layer.residency != "streamed":
        return layer
    block, raw, slots = streamed_ways(graph.node(layer.node), layer.kernel, 2)[0]
    return replace(layer, block=block, raw=raw, slots=slots)


@pytest.mark.parametrize("more", [0, 1, 3, 10, 40, 150])
@pytest.mark.parametrize("device", [BOARD, FAST, SWIFT], ids=["board", "fast", "swift"])
def test_what_is_left_is_spent_and_no_more(more: int, device: Device, graph: Graph) -> None:
    plan = by_hand(graph)
    limit = plan.arena_bytes + more * MB
    spent = spend(lay_out(graph, plan), (), limit, device)
    assert lower(graph, spent).arena_bytes == spent.arena_bytes <= limit
    before, after = predict(graph, plan, device), predict(graph, spent, device)
    assert after.ms <= before.ms * 1.001 and after.read_bytes <= before.read_bytes
    assert spent.predicted_ms == pytest.approx(after.ms, abs=0.01)
    assert sum(group.predicted_ms for group in spent.groups) == pytest.approx(after.ms, abs=0.02)


@pytest.mark.parametrize("more", [10, 40])
def test_where_storage_is_busy_all_the_time_reads_stay(more: int, graph: Graph) -> None:
    plan = by_hand(graph)
    spent = spend(lay_out(graph, plan), (), plan.arena_bytes + more * MB, BOARD)
    assert kept(spent) and not spent.ahead_bytes
    # Nothing but reads of a layer or two (1.2 MB each, and their pages) can be left over
    assert plan.arena_bytes + (more - 2) * MB < spent.arena_bytes
    assert predict(graph, plan, BOARD).read_bytes - predict(graph, spent, BOARD).read_bytes > (more - 2) * MB


def test_where_it_has_pauses_there_is_room_to_read_ahead(graph: Graph) -> None:
    plan = by_hand(graph)
    spent = spend(lay_out(graph, plan), (), plan.arena_bytes + 10 * MB, FAST)
    assert not kept(spent) and spent.ahead_bytes > 9 * MB
    before, after = predict(graph, plan, FAST), predict(graph, spent, FAST)
    assert after.ms < before.ms and after.reading_ms == before.reading_ms
    assert before.ms - after.ms == pytest.approx(before.waiting_ms - after.waiting_ms)


def test_the_layer_that_waits_longest_comes_first(graph: Graph) -> None:
    plan = by_hand(graph)
    found = kept(spend(lay_out(graph, plan), (), plan.arena_bytes + 4 * MB, BOARD))
    assert max(found, key=lambda layer: found[layer]) == 29  # 47 MB of weights


def test_who_does_not_wait_gets_nothing(graph: Graph) -> None:
    plan = by_hand(graph)
    assert spend(lay_out(graph, plan), (), plan.arena_bytes + 50 * MB, SWIFT).arena_bytes == plan.arena_bytes


def test_of_two_plans_the_one_that_leaves_more_may_win(graph: Graph) -> None:
    """A plan with the late layers' storage as the bottleneck gains more by reading ahead than by pinning."""
    plans = [by_hand(graph, text) for text in ("13x1/8/13x1/12/13x1/16/s", "13x1/8/13x1/12/s")]
    limit = max(plan.arena_bytes for plan in plans)
    alone = [spend(lay_out(graph, plan), (), limit, FAST).predicted_ms for plan in plans]
    first, *others = [lay_out(graph, plan) for plan in plans]
    assert spend(first, others, limit, FAST).predicted_ms <= min(alone) * 1.005


@pytest.mark.parametrize("mem", [9, 14, 33, 60, 120])
def test_a_budget_is_kept_to_and_used_where_storage_is_slow(mem: int, graph: Graph) -> None:
    plan = plan_for(graph, mem * MB, 4, device=BOARD)
    assert 0 <= mem * MB - plan.arena_bytes < 2 * MB


@pytest.mark.parametrize("device", [BOARD, FAST], ids=["board", "fast"])
def test_an_annotated_cfg_keeps_it(graph: Graph, device: Device, tmp_path: Path) -> None:
    from darkfuse.plan.show.annotate import annotate, read_annotation

    plan = by_hand(graph)
    plan = spend(lay_out(graph, plan), (), plan.arena_bytes + 10 * MB, device)
    assert kept(plan) if device is BOARD else plan.ahead_bytes
    path = tmp_path / "yolov2.cfg"
    path.write_text(annotate(graph.cfg, plan))
    assert read_annotation(load_graph(str(path), 416, 416)) == plan


@pytest.mark.parametrize("threads", [1, 3, 56, 64, 128])
@pytest.mark.parametrize("kernel", ["winograd", "direct"])
def test_no_more_slots_than_there_may_be(kernel: str, threads: int) -> None:
    wide = "".join(f"[convolutional]\nfilters={n}\nsize=3\npad=1\nactivation=leaky\n" for n in (64, 8192))
    graph = build_graph(parse_cfg("[net]\nwidth=8\nheight=8\nchannels=3\n" + wide))
    plan = layer_by_layer(graph, threads, "streamed")
    for block, raw, slots in streamed_ways(graph.nodes[1], kernel, threads):
        layer = LayerPlan(1, kernel, "streamed", block, raw, slots)
        given = replace(plan, groups=(plan.groups[0], replace(plan.groups[1], layers=(layer,))))
        least = lower(graph, given).arena_bytes
        spent = spend(lay_out(graph, given), (), least + 8 * MB, BOARD)
        assert least < lower(graph, spent).arena_bytes <= least + 8 * MB
