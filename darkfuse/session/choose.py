"""Choosing the plan: one given, one written in the cfg, or the search's best for the budget."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, NamedTuple

from darkfuse.errors import BudgetError, PlanError, brief
from darkfuse.graph import Graph, load_graph
from darkfuse.host import again, process
from darkfuse.host.helper import call
from darkfuse.host.reading import read_text
from darkfuse.plan.types import Plan
from darkfuse.session.budget import JITTER_BYTES, Budget, held_bytes

RUNGS = 5  # plans below the largest of an elastic budget
# What each picture of a batch takes beside its maps, for each layer: tables of its operations
TABLE_BYTES = 640
# A second process that searches for a plan (of yolov4-csp 20 MB), beyond the pages it shares with this one
SEARCH_BYTES = 20 << 20


def written_plan(graph: Graph, threads: int | None, exact: bool) -> Plan | None:
    """The plan in the graph's cfg, unless it was made for other threads or is not as exact as asked.

    Raises `CfgError` when the annotation is broken or was made for what the cfg no longer is.
    """
    net = graph.cfg.net
    if net.find("fuse_plan") is None:  # spares importing the reader
        return None
    if (graph.input.w, graph.input.h) != (net.integer("width"), net.integer("height")):
        return None  # made for the size that the cfg has
    from darkfuse.plan.show.annotate import read_annotation

    plan = read_annotation(graph)
    if plan is None or threads not in (None, plan.threads) or (exact and not plan.exact):
        return None
    return plan


class Chosen(NamedTuple):
    """A plan to run, the budget it keeps to, and where it comes from: 'given', 'from the cfg', 'remembered'
    or 'searched for'. `arena`: bytes there are for it, None without a limit."""

    plan: Plan
    budget: Budget
    origin: str
    arena: int | None = None


class Wishes(NamedTuple):
    """What a search is asked for beside the budget. `remember`: look in the cache folder first; `read_rate`:
    bytes a second of the storage; `pictures`: how many are at hand, to be run several at a time where that is
    faster; `fixed`: exactly so many at a time; `transposed`: weights of connected layers are stored the other
    way round, and have to be pinned."""

    threads: int
    exact: bool = False
    device: str | None = None
    isa: str | None = None
    remember: bool = True
    read_rate: int | None = None
    pictures: int = 1
    fixed: bool = False
    transposed: bool = False


def choose(graph: Graph, budget: Budget, wishes: Wishes, plan: Plan | str | None = None,
           written: Plan | None = None) -> Chosen:
    """The plan to run `graph` with: `plan`, else `written` if it fits, else the best there is.

    Its budget is the one asked for, or where nothing fits that and it may be raised, little more than the
    least that will do.

    Raises
    ------
    PlanError
        The plan given is none, or not for this network.
    BudgetError
        It, or any plan, does not fit; the message says the least that would.
    """
    spent = held_bytes(budget)
    arena, what = budget.arena(spent), graph.path
    if plan is not None:
        from darkfuse.plan.layout.lower import lower

        origin = "given"
        given = plan if isinstance(plan, Plan) else read_plan(graph, plan, wishes.threads, wishes.exact)
        chosen = dataclasses.replace(given, arena_bytes=lower(graph, given).arena_bytes)
        if _made_for(chosen, budget, spent):
            return Chosen(chosen, budget, origin, arena)
        what += " with this plan"
    elif written is not None and _still_fits(written, budget, spent):
        return Chosen(written, budget, "from the cfg", arena)
    else:
        chosen, origin = _best(graph, budget, arena, wishes)
    if arena is not None and chosen.arena_bytes > arena:
        budget = budget.raised(spent, chosen.arena_bytes, what)
        if plan is None:
            chosen, origin = _best(graph, budget, budget.arena(spent), wishes)
    return Chosen(_named(chosen, budget, spent), budget, origin, budget.arena(spent))


def choose_batch(graph: Graph, chosen: Chosen, wishes: Wishes) -> Plan:
    """The plan for `wishes.pictures` pictures in the memory that `chosen` has: for several at a time, or the
    one chosen where no other is faster."""
    if chosen.arena is None or chosen.origin == "given":
        return chosen.plan
    arena = max(chosen.arena, chosen.plan.arena_bytes) - wishes.pictures * len(graph.nodes) * TABLE_BYTES
    plan, _ = _best(graph, chosen.budget, arena, wishes)
    return plan if plan.batch > 1 else chosen.plan


def ladder(graph: Graph, top: Chosen, least: int, wishes: Wishes) -> tuple[Chosen, ...]:
    """The best plans for budgets from `least` bytes up to that of `top`, smallest first, `top` last.

    They are looked for beforehand: when memory has become short is no time to search.

    Raises
    ------
    BudgetError
        Nothing fits `least`; the message says what would.
    """
    spent, most = held_bytes(top.budget), top.budget.total or 0
    found: list[Chosen] = []
    for step in range(RUNGS):
        total = round(least * (most / least) ** (step / RUNGS))
        budget = dataclasses.replace(top.budget, total=total, most=total)
        arena = budget.arena(spent)
        plan, origin = _best(graph, budget, arena, wishes)
        if arena is not None and plan.arena_bytes > arena:
            budget.raised(spent, plan.arena_bytes, graph.path)
        found.append(Chosen(_named(plan, budget, spent), budget, origin, arena))
    return (*found, top)


def within(rungs: tuple[Chosen, ...], total: int) -> Chosen:
    """The largest of `rungs` whose budget is no more than `total` bytes, else the smallest."""
    return max((rung for rung in rungs if (rung.budget.total or 0) <= total),
               key=lambda rung: rung.budget.total or 0, default=rungs[0])


def _best(graph: Graph, budget: Budget, arena: int | None, wishes: Wishes) -> tuple[Plan, str]:
    """The best plan within `arena` bytes, else the smallest: remembered, or searched for. Where there is no
    room for a second process to search in, this one does, if it may begin anew with the plan remembered."""
    if not wishes.remember:
        return _searched(graph, budget, arena, wishes), "searched for"
    from darkfuse.plan.price.device import load_device
    from darkfuse.session.remember import STEP, Remembered, round_down

    device = load_device(wishes.device, wishes.read_rate)

    def remembered(room: int | None) -> Remembered:
        return Remembered(graph, room, wishes.threads, wishes.exact, device, wishes.isa,
                          (wishes.pictures, wishes.fixed), wishes.transposed)

    room, earlier = round_down(arena, budget.named), again.planned()
    memory = remembered(room)
    plan = memory.recall()
    if plan is not None:
        return plan, "searched for" if room in earlier else "remembered"
    for other in earlier:  # an earlier start found a little more or less memory left; what it planned may fit
        plan = remembered(other).recall() if arena is not None and abs(arena - other) < 2 * STEP else None
        if plan is not None and arena is not None and plan.arena_bytes <= arena:
            return plan, "searched for"
    alone = again.possible() and not _search_fits_beside(budget)
    plan = _searched(graph, budget, room, wishes, alone)
    memory.keep(plan)
    if alone and room is not None and memory.recall() is not None:
        again.begin(room)
    return plan, "searched for"


def _search_fits_beside(budget: Budget) -> bool:
    """Whether a search in a second process fits beside everything this one holds now."""
    return budget.total is None or (process.rss_bytes() or 0) + SEARCH_BYTES <= budget.total


def _searched(graph: Graph, budget: Budget, arena: int | None, wishes: Wishes, alone: bool = False) -> Plan:
    """`alone`: in this process, whose heap grows by what that takes."""
    job: dict[str, Any] = {
        "cfg": graph.path, "width": graph.input.w, "height": graph.input.h, "arena": arena,
        "threads": wishes.threads, "exact": wishes.exact, "device": wishes.device,
        "read_rate": wishes.read_rate, "pictures": wishes.pictures, "fixed": wishes.fixed,
        "transposed": wishes.transposed,
    }
    if budget.helped and not alone:
        answer, _ = call("darkfuse.session.choose:search", job, f"{graph.path}: cannot plan", BudgetError)
    else:
        answer, _ = search(**job)
    return Plan.from_json(answer["plan"])


def search(cfg: str, width: int, height: int, arena: int | None, threads: int, exact: bool,
           device: str | None, read_rate: int | None, pictures: int, fixed: bool,
           transposed: bool = False) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """The best plan within `arena` bytes, else the smallest, as {'plan': JSON}; a job for `helper.call`."""
    from darkfuse.plan.price.device import load_device
    from darkfuse.plan.search.search import plan_for

    graph, profile = load_graph(cfg, width, height), load_device(device, read_rate)
    most = None if arena is None else max(arena, 0)
    if pictures > 1 and not transposed:
        from darkfuse.plan.search.batch import plan_for_pictures

        plan = plan_for_pictures(graph, most, threads, exact, profile, pictures, fixed)
        return {"plan": plan.to_json()}, ()
    plan = plan_for(graph, most, threads, exact, profile, or_least=True, transposed=transposed,
                    stripes=False)
    return {"plan": plan.to_json()}, ()


def read_plan(graph: Graph, text: str, threads: int, exact: bool) -> Plan:
    """A plan from the path of its JSON, or from groups in the paper's notation, `5x5/8/2x2`."""
    if os.path.exists(text):
        try:
            return Plan.from_json(read_text(text))
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise PlanError(f"{text}: not a plan: {brief(error)}") from None
    from darkfuse.plan.show.notation import parse_plan

    return parse_plan(text, graph, threads, exact)


def _still_fits(written: Plan, budget: Budget, spent: int) -> bool:
    """Whether the plan from a cfg keeps to the budget here."""
    arena = budget.arena(spent)
    return arena is None or written.arena_bytes <= arena + JITTER_BYTES or _made_for(written, budget, spent)


def _made_for(plan: Plan, budget: Budget, spent: int) -> bool:
    """Whether a plan was made for no more than this budget, and leaves room for what is there. It need not
    leave all that is set aside for running it: reading it took part of that, and the process it was made in
    may have held some hundred kB less."""
    total = budget.total or 0
    return 0 < plan.budget_bytes <= total and spent + (budget.picture or 0) + plan.arena_bytes <= total


def _named(plan: Plan, budget: Budget, spent: int) -> Plan:
    if budget.total is None:
        return plan
    return dataclasses.replace(plan, budget_bytes=budget.total,
                               predicted_peak_bytes=budget.peak(spent, plan.arena_bytes))
