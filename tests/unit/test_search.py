"""The search against brute force over the same options, and what it promises about whole networks."""

from __future__ import annotations

import bisect
import dataclasses
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import networks
from profiles import examples

from darkfuse.errors import BudgetError, PlanError
from darkfuse.graph import Graph, build_graph, load_graph
from darkfuse.model.cfg import parse_cfg
from darkfuse.plan.check import check_program
from darkfuse.plan.layout.lower import lower
from darkfuse.plan.layout.order import execution_orders
from darkfuse.plan.price.device import BUILTIN, Device
from darkfuse.plan.price.predict import predict
from darkfuse.plan.search._paths import Paths
from darkfuse.plan.search._ways import Ways
from darkfuse.plan.search.candidates import Candidates
from darkfuse.plan.search.cuts import Cuts, columns_of_tiles, rows_of_tiles
from darkfuse.plan.search.mafat import mafat_plan
from darkfuse.plan.search.pieces import Pieces
from darkfuse.plan.search.search import frontier, plan_for
from darkfuse.plan.search.tiled import NO_LIMIT
from darkfuse.plan.show.notation import parse_plan

MB = 1 << 20
Cost = tuple[int, int, float]  # stage bytes, pinned bytes, milliseconds


def device(choice: random.Random) -> Device:
    """One of the built-in profiles, with a storage and caches of any size."""
    base = BUILTIN[choice.choice(sorted(BUILTIN))]
    return dataclasses.replace(base, read=10 ** choice.uniform(-2.5, 1),
                               near_bytes=choice.choice((0, 4096, MB)),
                               cache_bytes=choice.choice((4096, 65536, MB)))


def every_option(spans: Candidates, a: int, b: int) -> list[Cost]:
    """All ways to run pieces [a, b) as one group, none left out because another seems better."""
    if b < len(spans.pieces) and not spans.pieces[b].layers:
        return []
    options = list(spans.single(a)) if b == spans.after(a) else []
    tail = spans.pieces[b - 1].leaf.shape
    columns = columns_of_tiles(tail.h, tail.w) if a <= spans.net.entry < b else []
    for grid, cache in [*rows_of_tiles(tail.h, tail.w), *columns]:
        ways = Ways()
        spans.fused(b, [(grid, cache)], NO_LIMIT, {a: (NO_LIMIT, NO_LIMIT)}, ways)
        paths = Paths(b, ways)
        options += [paths.option(number) for number in range(paths.many)]
    return [(option.stage, option.pinned, option.ms) for option in options]


def undominated(costs: set[Cost]) -> list[Cost]:
    """Those no other is as good as in every number, by rising bytes of the stage.

    What comes earlier has no larger stage, so that only pinned bytes and time are compared: with a staircase
    of the best time for so many pinned bytes. Comparing each with each took a quarter of an hour for some
    random networks.
    """
    kept: list[Cost] = []
    steps: list[tuple[int, float]] = []  # pinned bytes rising, milliseconds falling
    for stage, pinned, ms in sorted(costs):
        at = bisect.bisect_right(steps, (pinned, float("inf")))
        if at and steps[at - 1][1] <= ms:
            continue
        kept.append((stage, pinned, ms))
        at = bisect.bisect_left(steps, (pinned, -float("inf")))
        end = at
        while end < len(steps) and steps[end][1] >= ms:
            end += 1
        steps[at:end] = [(pinned, ms)]
    return kept


def brute_force(spans: Candidates) -> list[Cost]:
    """Costs of all cut sets with all options; dropped is only what another is as good as in every number."""
    count = len(spans.pieces)
    behind: dict[int, list[Cost]] = {count: [(0, 0, 0.0)]}
    for a in reversed(range(count)):
        found: set[Cost] = set()
        if spans.pieces[a].layers:
            for b in range(a + 1, count + 1):
                for stage, pinned, ms in undominated(set(every_option(spans, a, b))):
                    found |= {(max(stage, s), pinned + p, ms + m) for s, p, m in behind[b]}
        behind[a] = undominated(found)
    return behind[0]


