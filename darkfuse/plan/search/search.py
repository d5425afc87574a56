"""The best plan for a budget, for a latency, or for both: the questions that `cuts` answers."""
from __future__ import annotations

from dataclasses import replace

from darkfuse.errors import BudgetError, PlanError
from darkfuse.graph import Graph
from darkfuse.host.garbage import no_garbage
from darkfuse.host.units import format_bytes
from darkfuse.plan.layout.draft import Draft
from darkfuse.plan.layout.lower import lay_out
from darkfuse.plan.layout.order import execution_orders, stripe_order
from darkfuse.plan.price.device import Device, load_device
from darkfuse.plan.search import tries
from darkfuse.plan.search.candidates import Candidates
from darkfuse.plan.search.cuts import NEVER, Cuts
from darkfuse.plan.search.pieces import Pieces
from darkfuse.plan.search.simple import layer_by_layer
from darkfuse.plan.search.spend import spend, timed
from darkfuse.plan.search.tiled import NO_LIMIT
from darkfuse.plan.types import Plan

SEARCHED = 3000  # inputs of layers in a network that is searched: the largest of Darknet's have 500
LEASTS = 3  # plans about as small as the smallest, of which the best is taken
STRIPES = (1 << 20, 4, 2)  # rows at most: what flat ones write over their input lies close to it
SLOWER = 1.5  # times that of the fastest of them: no room to read ahead makes good for more
STRIPED = 16 << 20  # of arena
PAYS = 1.15  # times what layers take with all the memory they like, beyond which stripes may be faster


@no_garbage()
def plan_for(graph: Graph, mem: int | None = None, threads: int = 1, exact: bool = False,
             device: Device | None = None, latency_ms: float | None = None,
             or_least: bool = False, transposed: bool = False, stripes: bool = True) -> Plan:
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
    transposed : bool
        Connected layers' weights are stored input by input (files of 2015): they can only be pinned.
    stripes : bool
        Look for late layers in stripes wherever nothing else fits. That takes 10 MB for itself; False: not
        where the least without them is below `STRIPED`, for it would need more than it saves.

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
        simple = _unsearched(graph, None if transposed else mem, threads, exact)
        if not mem or simple.arena_bytes <= mem or or_least:
            return simple
        raise BudgetError(f"{graph.name}: {format_bytes(mem)} of arena is too little; layer by layer, as "
                          f"networks of so many inputs run, it takes {format_bytes(simple.arena_bytes)}")
    spans = _spans(graph, threads, exact, device, transposed=transposed)
    search = _cuts(spans, mem)
    if latency_ms is not None:
        draft = tries.smallest_within(search, latency_ms)
        if draft is not None:
            return replace(draft.plan, arena_bytes=draft.packed_bytes)
        fastest = tries.fastest(search, search.limit)
        if fastest is not None:
            raise BudgetError(f"{graph.name}: no plan is predicted to run in {latency_ms:g} ms; the fastest "
                              f"takes {fastest.plan.predicted_ms:.0f} ms")
    elif mem != 0:
        draft = tries.fastest(search, search.limit)
        if draft is not None:
            # Where maps take little of the memory, what is slow is reading weights; stripes read more
            if mem and mem >= STRIPED and search.tight and tries.time(draft) > PAYS * spans.at_best():
                for found in _striped(search, mem, mem, tries.time(draft)):
                    search, draft = found
            others = tries.smaller(search, draft, mem) if mem else iter(())
            return spend(draft, others, mem or draft.packed_bytes, spans.device)
    limit = mem or 0
    search = search if mem == 0 else _cuts(spans, 0)
    # Without a limit to fit, plans beside the smallest are laid out where stripes turn out to take no less
    small = tries.smallest(search, limit) if mem else [tries.laid_out(search.least()[0], search)]
    least = min(small, key=tries.size)
    # A plan that fits as the smallest there is has no room for the faster kernels
    plain = min((tries.time(draft) for draft in small if draft.packed_bytes <= limit), default=NEVER)
    if latency_ms is None and (least.packed_bytes >= STRIPED or (stripes and plain == NEVER)):
        for found in _striped(search, limit, max(limit, least.packed_bytes), plain) if mem else ():
            return spend(found[1], tries.smaller(*found, limit), limit, spans.device)
        for some in (*_reordered(search), search) if plain == NEVER else ():
            small += _smallest(some.striped(least.packed_bytes, max(STRIPES)), limit, small)
    small += [] if mem else _smallest(search, limit, small)
    least = min(small, key=tries.size)
    if mem == 0 or or_least or least.packed_bytes <= limit:
        least_bytes = least.packed_bytes
        most = limit if least_bytes <= limit else least_bytes + least_bytes // tries.NEARLY
        fits = sorted([draft for draft in small if draft.packed_bytes <= most], key=tries.time)
        fits = [draft for draft in fits if tries.time(draft) <= SLOWER * tries.time(fits[0])][:LEASTS]
        return spend(fits[0], fits[1:], max(limit, *(draft.packed_bytes for draft in fits)), spans.device)
    heavy = sorted(least.buffers, key=lambda b: -b.bytes)[:2]
    what = " and ".join(f"{b.name} ({format_bytes(b.bytes)})" for b in heavy)
    raise BudgetError(f"{graph.name}: {format_bytes(limit)} of arena is too little; the least that "
                      f"works is {format_bytes(least.packed_bytes)}, most of it {what}")


