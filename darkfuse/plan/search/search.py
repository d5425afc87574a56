"""The best plan for a budget, for a latency, or for both: the questions that `cuts` answers."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from darkfuse.errors import BudgetError
from darkfuse.graph import Graph
from darkfuse.host.units import format_bytes
from darkfuse.plan.layout.lower import lower
from darkfuse.plan.layout.order import execution_orders
from darkfuse.plan.price.device import Device, load_device
from darkfuse.plan.search.candidates import Candidates
from darkfuse.plan.search.cuts import Bound, Cuts, Label
from darkfuse.plan.search.pieces import Pieces
from darkfuse.plan.search.simple import layer_by_layer
from darkfuse.plan.search.spend import spend, timed
from darkfuse.plan.search.tiled import NO_LIMIT
from darkfuse.plan.types import Group, Plan

SEARCHED = 3000  # inputs of layers in a network that is searched: the largest of Darknet's have 500
LEFT = (0.04, 0.08, 0.16, 0.3)  # of a budget, for reads ahead: plans that leave as much are tried too


def plan_for(graph: Graph, mem: int | None = None, threads: int = 1, exact: bool = False,
             device: Device | None = None, latency_ms: float | None = None,
             or_least: bool = False) -> Plan:
    """The fastest plan whose arena fits `mem` bytes; or the smallest one.

    Parameters
    ----------
    graph : Graph
    mem : int, optional
        Arena bytes (the process's budget less what the process itself takes). None: no limit, everything
        pinned; 0: as little as possible.
    threads : int
    exact : bool
        Leave out Winograd.
    device : Device, optional
        Left out: this machine's measured profile, or the generic one.
    latency_ms : float, optional
        The smallest plan no slower than this, within `mem` if that is given too.
    or_least : bool
        Where nothing fits `mem`, the smallest plan there is.

    Returns
    -------
    Plan
        With `arena_bytes` (exact) and `predicted_ms`.

    Raises
    ------
    BudgetError
        Nothing fits; the message says the least that would, and what takes it.
    """
    if latency_ms is None and sum(len(node.inputs) for node in graph.nodes) > SEARCHED:
        simple = _unsearched(graph, mem, threads, exact)
        if not mem or simple.arena_bytes <= mem or or_least:
            return simple
        raise BudgetError(f"{graph.name}: {format_bytes(mem)} of arena is too little; layer by layer, as "
                          f"networks of so many inputs run, it takes {format_bytes(simple.arena_bytes)}")
    spans = _spans(graph, threads, exact, device)
    search = _cuts(spans, mem)
    plan: Plan | None
    if latency_ms is not None:
        plan = _smallest_within(search, latency_ms)
    else:
        plan = _smallest(search, _least(search)) if mem == 0 else _fastest(search, search.limit)
        if plan is not None:
            others = _smaller(search, plan) if mem else iter(())
            plan = spend(graph, plan, others, mem or plan.arena_bytes, spans.device)
    if plan is not None:
        return plan
    fastest = _fastest(search, search.limit) if latency_ms is not None else None
    if fastest is not None:
        raise BudgetError(f"{graph.name}: no plan is predicted to run in {latency_ms:g} ms; the fastest "
                          f"takes {fastest.predicted_ms:.0f} ms")
    unlimited = _cuts(spans, 0)
    least = _least(unlimited)
    most = max(search.limit, least.arena_bytes)
    if or_least or (least.arena_bytes <= search.limit and latency_ms is None):
        # What it really takes can be less than the search reckons
        fast = _smallest(unlimited, least)
        return spend(graph, fast if fast.arena_bytes <= most else least, (), most, spans.device)
    heavy = sorted(lower(graph, least, reads=False).buffers, key=lambda b: -b.bytes)[:2]
    what = " and ".join(f"{b.name} ({format_bytes(b.bytes)})" for b in heavy)
    raise BudgetError(f"{graph.name}: {format_bytes(search.limit)} of arena is too little; the least that "
                      f"works is {format_bytes(least.arena_bytes)}, most of it {what}")


def _unsearched(graph: Graph, mem: int | None, threads: int, exact: bool) -> Plan:
    """Layer by layer, with weights pinned where they seem to fit and streamed elsewhere: what a network gets
    that would keep the search busy for a long time."""
    pinned = mem is None or mem > 2 * graph.weight_bytes
    plan = layer_by_layer(graph, threads, "pinned" if pinned else "streamed", exact)
    return replace(plan, arena_bytes=lower(graph, plan, reads=False).arena_bytes)


def frontier(graph: Graph, threads: int = 1, exact: bool = False, device: Device | None = None,
             points: int = 24) -> list[Plan]:
    """Plans from the smallest to the fastest, each faster than all smaller ones, at `points` budgets spaced
    evenly by ratio."""
    search = Cuts(_spans(graph, threads, exact, device))
    plans = [_smallest(search, _least(search))]
    fastest = _fastest(search, NO_LIMIT) or plans[0]
    ratio = max(1.0, fastest.arena_bytes / max(1, plans[0].arena_bytes)) ** (1 / max(1, points - 1))
    for number in range(1, points - 1):
        plan = _fastest(search, int(plans[0].arena_bytes * ratio**number))
        plans += [plan] if plan else []
    plans = [timed(graph, plan, search.spans.device) for plan in [*plans, fastest]]
    plans.sort(key=lambda p: (p.arena_bytes, p.predicted_ms))
    kept: list[Plan] = []
    for plan in plans:
        if not kept or plan.predicted_ms < kept[-1].predicted_ms:
            kept.append(plan)
    return kept


def _spans(graph: Graph, threads: int, exact: bool, device: Device | None) -> Candidates:
    return Candidates(Pieces(graph, execution_orders(graph)[-1], exact), device or load_device(), threads)


def _cuts(spans: Candidates, mem: int | None) -> Cuts:
    """Candidates for that much memory, priced; 0: as little as possible."""
    if mem == 0:
        return Cuts(spans, spans.layer_by_layer(), thorough=True)
    return Cuts(spans, mem or NO_LIMIT, thorough=False)


def _groups(label: Label, spans: Candidates) -> tuple[Group, ...]:
    return tuple(spans.group(option.recipe, option.ms) for option in label.options)


def _plan(label: Label, spans: Candidates) -> Plan:
    """The label's plan, with the arena it really takes."""
    graph = spans.net.graph
    plan = Plan(graph.name, graph.fingerprint(), _groups(label, spans), spans.threads, spans.net.exact,
                predicted_ms=round(label.ms, 3))
    return replace(plan, arena_bytes=lower(graph, plan, reads=False).arena_bytes)


def _fastest(search: Cuts, limit: int, tries: int = 6) -> Plan | None:
    """The fastest plan whose exact arena fits; where packing needs more than the sum of what is alive, labels
    and then searches are passed over that leave no room for as much."""
    ask, packing = limit, 0
    for _ in range(tries):
        labels = search.fastest(ask)
        if not labels:
            return None
        lowered = 0
        for label in labels:
            if label.bytes + packing > limit or lowered == 3:
                continue
            plan, lowered = _plan(label, search.spans), lowered + 1
            if plan.arena_bytes <= limit:
                return plan
            packing = max(packing, plan.arena_bytes - label.bytes)
        ask = min(ask - limit // 256, limit - packing)
    return None


def _smaller(search: Cuts, plan: Plan) -> Iterator[Plan]:
    """The fastest plans of less and less memory, roughly; each is searched for when it is asked for."""
    last = plan.arena_bytes
    for share in LEFT:
        labels = search.rough(int((1 - share) * search.limit))
        if labels and labels[0].bytes < last:
            last = labels[0].bytes
            smaller = _plan(labels[0], search.spans)
            if smaller.arena_bytes <= search.limit:  # packing may take more than reckoned
                yield smaller


def _least(search: Cuts) -> Plan:
    """The plan with the smallest arena, without a look at its time."""
    best: Plan | None = None
    for label in search.least()[:4]:
        if best is not None and label.bytes >= best.arena_bytes:
            break
        plan = _plan(label, search.spans)
        if best is None or plan.arena_bytes < best.arena_bytes:
            best = plan
    assert best is not None  # without a limit there is always layer by layer
    return best


def _smallest(search: Cuts, least: Plan) -> Plan:
    """The fastest plan that is as small as the smallest, but for a hundredth: so near the least, what packing
    adds differs from plan to plan by more than what they need, and several are tried."""
    best = least
    limit = ask = least.arena_bytes + least.arena_bytes // 100
    for _ in range(5):
        labels = search.fastest(ask)
        if not labels:
            break
        plan = _plan(labels[0], search.spans)
        if plan.arena_bytes <= limit and plan.predicted_ms < best.predicted_ms:
            best = plan
        ask = labels[0].bytes - 1
    return best


def _smallest_within(search: Cuts, latency_ms: float) -> Plan | None:
    """The smallest plan that takes no longer: the best of all labels kept, then bisection between it and the
    smallest of all, for what was not kept."""
    bound = Bound(0.0, latency_ms, search.rest(0.0))
    found = search.labels(search.limit, search.keep, bound)
    if not found:
        return None
    best = min(found, key=lambda label: label.bytes)
    low = min(label.bytes for label in search.least())
    while best.bytes - low > max(best.bytes // 200, 4096):
        middle = (low + best.bytes) // 2
        fastest = search.fastest(middle)[:1]
        if fastest and fastest[0].ms <= latency_ms:
            best = fastest[0]
        else:
            low = middle
    plan = _plan(best, search.spans)
    if plan.arena_bytes <= search.limit:
        return plan
    fast = _fastest(search, search.limit)
    return fast if fast is not None and fast.predicted_ms <= latency_ms else None
