"""Plans that the search reckons to fit, laid out one after another: what packing adds no label knows.

A label says what a plan takes at least. Whether it fits is known when its buffers have their places, and
finding those takes longer than finding labels: so no plan is asked twice, nor for more than whether it fits.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from darkfuse.plan.layout.draft import Draft
from darkfuse.plan.layout.lower import lay_out, settled
from darkfuse.plan.search.cuts import NEVER, Bound, Cuts, Label
from darkfuse.plan.search.tiled import NO_LIMIT
from darkfuse.plan.types import Group, Plan

LAID_OUT = 1500  # pieces of all plans laid out in search of the least: seven of a large network
WORTH = 0.995  # of the time of a plan that fits: what other ones must be expected to save
CLOSE = 5  # steps in which a plan is looked for that just fits
NEARLY = 100  # plans about as small as the smallest take no more than one part of so many more
LEFT = (0.04, 0.16, 0.3, 0.45)  # of a budget, for reads ahead: plans that leave as much are tried too


def size(draft: Draft) -> tuple[int, float]:
    """Arena bytes; of plans with as many, the time."""
    return draft.packed_bytes, draft.plan.predicted_ms


def time(draft: Draft) -> float:
    """Milliseconds as the search reckons them."""
    return draft.plan.predicted_ms


def reading(groups: Sequence[Group], residencies: Sequence[str]) -> int:
    """Groups ahead of the first, but for the very first, that has weights of such residencies."""
    reads = [any(layer.residency in residencies for layer in group.layers) for group in groups]
    return max(1, [*reads, True].index(True))


def laid_out(label: Label, search: Cuts, limit: int = 0) -> Draft:
    """The label's plan, with the arena it really takes; with a limit only where it fits (see `lay_out`)."""
    draft = _draft(label.ways, label.ms, search, limit)
    return settled(draft) if draft.packed_bytes <= limit else draft


def _draft(ways: Sequence[int], ms: float, search: Cuts, limit: int) -> Draft:
    spans = search.spans
    graph = spans.net.graph
    groups, batch = tuple(map(search.group, ways)), spans.net.batch
    plan = Plan(graph.name, graph.fingerprint(), groups, spans.threads, spans.net.exact, batch=batch,
                alone=reading(groups, ("loaded", "streamed")) if batch > 1 else 1,
                predicted_ms=round(ms / batch, 3))
    return lay_out(graph, plan, common=spans.common, limit=limit)


def fastest(search: Cuts, limit: int, tries: int = 6, last: bool = False,
            than: float = NEVER) -> Draft | None:
    """The fastest plan whose exact arena fits, of those faster `than` so many milliseconds. Packing may take
    more than the sum of what is alive: where it does, plans are asked for that leave room for as much. As a
    last resort, plans that do so in every stage that can: few are fast."""
    best = _fits(search, limit, tries, search.fastest, than, search.floors[0] if last else 0)
    if best or not last:
        return best
    return _fits(search, limit, tries, lambda easy: search.fastest(limit, easy), than)