@examples(400, function_fixtures=True)
@given(graph=networks(max_layers=6, max_side=40), seed=st.integers(0, 1 << 30))
def test_equal_to_brute_force(graph: Graph, seed: int) -> None:
    choice = random.Random(seed)
    order = choice.choice(execution_orders(graph))
    spans = Candidates(Pieces(graph, order, choice.random() < 0.3), device(choice), choice.choice((1, 2, 4)))
    everything = brute_force(spans)
    least = min(stage + pinned for stage, pinned, _ in everything)
    most = max(stage + pinned for stage, pinned, _ in everything)
    assert min(label.bytes for label in Cuts(spans).least()) == least
    for limit in (least, choice.randint(least, most), choice.randint(least, most), most, NO_LIMIT):
        best = min(ms for stage, pinned, ms in everything if stage + pinned <= limit)
        labels = Cuts(spans, limit).fastest(limit)
        assert labels and labels[0].bytes <= limit
        assert labels[0].ms == pytest.approx(best, rel=1e-9)
    if least > 1:
        assert not Cuts(spans, least - 1).fastest(least - 1)


def test_more_memory_is_never_slower_and_budgets_are_kept(root: Path) -> None:
    graph, profile = load_graph(str(root / "cfg" / "yolov2-tiny.cfg")), BUILTIN["rpi4"]
    last = float("inf")
    for mem in (4, 6, 8, 12, 20, 32, 64, 128):
        plan = plan_for(graph, mem * MB, 4, False, profile)
        assert plan.arena_bytes <= mem * MB
        assert lower(graph, plan).arena_bytes == plan.arena_bytes
        assert plan.predicted_ms <= last + 1e-6
        last = plan.predicted_ms


@pytest.mark.parametrize("mem", [20, 28, 40, 60, 100])
def test_never_worse_than_the_papers_search_or_layer_by_layer(root: Path, mem: int) -> None:
    graph, profile = load_graph(str(root / "cfg" / "yolov2-16.cfg")), BUILTIN["generic-x86"]
    ours = predict(graph, plan_for(graph, mem * MB, 2, False, profile), profile).ms
    theirs = [mafat_plan(graph, mem * MB, 2)]
    others = [parse_plan(text, graph, 2) for text in ("p", "s", "l", "1x1", "5x5/8/2x2", "3x3")]
    theirs += [plan for plan in others if lower(graph, plan).arena_bytes <= mem * MB]
    assert ours <= 1.01 * min(predict(graph, plan, profile).ms for plan in theirs)


