"""The best plan for a budget, for a latency, or for both: the questions that `cuts` answers."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from darkfuse.errors import BudgetError, PlanError
from darkfuse.graph import Graph
from darkfuse.host.garbage import no_garbage
from darkfuse.host.units import format_bytes
from darkfuse.plan.layout.draft import Draft
from darkfuse.plan.layout.lower import lay_out
from darkfuse.plan.layout.order import execution_orders, stripe_order
from darkfuse.plan.price.device import Device, load_device
from darkfuse.plan.search.candidates import Candidates
from darkfuse.plan.search.cuts import Bound, Cuts, Label
from darkfuse.plan.search.option import Option
from darkfuse.plan.search.pieces import Pieces
from darkfuse.plan.search.simple import layer_by_layer
from darkfuse.plan.search.spend import spend, timed
from darkfuse.plan.search.tiled import NO_LIMIT
from darkfuse.plan.types import Group, Plan

SEARCHED = 3000  # inputs of layers in a network that is searched: the largest of Darknet's have 500
LAID_OUT = 600  # pieces of all plans laid out in search of the least: three of a large network
LEASTS = 3  # of the smallest plans, tried where packing leaves no room for any other
STRIPES = (1 << 20, 8, 4, 2, 1)  # rows at most: what flat ones write over their input lies close to it
STRIPED = 16 << 20  # of arena
LEFT = (0.04, 0.16, 0.3)  # of a budget, for reads ahead: plans that leave as much are tried too


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
    draft: Draft | None
    if latency_ms is not None:
        draft = _smallest_within(search, latency_ms)
        if draft is not None:
            return replace(draft.plan, arena_bytes=draft.packed_bytes)
        fastest = _fastest(search, search.limit)
        if fastest is not None:
            raise BudgetError(f"{graph.name}: no plan is predicted to run in {latency_ms:g} ms; the fastest "
                              f"takes {fastest.plan.predicted_ms:.0f} ms")
    elif mem == 0:
        return _spent(_smallest(*_least_of_all(spans, search, stripes)), spans.device)
    else:
        draft = _fastest(search, search.limit)
        if draft is not None:
            others = _smaller(search, draft) if mem else iter(())
            return spend(draft, others, mem or draft.packed_bytes, spans.device)
    unlimited = _cuts(spans, 0)
    least = _least(unlimited)
    if least.packed_bytes > search.limit and (stripes or least.packed_bytes >= STRIPED):
        search, draft = _striped(search) if latency_ms is None else (search, None)
        if draft is not None:
            return spend(draft, _smaller(search, draft), search.limit, spans.device)
        unlimited, least = _least_striped(spans)
    most = max(search.limit, least.packed_bytes)
    if or_least or (least.packed_bytes <= search.limit and latency_ms is None):
        # What it really takes can be less than the search reckons
        fits = [draft for draft in _smallest(unlimited, least) if draft.packed_bytes <= most] or [least]
        return spend(fits[0], fits[1:], most, spans.device)
    heavy = sorted(least.buffers, key=lambda b: -b.bytes)[:2]
    what = " and ".join(f"{b.name} ({format_bytes(b.bytes)})" for b in heavy)
    raise BudgetError(f"{graph.name}: {format_bytes(search.limit)} of arena is too little; the least that "
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
        draft = _fastest(search, search.limit)
    except PlanError:  # the first group does not read the input
        return None
    return spend(draft, _smaller(search, draft), mem, device) if draft is not None else None


def _spent(drafts: list[Draft], device: Device) -> Plan:
    """The best of plans about as small as the smallest, in the bytes the largest of them takes."""
    return spend(drafts[0], drafts[1:], max(draft.packed_bytes for draft in drafts), device)


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
    drafts = _smallest(search, _least(search))[:1]
    fastest = _fastest(search, NO_LIMIT) or drafts[0]
    least = drafts[0].packed_bytes
    ratio = max(1.0, fastest.packed_bytes / max(1, least)) ** (1 / max(1, points - 1))
    for number in range(1, points - 1):
        draft = _fastest(search, int(least * ratio**number))
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


def _groups(options: Sequence[Option], search: Cuts) -> tuple[Group, ...]:
    return tuple(search.spans.group(option.recipe, option.ms) for option in options)


def _laid_out(label: Label, search: Cuts) -> Draft:
    """The label's plan, with the arena it really takes."""
    return _draft(search.options(label), label.ms, search)


def _draft(options: Sequence[Option], ms: float, search: Cuts) -> Draft:
    spans = search.spans
    graph = spans.net.graph
    plan = Plan(graph.name, graph.fingerprint(), _groups(options, search), spans.threads,
                spans.net.exact, batch=spans.net.batch, predicted_ms=round(ms / spans.net.batch, 3))
    return lay_out(graph, plan, wirings=spans.wirings)