def _fits(search: Cuts, limit: int, tries: int, ask: Callable[[int], list[Label]], than: float,
          floor: int = 0) -> Draft | None:
    """The best of plans that `ask` gives for `limit` bytes and for less and less, until one fits; then for
    more again, as long as they do. No plan takes less than `floor` bytes, where that is known."""
    found: list[Draft] = []
    room, fits, fails, over = limit, 0, limit, limit // 256
    for _ in range(tries):
        labels = ask(room)
        if not labels or labels[0].ms > WORTH * min(than, time(found[-1]) if found else NEVER):
            break
        for label in labels[: 1 if found else 2]:
            key = limit, *label.ways
            if key not in search.too_large:
                draft = _draft(label.ways, label.ms, search, limit)
                if draft.packed_bytes <= limit:
                    found.append(draft)
                    fits = room
                    break
                search.too_large[key] = draft.packed_bytes
            over, fails = max(over, search.too_large[key] - limit), room
        if not found:
            less = limit - over
            room, over = min(room - limit // 256, less if less > floor else (room + floor) // 2), 2 * over
        elif fails - fits > limit // 64:
            room = (fits + fails) // 2
        else:
            break
    fit = (draft for draft in map(settled, reversed(found)) if draft.packed_bytes <= limit)
    return next(fit, None)  # hardly ever not the last of them


def closest(search: Cuts, limit: int) -> Draft | None:
    """The fastest plan found in a few steps of a 256th of the limit, each packed as well as can be: maps of a
    batch are large, and how they lie decides whether one more picture fits."""
    for step in range(CLOSE):
        for label in search.fastest(limit - step * limit // 256)[:1]:
            draft = laid_out(label, search)
            if draft.packed_bytes <= limit:
                return draft
    return None


def relaxed(search: Cuts, label: Label, limit: int) -> Draft:
    """A plan that takes little, with group after group in a faster way as long as its exact arena fits:
    packing takes more of some plans than of others, by more than the search can know."""
    best, ways, ms, left = laid_out(label, search), label.ways, label.ms, _tries(search, 20)
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
                draft = _draft(tried, ms + other.ms - own.ms, search, limit)
                if draft.packed_bytes <= limit:
                    best, ways, ms = draft, tried, ms + other.ms - own.ms
                    break
    return settled(best)


def smaller(search: Cuts, draft: Draft, limit: int) -> Iterator[Draft]:
    """The fastest plans of less and less memory, roughly; each is searched for when it is asked for."""
    last = draft.packed_bytes
    for share in LEFT:
        labels = search.fastest(int((1 - share) * limit))
        if labels and labels[0].bytes < last \
                and tuple(map(search.group, labels[0].ways)) != draft.plan.groups:
            last = labels[0].bytes
            found = laid_out(labels[0], search, limit)
            if found.packed_bytes <= limit:  # packing may take more than reckoned
                yield found


def reckoned(search: Cuts) -> int:
    """Bytes that the smallest plan is reckoned to take."""
    return min([label.bytes for label in search.least()], default=NO_LIMIT)


def smallest(search: Cuts, limit: int, known: int = NO_LIMIT) -> list[Draft]:
    """Plans about as small as any, none where others of `known` bytes are smaller: one of them the smallest
    there is, and the fastest that is found within `limit` or, if that is too little, a little above the
    least. So near it, what packing adds differs from plan to plan by more than what they need: several are
    tried."""
    labels = search.least()
    if not labels or reckoned(search) > known + known // NEARLY:
        return []
    found = [laid_out(labels[0], search)]
    for label in (*search.fastest(labels[0].bytes)[:1], *labels[1:], *search.least(smallest=False)):
        least = min(found, key=size).packed_bytes
        if len(found) >= _tries(search, 4) or label.bytes > least and len(found) > 1:
            break
        found.append(laid_out(label, search, max(limit, least + least // NEARLY)))
    least = min(found, key=size).packed_bytes
    if least > known + known // NEARLY:
        return []
    most = limit if limit >= least else least + least // NEARLY
    draft = fastest(search, most, _tries(search, 6), last=True)
    return [*found, draft] if draft is not None else found


def _tries(search: Cuts, most: int) -> int:
    """How many plans are laid out, so that a long network keeps the search no longer than a large one."""
    return max(1, min(most, LAID_OUT // search.count))


def smallest_within(search: Cuts, latency_ms: float) -> Draft | None:
    """The smallest plan that takes no longer: the best of all labels kept, then bisection between it and the
    smallest of all, for what was not kept."""
    search.paths.ask(search.limit, NO_LIMIT)
    found = search.labels(Bound(0.0, 0, NO_LIMIT, 0.0, search.paths.rest(0.0)), latency_ms)
    if not found:
        return None
    best = min(found, key=lambda label: label.bytes)
    low = min(label.bytes for label in search.least())
    while best.bytes - low > max(best.bytes // 200, 4096):
        middle = (low + best.bytes) // 2
        quick = search.fastest(middle)[:1]
        if quick and quick[0].ms <= latency_ms:
            best = quick[0]
        else:
            low = middle
    draft = laid_out(best, search)
    if draft.packed_bytes <= search.limit:
        return draft
    fast = fastest(search, search.limit)
    return fast if fast is not None and fast.plan.predicted_ms <= latency_ms else None
