"""The best plan for a budget, for a latency, or for both: the questions that `cuts` answers."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
from darkfuse.plan.search.pieces import Pieces
from darkfuse.plan.search.simple import layer_by_layer
from darkfuse.plan.search.spend import spend, timed
from darkfuse.plan.search.tiled import NO_LIMIT
from darkfuse.plan.types import Group, Plan

SEARCHED = 3000  # inputs of layers in a network that is searched: the largest of Darknet's have 500
LAID_OUT = 1500  # pieces of all plans laid out in search of the least: seven of a large network
LEASTS = 3  # plans about as small as the smallest, of which the best is taken
STRIPES = (1 << 20, 4, 2)  # rows at most: what flat ones write over their input lies close to it
WORTH = 0.995  # of the time of a plan that fits: what other ones must be expected to save
SLOWER = 1.5  # times that of the fastest of them: no room to read ahead makes good for more
NEARLY = 100  # such plans take no more than one part of so many more
STRIPED = 16 << 20  # of arena
LEFT = (0.04, 0.16, 0.3, 0.45)  # of a budget, for reads ahead: plans that leave as much are tried too


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
        draft = _smallest_within(search, latency_ms)
        if draft is not None:
            return replace(draft.plan, arena_bytes=draft.packed_bytes)
        fastest = _fastest(search, search.limit)
        if fastest is not None:
            raise BudgetError(f"{graph.name}: no plan is predicted to run in {latency_ms:g} ms; the fastest "
                              f"takes {fastest.plan.predicted_ms:.0f} ms")
    elif mem != 0:
        draft = _fastest(search, search.limit)
        if draft is not None:
            others = _smaller(search, draft, mem) if mem else iter(())
            return spend(draft, others, mem or draft.packed_bytes, spans.device)
    limit = mem or 0
    small = _smallest(search if mem == 0 else _cuts(spans, 0), limit)
    least = min(small, key=_size)
    # A plan that fits as the smallest there is has no room for the faster kernels
    plain = min((_time(draft) for draft in small if draft.packed_bytes <= limit), default=None)
    if latency_ms is None and (least.packed_bytes >= STRIPED or (stripes and plain is None)):
        found = _striped(spans, limit, max(limit, least.packed_bytes)) if mem else None
        if found is not None and (plain is None or _time(found[1]) < plain):
            return spend(found[1], _smaller(*found, limit), limit, spans.device)
        for some in (spans, *_reordered(spans)) if plain is None else ():
            search = Cuts(some, least.packed_bytes, thorough=True, stripes=max(STRIPES))
            small += _smallest(search, limit, min(small, key=_size).packed_bytes)
            small += [_relaxed(search, label, limit) for label in search.least()[:1] if mem]
        least = min(small, key=_size)
    if mem == 0 or or_least or least.packed_bytes <= limit:
        most = limit if least.packed_bytes <= limit else least.packed_bytes + least.packed_bytes // NEARLY
        fits = sorted([draft for draft in small if draft.packed_bytes <= most], key=_time)
        fits = [draft for draft in fits if _time(draft) <= SLOWER * _time(fits[0])][:LEASTS]
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
        draft = _fastest(search, search.limit)
    except PlanError:  # the first group does not read the input
        return None
    if draft is None:
        return None
    found = [spend(draft, _smaller(search, draft, mem), mem, device)]
    # The more groups run as each picture comes, the fewer maps wait, and the longer reads wait for room
    for alone in range(1, _reading(draft.plan.groups, ("streamed",)) + 1):
        other = lay_out(graph, replace(draft.plan, alone=alone), common=spans.common)
        if alone != draft.plan.alone and other.packed_bytes <= mem:
            found.append(spend(other, [], mem, device))
    return min(found, key=lambda plan: plan.predicted_ms)


def _reading(groups: Sequence[Group], residencies: Sequence[str]) -> int:
    """Groups ahead of the first, but for the very first, that has weights of such residencies."""
    reads = [any(layer.residency in residencies for layer in group.layers) for group in groups]
    return max(1, [*reads, True].index(True))


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
    drafts = [min(_smallest(search, 0), key=_time)]
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


def _laid_out(label: Label, search: Cuts) -> Draft:
    """The label's plan, with the arena it really takes."""
    return _draft(label.ways, label.ms, search)


def _draft(ways: Sequence[int], ms: float, search: Cuts) -> Draft:
    spans = search.spans
    graph = spans.net.graph
    groups, batch = tuple(map(search.group, ways)), spans.net.batch
    plan = Plan(graph.name, graph.fingerprint(), groups, spans.threads, spans.net.exact, batch=batch,
                alone=_reading(groups, ("loaded", "streamed")) if batch > 1 else 1,
                predicted_ms=round(ms / batch, 3))
    return lay_out(graph, plan, common=spans.common)


def _fastest(search: Cuts, limit: int, tries: int = 6, last: bool = False) -> Draft | None:
    """The fastest plan whose exact arena fits. Packing may take more than the sum of what is alive: where it
    does, plans are asked for that leave room for as much. As a last resort, plans that do so in every stage
    that can: few are fast."""
    best = _fits(search, limit, tries, search.fastest)
    if best or not last:
        return best
    return _fits(search, limit, tries, lambda easy: search.fastest(limit, easy))