@no_garbage()
def fastest_within(graph: Graph, mem: int, threads: int, exact: bool, device: Device,
                   batch: int) -> Plan | None:
    """The fastest plan for a batch within `mem` bytes of arena; None where none fits, or the network has too
    many inputs to be searched."""
    if sum(len(node.inputs) for node in graph.nodes) > SEARCHED:
        return None
    spans = _spans(graph, threads, exact, device, batch)
    search = _cuts(spans, mem)
    try:
        draft = tries.fastest(search, search.limit) or tries.closest(search, search.limit)
    except PlanError:  # the first group does not read the input
        return None
    if draft is None:
        return None
    found = [spend(draft, tries.smaller(search, draft, mem), mem, device)]
    # The more groups run as each picture comes, the fewer maps wait, and the longer reads wait for room
    for alone in range(1, tries.reading(draft.plan.groups, ("streamed",)) + 1):
        other = lay_out(graph, replace(draft.plan, alone=alone), common=spans.common)
        if alone != draft.plan.alone and other.packed_bytes <= mem:
            found.append(spend(other, [], mem, device))
    return min(found, key=lambda plan: plan.predicted_ms)


def _unsearched(graph: Graph, mem: int | None, threads: int, exact: bool) -> Plan:
    """Layer by layer, with weights pinned where they seem to fit and streamed elsewhere: what a network gets
    that would keep the search busy for a long time."""
    pinned = mem is None or mem > 2 * graph.weight_bytes
    plan = layer_by_layer(graph, threads, "pinned" if pinned else "streamed", exact)
    return replace(plan, arena_bytes=lay_out(graph, plan).packed_bytes)


@no_garbage()
def frontier(graph: Graph, threads: int = 1, exact: bool = False, device: Device | None = None,
             points: int = 24) -> list[Plan]:
    """Plans from the smallest to the fastest, each faster than all smaller ones, at `points` budgets spaced
    evenly by ratio."""
    search = Cuts(_spans(graph, threads, exact, device))
    drafts = [min(tries.smallest(search, 0), key=tries.time)]
    fastest = tries.fastest(search, NO_LIMIT) or drafts[0]
    least = drafts[0].packed_bytes
    ratio = max(1.0, fastest.packed_bytes / max(1, least)) ** (1 / max(1, points - 1))
    for number in range(1, points - 1):
        draft = tries.fastest(search, int(least * ratio**number))
        drafts += [draft] if draft else []
    plans = [timed(draft, search.spans.device) for draft in [*drafts, fastest]]
    plans.sort(key=lambda p: (p.arena_bytes, p.predicted_ms))
    kept: list[Plan] = []
    for plan in plans:
        if not kept or plan.predicted_ms < kept[-1].predicted_ms:
            kept.append(plan)
    return kept


def _spans(graph: Graph, threads: int, exact: bool, device: Device | None, batch: int = 1,
           transposed: bool = False) -> Candidates:
    pieces = Pieces(graph, execution_orders(graph)[-1], exact, batch)
    return Candidates(pieces, device or load_device(), threads, transposed)


def _cuts(spans: Candidates, mem: int | None) -> Cuts:
    """Candidates for that much memory, priced; 0: as little as possible."""
    if mem == 0:
        return Cuts(spans, spans.layer_by_layer(), thorough=True)
    return Cuts(spans, mem or NO_LIMIT, thorough=False)


def _smallest(search: Cuts, limit: int, others: list[Draft]) -> list[Draft]:
    """Plans of a search that are about as small as others, or smaller."""
    small = tries.smallest(search, limit, min(others, key=tries.size).packed_bytes)
    return small + [tries.relaxed(search, label, limit) for label in search.least()[:1] if limit]


def _striped(search: Cuts, limit: int, least: int, than: float) -> list[tuple[Cuts, Draft]]:
    """The fastest plan within the limit that is found among those that read weights for every tile, and the
    search that found it, alone in a list; an empty one where none that fits is faster `than` so many
    milliseconds. `least` bytes do without stripes, as `search` has them."""
    found: list[tuple[Cuts, Draft]] = []
    for some in (search, *_reordered(search)):
        for rows in STRIPES:
            faster = _faster(some.striped(least, rows), limit, than)
            if faster is not None:
                found, than = [faster], tries.time(faster[1])
    return found


def _faster(search: Cuts, limit: int, than: float) -> tuple[Cuts, Draft] | None:
    draft = tries.fastest(search, limit, last=True, than=than)
    return None if draft is None else (search, draft)


def _reordered(search: Cuts) -> list[Cuts]:
    """The search in the order that stripes need least in; none where it is in that order already."""
    spans = search.spans
    order = stripe_order(spans.net.graph, spans.net.order)
    if order == spans.net.order:
        return []
    pieces = Pieces(spans.net.graph, order, spans.net.exact, spans.net.batch)
    return [Cuts(Candidates(pieces, spans.device, spans.threads, spans.transposed), search.limit)]