def test_what_a_refusal_calls_the_least_is_enough(root: Path) -> None:
    for name in ("yolov2-tiny", "yolov2-voc"):
        graph, profile = load_graph(str(root / "cfg" / f"{name}.cfg")), BUILTIN["generic-x86"]
        least = plan_for(graph, 0, 2, False, profile)
        assert plan_for(graph, least.arena_bytes, 2, False, profile).arena_bytes <= least.arena_bytes
        with pytest.raises(BudgetError, match="the least that works is"):
            plan_for(graph, least.arena_bytes // 2, 2, False, profile)


@pytest.mark.parametrize("name, side, mebibytes",
                         [("yolov2-16", 608, 4), ("yolov2", 608, 4), ("yolov2", 416, 3),
                          ("yolov3", 416, 6)])
def test_the_least_arena(root: Path, name: str, side: int, mebibytes: int) -> None:
    """Less than input and output of its largest layers side by side: one is written over the other."""
    graph, profile = load_graph(str(root / "cfg" / f"{name}.cfg"), side, side), BUILTIN["generic-x86"]
    plan = plan_for(graph, 0, 1, False, profile)
    program = lower(graph, plan)
    assert plan.arena_bytes == program.arena_bytes <= mebibytes << 20
    assert any(buffer.over >= 0 for buffer in program.buffers)
    assert plan_for(graph, 1 << 20, 1, False, profile, or_least=True).arena_bytes <= mebibytes << 20


@pytest.mark.parametrize("side, mebibytes", [(2432, 46), (2432, 62), (4864, 172)])
def test_huge_pictures_run_in_stripes(root: Path, side: int, mebibytes: int) -> None:
    """In less than any plan that reads its weights once takes, or in as much as such a plan takes by slower
    kernels; and little slower than in any memory."""
    graph = load_graph(str(root / "cfg" / "yolov2.cfg"), side, side)
    profile = dataclasses.replace(BUILTIN["generic-x86"], near_bytes=256 << 10)  # the caches of a board
    plan, fast = (plan_for(graph, mem, 1, False, profile) for mem in (mebibytes << 20, None))
    assert plan.arena_bytes == lower(graph, plan).arena_bytes <= mebibytes << 20
    assert predict(graph, plan, profile).read_bytes > 2 * graph.weight_bytes
    assert plan.predicted_ms < 1.5 * fast.predicted_ms


def test_least_memory_within_a_latency(root: Path) -> None:
    graph, profile = load_graph(str(root / "cfg" / "yolov2-tiny.cfg")), BUILTIN["rpi5"]
    fast, small = plan_for(graph, None, 4, False, profile), plan_for(graph, 0, 4, False, profile)
    wish = (fast.predicted_ms + small.predicted_ms) / 2
    plan = plan_for(graph, None, 4, False, profile, latency_ms=wish)
    assert plan.predicted_ms <= wish and plan.arena_bytes < fast.arena_bytes
    with pytest.raises(BudgetError, match="no plan is predicted to run in"):
        plan_for(graph, None, 4, False, profile, latency_ms=fast.predicted_ms / 100)


def test_the_frontier_falls(root: Path) -> None:
    plans = frontier(load_graph(str(root / "cfg" / "yolov2-tiny.cfg")), 1, False, BUILTIN["rpi3"], points=8)
    assert len(plans) > 3
    for smaller, larger in zip(plans, plans[1:]):
        assert smaller.arena_bytes < larger.arena_bytes and smaller.predicted_ms > larger.predicted_ms


def test_maps_that_only_routes_read() -> None:
    """What dies in a group without any of its operations having read it shares no bytes there."""
    conv = "[convolutional]\nbatch_normalize=1\nfilters={}\nsize=3\nstride={}\npad=1\nactivation=leaky\n"
    up, pool = "[upsample]\nstride=2\n", "[maxpool]\nsize=2\nstride=2\n"
    text = ("[net]\nwidth=64\nheight=64\nchannels=3\n" + conv.format(48, 2) + up + conv.format(8, 1)
            + conv.format(16, 1) + pool + "[shortcut]\nfrom=-5\nactivation=linear\n" + pool + up + up
            + conv.format(64, 1) + "[route]\nlayers=-1,-7\n[route]\nlayers=-6\n" + up)
    graph = build_graph(parse_cfg(text))
    plan = plan_for(graph, 0, 2, False, BUILTIN["generic-x86"])
    assert check_program(graph, lower(graph, plan))


def test_no_plan_takes_more_than_the_limit() -> None:
    """Packing may take more than a label reckons, also for plans tried for their room to read ahead. In this
    network two of three maps at the joint are in the way of the others."""
    sizes = ("8,3,1 16,3,2 48,3,1 s 256,3,1 64,1,2 16,1,1 16,3,1 256,3,1 48,1,1 r 8,3,2 64,3,1 64,1,1 "
             "128,3,2 48,1,1 48,3,2 32,3,2")
    special = {"s": "[shortcut]\nfrom=-3\nactivation=linear\n", "r": "[route]\nlayers=-1,-5\n"}
    conv = "[convolutional]\nbatch_normalize=1\nfilters={}\nsize={}\nstride={}\npad=1\nactivation=leaky\n"
    text = "[net]\nwidth=160\nheight=160\nchannels=3\n" + 2 * "[maxpool]\nsize=2\nstride=2\n"
    text += "[upsample]\nstride=2\n"
    text += "".join(special.get(size) or conv.format(*size.split(",")) for size in sizes.split())
    graph = build_graph(parse_cfg(text))
    profile = dataclasses.replace(BUILTIN["generic-x86"], read=1.0)
    for mem in range(1_200_000, 2_400_000, 100_000):
        plan = plan_for(graph, mem, 2, False, profile)
        assert plan.ahead_bytes >= 0 and lower(graph, plan).arena_bytes == plan.arena_bytes <= mem
    with pytest.raises(PlanError, match="-4096"):
        lower(graph, dataclasses.replace(plan, ahead_bytes=-4096))
