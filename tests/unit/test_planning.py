"""Which plan a network runs with: one given, one written in its cfg, or the search's best for the budget."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import darkfuse
from darkfuse.errors import BudgetError, CfgError, DarkfuseError, PlanError
from darkfuse.graph import load_graph
from darkfuse.host import process
from darkfuse.host.units import parse_bytes
from darkfuse.plan.layout.lower import lower
from darkfuse.plan.price.device import load_device
from darkfuse.plan.show.annotate import annotate
from darkfuse.plan.show.notation import parse_plan
from darkfuse.plan.types import Plan
from darkfuse.session import choose
from darkfuse.session.budget import JITTER_BYTES, SPARE_BYTES, TOUCHED_BYTES, process_budget
from darkfuse.session.whatif import Planner
from tools import memory_limit
from tools.make_weights import make_weights

# The process of the tests is larger than any small budget, so budgets are tried in processes of their own.
ASK = """
import json, sys
import darkfuse
net = darkfuse.load(sys.argv[1], sys.argv[2], **json.loads(sys.argv[3]))
net.detect(sys.argv[4])
print(json.dumps([net.plan.to_json(), net.budget.total, net.stats]))
"""


def ask(root: Path, cfg: Path, weights: Path, photo: Path, **options: object) -> tuple[Plan, int, dict]:
    done = subprocess.run([sys.executable, "-c", ASK, cfg, weights, json.dumps(options), photo], cwd=root,
                          capture_output=True, text=True, check=True)
    plan, total, stats = json.loads(done.stdout)
    return Plan.from_json(plan), total, stats


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, root: Path) -> tuple[Path, Path]:
    """yolov2-tiny with seeded weights."""
    weights = tmp_path_factory.mktemp("tiny") / "yolov2-tiny.weights"
    cfg = root / "cfg" / "yolov2-tiny.cfg"
    make_weights(load_graph(str(cfg)), str(weights), 1)
    return cfg, weights


def test_the_plan_in_a_cfg_is_the_one_that_runs(tiny: tuple[Path, Path], root: Path, tmp_path: Path) -> None:
    cfg, weights = tiny
    photo = root / "docs" / "images" / "cat.jpg"
    found, total, _ = ask(root, cfg, weights, photo, mem="32M", threads=1)
    written = tmp_path / "yolov2-tiny.32M.cfg"
    written.write_text(annotate(load_graph(str(cfg)).cfg, found))
    # neither memory nor threads named: the annotation's
    plan, total, stats = ask(root, written, weights, photo)
    assert plan == found and total == 32 << 20
    assert stats["arena_bytes"] == found.arena_bytes and stats["peak_rss_bytes"] <= 32 << 20
    # what it cannot do is searched anew
    smaller, total, stats = ask(root, written, weights, photo, mem="26M", threads=1)
    assert smaller.arena_bytes < found.arena_bytes and stats["peak_rss_bytes"] <= 26 << 20
    assert ask(root, written, weights, photo, threads=2)[0].threads == 2
    exact, _, _ = ask(root, written, weights, photo, exact=True)
    assert exact.exact and not found.exact


def test_an_annotation_of_another_network_is_refused(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    cfg, weights = tiny
    plan = darkfuse.load(cfg, weights, mem="resident").plan
    edited = tmp_path / "edited.cfg"
    edited.write_text(annotate(load_graph(str(cfg)).cfg, plan).replace("width=416", "width=448"))
    with pytest.raises(CfgError, match=r"edited\.cfg:\d+: "):
        darkfuse.load(edited, weights)


def test_a_plan_given_as_groups_or_as_a_file(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    cfg, weights = tiny
    with darkfuse.load(cfg, weights, mem="resident", plan="13x1/8/p", threads=2) as net:
        assert net.plan.groups[0].grid == (13, 1) and net.plan.threads == 2
    path = tmp_path / "plan.json"
    path.write_text(net.plan.to_json())
    assert darkfuse.load(cfg, weights, mem="resident", plan=str(path)).plan == net.plan
    path.write_text(net.plan.to_json()[:-20])
    with pytest.raises(PlanError, match="not a plan"):
        darkfuse.load(cfg, weights, plan=str(path))


def test_a_plan_given_that_does_not_fit(tiny: tuple[Path, Path]) -> None:
    cfg, weights = tiny
    with pytest.raises(BudgetError, match="with this plan does not fit in 60M: the least that works is"):
        darkfuse.load(cfg, weights, mem="60M", plan="1x1/8/p")


def test_a_plan_made_for_the_budget_runs_in_a_slightly_larger_process(
        tiny: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """It fills its budget to the last page, and no two processes hold the same."""
    graph, spent = load_graph(str(tiny[0])), 24 << 20
    plan = parse_plan("13x1/6/s", graph)
    arena = lower(graph, plan).arena_bytes
    total = process_budget("min", 3 * 416 * 416).needs(spent, arena)
    budget = process_budget(total, 3 * 416 * 416)
    monkeypatch.setattr(choose, "held_bytes", lambda budget: spent + (1 << 20))
    wishes = choose.Wishes(1)
    mine = dataclasses.replace(plan, budget_bytes=total)
    assert choose.choose(graph, budget, wishes, mine) == (
        dataclasses.replace(mine, arena_bytes=arena), budget, "given", budget.arena(spent + (1 << 20)))
    for other in (plan, dataclasses.replace(plan, budget_bytes=total + 1)):
        with pytest.raises(BudgetError, match="with this plan does not fit"):
            choose.choose(graph, budget, wishes, other)


def test_the_least_is_what_a_refusal_names(tiny: tuple[Path, Path], root: Path) -> None:
    cfg, weights = tiny
    photo = root / "docs" / "images" / "cat.jpg"
    with pytest.raises(subprocess.CalledProcessError) as refused:
        ask(root, cfg, weights, photo, mem="1M", threads=1)
    named = parse_bytes(refused.value.stderr.split("the least that works is ")[1].split(",")[0])
    _, total, stats = ask(root, cfg, weights, photo, mem="min", threads=1)
    assert abs(total - named) <= 1 << 20 and stats["peak_rss_bytes"] <= total
    plan, total, stats = ask(root, cfg, weights, photo, mem="small", threads=1)
    assert abs(total - SPARE_BYTES - named) <= 1 << 20
    assert stats["peak_rss_bytes"] <= total and plan.budget_bytes == total
    planner = Planner(load_graph(str(cfg)), load_device(None), 1)
    smallest, little = planner.smallest(), planner.fastest("small")
    for answer in plan.arena_bytes, little.plan.arena_bytes:
        assert smallest.plan.arena_bytes < answer <= smallest.plan.arena_bytes + SPARE_BYTES + JITTER_BYTES
    assert little.plan.predicted_ms < smallest.plan.predicted_ms
    # a plan given keeps its arena, and the budget is what it needs
    given, total, stats = ask(root, cfg, weights, photo, mem="small", threads=1, plan="13x1/8/p")
    assert given.arena_bytes == stats["arena_bytes"] > 2 * plan.arena_bytes
    assert stats["peak_rss_bytes"] <= total < stats["peak_rss_bytes"] + (12 << 20)


# Half of what is free, all of it, and what the budget came to with the peak, or the refusal.
ASK_WITHIN = """
import json, sys
import darkfuse, darkfuse.engine._engine
from darkfuse.session.budget import process_budget
from darkfuse.errors import DarkfuseError
there = process_budget(None, 1)
try:
    net = darkfuse.load(sys.argv[1], sys.argv[2], mem=sys.argv[4] or None, threads=1)
    net.detect(sys.argv[3])
    print(json.dumps([there.total, there.most, net.budget.total, net.stats["peak_rss_bytes"]]))
