"""Choosing the plan: one given, one written in the cfg, or the search's best for the budget."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from darkfuse.errors import BudgetError, PlanError
from darkfuse.graph import Graph, load_graph
from darkfuse.host import process
from darkfuse.host.helper import call
from darkfuse.host.reading import read_text
from darkfuse.plan.types import Plan
from darkfuse.session.budget import JITTER_BYTES, Budget


def written_plan(graph: Graph, threads: int | None, exact: bool) -> Plan | None:
    """The plan in the graph's cfg, unless it was made for other threads or is not as exact as asked.

    Raises `CfgError` when the annotation is broken or was made for what the cfg no longer is.
    """
    if graph.cfg.net.find("fuse_plan") is None:  # spares importing the reader
        return None
    from darkfuse.plan.show.annotate import read_annotation

    plan = read_annotation(graph)
    if plan is None or threads not in (None, plan.threads) or (exact and not plan.exact):
        return None
    return plan


def choose(graph: Graph, budget: Budget, threads: int, exact: bool, plan: Plan | str | None,
           device: str | None, written: Plan | None = None) -> tuple[Plan, Budget]:
    """The plan to run `graph` with: `plan`, else `written` if it fits, else the best there is.

    With it comes the budget it keeps to: the one asked for, or where nothing fits that and it may be raised,
    little more than the least that will do.

    Raises
    ------
    PlanError
        The plan given is none, or not for this network.
    BudgetError
        It, or any plan, does not fit; the message says the least that would.
    """
    spent = process.rss_bytes() or 0
    arena, what = budget.arena(spent), graph.path
    if plan is not None:
        from darkfuse.plan.layout.lower import lower

        given = plan if isinstance(plan, Plan) else read_plan(graph, plan, threads, exact)
        chosen = dataclasses.replace(given, arena_bytes=lower(graph, given).arena_bytes)
        what += " with this plan"
    elif written is not None and _still_fits(written, budget, spent):
        return written, budget
    else:
        chosen = _searched(graph, budget, arena, threads, exact, device)
    if arena is not None and chosen.arena_bytes > arena:
        budget = budget.raised(spent, chosen.arena_bytes, what)
        if plan is None:
            chosen = _searched(graph, budget, budget.arena(spent), threads, exact, device)
    return _named(chosen, budget, spent), budget


def _searched(graph: Graph, budget: Budget, arena: int | None, threads: int, exact: bool,
              device: str | None) -> Plan:
    job: dict[str, Any] = {
        "cfg": graph.path, "width": graph.input.w, "height": graph.input.h, "arena": arena,
        "threads": threads, "exact": exact, "device": device,
    }
    if budget.aside:
        answer, _ = call("darkfuse.session.choose:search", job, f"{graph.path}: cannot plan", BudgetError)
    else:
        answer, _ = search(**job)
    return Plan.from_json(answer["plan"])


def search(cfg: str, width: int, height: int, arena: int | None, threads: int, exact: bool,
           device: str | None) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """The best plan within `arena` bytes, else the smallest, as {'plan': JSON}; a job for `aside.call`."""
    from darkfuse.plan.price.device import load_device
    from darkfuse.plan.search.search import plan_for

    graph, profile = load_graph(cfg, width, height), load_device(device)
    most = None if arena is None else max(arena, 0)
    return {"plan": plan_for(graph, most, threads, exact, profile, or_least=True).to_json()}, ()


def read_plan(graph: Graph, text: str, threads: int, exact: bool) -> Plan:
    """A plan from the path of its JSON, or from groups in the paper's notation, `5x5/8/2x2`."""
    if os.path.exists(text):
        try:
            return Plan.from_json(read_text(text))
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise PlanError(f"{text}: not a plan: {' '.join(str(error).split())}") from None
    from darkfuse.plan.show.notation import parse_plan

    return parse_plan(text, graph, threads, exact)


def _still_fits(written: Plan, budget: Budget, spent: int) -> bool:
    """Whether the plan from a cfg keeps to the budget here. Reading it took part of what is set aside for
    running it, so one made for no more than this budget only has to leave room for what is there."""
    arena = budget.arena(spent)
    if arena is None or written.arena_bytes <= arena + JITTER_BYTES:
        return True
    total = budget.total or 0
    return 0 < written.budget_bytes <= total and spent + (budget.picture or 0) + written.arena_bytes <= total


def _named(plan: Plan, budget: Budget, spent: int) -> Plan:
    if budget.total is None:
        return plan
    return dataclasses.replace(plan, budget_bytes=budget.total,
                               predicted_peak_bytes=budget.peak(spent, plan.arena_bytes))
