"""What a plan leaves of its memory goes to layers that wait for storage, and to no others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from darkfuse.graph import Graph, build_graph, load_graph
from darkfuse.model.cfg import parse_cfg
from darkfuse.plan.device import BUILTIN
from darkfuse.plan.lower import lower
from darkfuse.plan.notation import parse_plan
from darkfuse.plan.predict import predict
from darkfuse.plan.reads import streamed_ways
from darkfuse.plan.search import plan_for
from darkfuse.plan.simple import layer_by_layer
from darkfuse.plan.spend import spend
from darkfuse.plan.types import LayerPlan, Plan

MB = 1 << 20
BOARD = BUILTIN["rpi4"]  # an SD card: every late layer waits for it
SWIFT = replace(BOARD, read=100.0, rates={n: replace(rates, read_us=0.1) for n, rates in BOARD.rates.items()})


@pytest.fixture(scope="module")
def graph(root: Path) -> Graph:
    return load_graph(str(root / "cfg" / "yolov2.cfg"), 416, 416)


def kept(plan: Plan) -> dict[int, int]:
    return {layer.node: layer.kept for group in plan.groups for layer in group.layers if layer.kept}


@pytest.mark.parametrize("more", [0, 1, 3, 10, 40, 150])
def test_what_is_left_is_spent_and_no_more(more: int, graph: Graph) -> None:
    plan = parse_plan("13x1/8/13x1/12/s", graph, 2)
    plan = replace(plan, arena_bytes=lower(graph, plan).arena_bytes)
    limit = plan.arena_bytes + more * MB
    spent = spend(graph, plan, limit, BOARD)
    program = lower(graph, spent)
    assert program.arena_bytes == spent.arena_bytes <= limit
    before, after = predict(graph, plan, BOARD), predict(graph, spent, BOARD)
    assert after.ms <= before.ms and after.read_bytes <= before.read_bytes
    # Nothing but reads of a layer or two (1.2 MB each, and their pages) can be left over
    if 3 <= more <= 40:
        assert limit - program.arena_bytes < 2 * MB
        assert before.read_bytes - after.read_bytes > (more - 2) * MB
        assert spent.predicted_ms - plan.predicted_ms == pytest.approx(after.ms - before.ms, abs=0.01)


def test_the_layer_that_waits_longest_comes_first(graph: Graph) -> None:
    plan = parse_plan("13x1/8/13x1/12/s", graph, 2)
    plan = replace(plan, arena_bytes=lower(graph, plan).arena_bytes)
    found = kept(spend(graph, plan, plan.arena_bytes + 4 * MB, BOARD))
    assert max(found, key=lambda layer: found[layer]) == 29  # 47 MB of weights


def test_who_does_not_wait_gets_nothing(graph: Graph) -> None:
    plan = parse_plan("13x1/8/13x1/12/s", graph, 2)
    plan = replace(plan, arena_bytes=lower(graph, plan).arena_bytes)
    assert spend(graph, plan, plan.arena_bytes + 50 * MB, SWIFT) == plan


@pytest.mark.parametrize("mem", [9, 14, 33, 60, 120])
def test_a_budget_is_used_where_storage_is_slow(mem: int, graph: Graph) -> None:
    plan = plan_for(graph, mem * MB, 4, device=BOARD)
    assert 0 <= mem * MB - plan.arena_bytes < 2 * MB
    assert kept(plan)


def test_an_annotated_cfg_keeps_it(graph: Graph, tmp_path: Path) -> None:
    from darkfuse.plan.annotate import annotate, read_annotation

    plan = plan_for(graph, 33 * MB, 4, device=BOARD)
    assert kept(plan)
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
        spent = spend(graph, given, least + 8 * MB, BOARD)
        assert least < lower(graph, spent).arena_bytes <= least + 8 * MB