def _fastest(search: Cuts, limit: int, tries: int = 6) -> Draft | None:
    """The fastest plan whose exact arena fits; where packing needs more than the sum of what is alive, labels
    and then searches are passed over that leave no room for as much."""
    ask, packing = limit, 0
    for _ in range(tries):
        labels = search.fastest(ask)
        if not labels:
            return None
        tried = 0
        for label in labels:
            if label.bytes + packing > limit or tried == 3:
                continue
            draft, tried = _laid_out(label, search), tried + 1
            if draft.packed_bytes <= limit:
                return draft
            packing = max(packing, draft.packed_bytes - label.bytes)
        ask = min(ask - limit // 256, limit - packing)
    return None


def _reordered(spans: Candidates) -> list[Candidates]:
    """Candidates in the order that stripes need least in; none where they are in it already."""
    pieces, graph = spans.net, spans.net.graph
    order = stripe_order(graph)
    if order == execution_orders(graph)[-1]:
        return []
    again = Pieces(graph, order, pieces.exact, pieces.batch)
    return [Candidates(again, spans.device, spans.threads, spans.transposed)]


def _striped(search: Cuts) -> tuple[Cuts, Draft | None]:
    """The fastest plan within the limit that is found among those that read weights for every tile; None
    where none fits."""
    limit = search.limit
    for spans in (search.spans, *_reordered(search.spans)):
        first = search = Cuts(spans, limit, thorough=True, stripes=max(STRIPES))
        for rows in STRIPES:
            search = search if rows == max(STRIPES) else Cuts(spans, limit, thorough=True, stripes=rows)
            draft = _fastest(search, limit)
            if draft is not None:
                return search, draft
        for label in first.least()[:LEASTS]:
            draft = _relaxed(first, label, limit)
            if draft is not None:
                return first, draft
    return search, None


def _least_of_all(spans: Candidates, search: Cuts, stripes: bool) -> tuple[Cuts, Draft]:
    """The plan with the smallest arena, among those in stripes where they are worth it."""
    if not stripes:
        least = _least(search)
        if least.packed_bytes < STRIPED:
            return search, least
    return _least_striped(spans)


def _least_striped(spans: Candidates) -> tuple[Cuts, Draft]:
    """The plan with the smallest arena of all, and the search that found it."""
    searches = [Cuts(some, some.layer_by_layer(), thorough=True, stripes=max(STRIPES))
                for some in (spans, *_reordered(spans))]
    return min([(search, _least(search)) for search in searches], key=lambda found: found[1].packed_bytes)


def _relaxed(search: Cuts, label: Label, limit: int) -> Draft | None:
    """A plan that takes little, with group after group in a faster way as long as its exact arena fits:
    packing takes more of some plans than of others, by more than the search can know."""
    best = _laid_out(label, search)
    if best.packed_bytes > limit:
        return None
    options = search.options(label)
    for number in sorted(range(len(options)), key=lambda n: -options[n].ms):
        own = options[number]
        for other in search.between(own.recipe.a, own.recipe.b):
            if other.ms >= own.ms:
                break
            tried = [*options[:number], other, *options[number + 1:]]
            draft = _draft(tried, sum(option.ms for option in tried), search)
            if draft.packed_bytes <= limit:
                best, options = draft, tried
                break
    return best


def _smaller(search: Cuts, draft: Draft) -> Iterator[Draft]:
    """The fastest plans of less and less memory, roughly; each is searched for when it is asked for."""
    last = draft.packed_bytes
    for share in LEFT:
        labels = search.rough(int((1 - share) * search.limit))
        if labels and labels[0].bytes < last \
                and _groups(search.options(labels[0]), search) != draft.plan.groups:
            last = labels[0].bytes
            smaller = _laid_out(labels[0], search)
            if smaller.packed_bytes <= search.limit:  # packing may take more than reckoned
                yield smaller


def _least(search: Cuts) -> Draft:
    """The plan with the smallest arena, and of equals the fastest."""
    best: Draft | None = None
    for labels in (search.least(), search.least(smallest=False)):
        for label in labels[: _tries(search, 4)]:
            if best is not None and label.bytes > best.packed_bytes:
                break
            draft = _laid_out(label, search)
            if best is None or _size(draft) < _size(best):
                best = draft
    assert best is not None  # without a limit there is always layer by layer
    return best


def _tries(search: Cuts, most: int) -> int:
    """How many plans are laid out, so that a long network keeps the search no longer than a large one."""
    return max(1, min(most, LAID_OUT // search.count))


def _size(draft: Draft) -> tuple[int, float]:
    return draft.packed_bytes, draft.plan.predicted_ms


def _smallest(search: Cuts, least: Draft) -> list[Draft]:
    """The fastest plans that are as small as the smallest, but for a hundredth, up to three: so near the
    least, what packing adds differs from plan to plan by more than what they need, and several are tried."""
    found = [least]
    limit = ask = least.packed_bytes + least.packed_bytes // 100
    for _ in range(_tries(search, 5)):
        labels = search.fastest(ask)
        if not labels:
            break
        draft = _laid_out(labels[0], search)
        if draft.packed_bytes <= limit:
            found.append(draft)
        ask = labels[0].bytes - 1
    return sorted(found, key=lambda draft: draft.plan.predicted_ms)[:3]


def _smallest_within(search: Cuts, latency_ms: float) -> Draft | None:
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
    draft = _laid_out(best, search)
    if draft.packed_bytes <= search.limit:
        return draft
    fast = _fastest(search, search.limit)
    return fast if fast is not None and fast.plan.predicted_ms <= latency_ms else None