except DarkfuseError as error:
    print(json.dumps([there.total, there.most, str(error), 0]))
"""


@pytest.mark.parametrize(("free", "swap", "more"), [
    (64, False, SPARE_BYTES), (64, True, SPARE_BYTES), (0, False, 0), (0, True, 0),
    (5, True, (5 << 20) + (4 << 20) - TOUCHED_BYTES - (4 << 20)),
])
def test_a_little_more_than_the_least_is_no_more_than_there_is(free: int, swap: bool, more: int,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "free_bytes", lambda: free << 20)
    monkeypatch.setattr(process, "anonymous_bytes", lambda: 4 << 20)
    monkeypatch.setattr(process, "may_swap", lambda: swap)
    budget, arena = process_budget("small", 0, 4, 1), 4 << 20
    least = budget.needs(JITTER_BYTES, arena)
    assert budget.raised(0, arena, "it").total == least + more


def within(limit: int, swap: bool, mem: str, tiny: tuple[Path, Path], root: Path) -> list:
    photo = root / "docs" / "images" / "cat.jpg"
    command = [sys.executable, "-c", ASK_WITHIN, *map(str, tiny), str(photo), mem]
    try:
        usage = memory_limit.run(command, limit, swap=swap, cold=[str(tiny[1])], capture=True, cwd=str(root))
    except DarkfuseError as error:
        pytest.skip(str(error))
    if swap and usage.machine_swap_bytes < 64 << 20:
        pytest.skip("this machine has less than 64 MB of swap")
    assert usage.status == 0, usage.stderr
    return json.loads(usage.stdout)


def refused(why: str) -> None:
    """The second is of planning or decoding, beside which there was no room for anything."""
    assert re.search(r"does not fit in the [\d.]+M there are: the least that works is [\d.]+M"
                     r"|ended with signal 9, probably for want of memory", why)


def test_where_half_of_what_is_free_is_too_little(tiny: tuple[Path, Path], root: Path) -> None:
    low, high = 15 << 20, 35 << 20
    raised = False
    while not raised and high - low > 1 << 18:
        limit = (low + high) // 2
        half, most, total, peak = within(limit, False, "", tiny, root)
        if isinstance(total, str):
            refused(total)
            low = limit
            continue
        assert peak <= total <= most + (1 << 20)
        raised = total > half + (1 << 20)
        high = limit
    assert raised
    # Whether so little will do hangs on how many pages of libraries are charged to other cgroups just then
    least = within(15 << 20, False, "", tiny, root)[2]
    if isinstance(least, str):
        refused(least)


def test_less_than_the_least_is_for_those_who_ask(tiny: tuple[Path, Path], root: Path) -> None:
    _, most, why, _ = within(10 << 20, True, "", tiny, root)
    assert isinstance(why, str) and "does not fit in the" in why
    _, _, total, _ = within(10 << 20, True, "small", tiny, root)
    assert total > most