def _fits(search: Cuts, limit: int, tries: int, ask: Callable[[int], list[Label]]) -> Draft | None:
    """The best of plans that `ask` gives for `limit` bytes and for less and less, until one fits; then for
    more again, as long as they do."""
    best: Draft | None = None
    room, fits, fails, over = limit, 0, limit, limit // 256
    for _ in range(tries):
        labels = ask(room)
        if not labels or best and labels[0].ms > WORTH * _time(best):
            break
        for label in labels[: 1 if best else 2]:
            draft = _laid_out(label, search)
            if draft.packed_bytes <= limit:
                best, fits = draft, room
                break
            over, fails = max(over, draft.packed_bytes - limit), room
        if best is None:
            room, over = min(room - limit // 256, limit - over), 2 * over
        elif fails - fits > limit // 64:
            room = (fits + fails) // 2
        else:
            break
    return best


def _striped(spans: Candidates, limit: int, least: int) -> tuple[Cuts, Draft] | None:
    """The fastest plan within the limit that is found among those that read weights for every tile, and the
    search that found it; None where none fits. `least` bytes do without."""
    found = []
    for some in (spans, *_reordered(spans)):
        for rows in STRIPES:
            search = Cuts(some, least, thorough=True, stripes=rows)
            draft = _fastest(search, limit, last=True)
            if draft is not None:
                found.append((search, draft))
    return min(found, key=lambda pair: _time(pair[1]), default=None)


def _reordered(spans: Candidates) -> list[Candidates]:
    """Candidates in the order that stripes need least in; none where they are in it already."""
    pieces, graph = spans.net, spans.net.graph
    order = stripe_order(graph)
    if order == execution_orders(graph)[-1]:
        return []
    again = Pieces(graph, order, pieces.exact, pieces.batch)
    return [Candidates(again, spans.device, spans.threads, spans.transposed)]


def _relaxed(search: Cuts, label: Label, limit: int) -> Draft:
    """A plan that takes little, with group after group in a faster way as long as its exact arena fits:
    packing takes more of some plans than of others, by more than the search can know."""
    best, ways, ms, left = _laid_out(label, search), label.ways, label.ms, _tries(search, 20)
    options = [search.paths.option(way) for way in ways]
    for number in sorted(range(len(options)), key=lambda n: -options[n].ms):
        own = options[number]
        for way in search.paths.span(own.recipe.a, own.recipe.b):
            other = search.paths.option(way)
            if other.ms >= own.ms or not left or best.packed_bytes > limit:
                break
            if other.stage + other.pinned <= limit:
                left -= 1
                tried = [*ways[:number], way, *ways[number + 1:]]
                draft = _draft(tried, ms + other.ms - own.ms, search)
                if draft.packed_bytes <= limit:
                    best, ways, ms = draft, tried, ms + other.ms - own.ms
                    break
    return best


def _smaller(search: Cuts, draft: Draft, limit: int) -> Iterator[Draft]:
    """The fastest plans of less and less memory, roughly; each is searched for when it is asked for."""
    last = draft.packed_bytes
    for share in LEFT:
        labels = search.fastest(int((1 - share) * limit))
        if labels and labels[0].bytes < last \
                and tuple(map(search.group, labels[0].ways)) != draft.plan.groups:
            last = labels[0].bytes
            smaller = _laid_out(labels[0], search)
            if smaller.packed_bytes <= limit:  # packing may take more than reckoned
                yield smaller


def _smallest(search: Cuts, limit: int, known: int = NO_LIMIT) -> list[Draft]:
    """Plans about as small as any, where they are smaller than `known` bytes: one of them the smallest there
    is, and the fastest that is found within `limit` or, if that is too little, a little above the least. So
    near it, what packing adds differs from plan to plan by more than what they need: several are tried."""
    labels = search.least()
    if not labels:  # they are reckoned to take more than others really do
        return []
    found = [_laid_out(label, search) for label in [labels[0], *search.fastest(labels[0].bytes)[:1]]]
    for label in (*labels[1:], *search.least(smallest=False)):
        if len(found) >= _tries(search, 4) or label.bytes > min(found, key=_size).packed_bytes:
            break
        found.append(_laid_out(label, search))
    least = min(found, key=_size).packed_bytes
    if least >= known:
        return []
    most = limit if limit >= least else least + least // NEARLY
    draft = _fastest(search, most, _tries(search, 6), last=True)
    return [*found, draft] if draft is not None else found


def _tries(search: Cuts, most: int) -> int:
    """How many plans are laid out, so that a long network keeps the search no longer than a large one."""
    return max(1, min(most, LAID_OUT // search.count))


def _size(draft: Draft) -> tuple[int, float]:
    return draft.packed_bytes, draft.plan.predicted_ms


def _time(draft: Draft) -> float:
    return draft.plan.predicted_ms


def _smallest_within(search: Cuts, latency_ms: float) -> Draft | None:
    """The smallest plan that takes no longer: the best of all labels kept, then bisection between it and the
    smallest of all, for what was not kept."""
    rest, *_ = search.paths.rest(0.0, search.limit, NO_LIMIT, NO_LIMIT)
    bound = Bound(0.0, latency_ms, 0.0, 0, NO_LIMIT, NO_LIMIT, rest)
    found = search.labels(search.limit, bound)
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
