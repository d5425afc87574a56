"""The best plan for a budget: Pareto-optimal prices per span, dynamic programming over cut points.

A plan cuts the pieces of a network into spans; each span runs as one group. What a plan needs is the largest
of its groups' stage bytes plus everything pinned, and its time is the sum. Spans are edges from one cut to a
later one (as in TVM's cascader and msf-CNN), each with its Pareto-optimal options; labels (stage, pinned,
ms) at a cut keep what no other label beats in all three. Exact over the space `spans.Spans` spans, as long
as no cut holds more labels than are kept; the tests compare with brute force.
"""
from __future__ import annotations

import bisect
from collections.abc import Iterable
from dataclasses import replace
from typing import Dict, List, NamedTuple, Optional, Tuple

from darkfuse.errors import BudgetError
from darkfuse.graph import Graph
from darkfuse.plan.device import Device, load_device
from darkfuse.plan.lower import lower
from darkfuse.plan.order import execution_orders
from darkfuse.plan.pieces import Pieces
from darkfuse.plan.spans import NO_LIMIT, Option, Recipe, Spans
from darkfuse.plan.tiled import LONGEST
from darkfuse.plan.types import Group, Plan
from darkfuse.plan.units import format_bytes

LABELS = 400  # labels kept at a cut, at most
WORK = 250_000  # labels tried in one search, roughly; a network with many options keeps fewer labels
PAPER = 5  # MAFAT's grids: 1x1 to 5x5


class Label(NamedTuple):
    stage: int
    pinned: int
    ms: float
    back: Optional[Label]
    recipe: Optional[Recipe]

    @property
    def bytes(self) -> int:
        return self.stage + self.pinned


def grids(height: int, width: int, first: bool) -> List[Tuple[Tuple[int, int], str]]:
    """Grids and cache modes to try for a group whose output map is height x width, coarse to fine.

    first : the group reads the network input. Elsewhere maps are small, and columns of tiles with them.
    """
    down = {r for r in range(2, PAPER + 1) if r <= height}
    down |= {-(-height // rows) for rows in (1, 2, 4, 8, 16, 32) if rows < height}
    found: List[Tuple[Tuple[int, int], str]] = [((r, 1), "full") for r in sorted(down)]
    if first:
        for c in range(2, min(PAPER, width) + 1):
            found += [((r, c), "full") for r in sorted({1, *down}) if r <= PAPER or r == height]
            if c <= height:
                found.append(((c, c), "none"))
    return found


def pareto(options: Iterable[Option]) -> List[Option]:
    """Options that no other beats in stage bytes, pinned bytes and time at once."""
    kept: List[Option] = []
    for option in sorted(options, key=lambda o: (o.ms, o.stage, o.pinned)):
        if not any(k.stage <= option.stage and k.pinned <= option.pinned for k in kept):
            kept.append(option)
    return kept


class Search:
    """Options of every span of one network in one execution order, priced once; then any number of questions.

    Parameters
    ----------
    limit : int
        Arena bytes no plan may exceed; options that cannot are not even priced to the end.
    """

    def __init__(self, spans: Spans, limit: int = NO_LIMIT) -> None:
        self.spans, self.limit = spans, limit
        self.count = len(spans.pieces)
        self.edges: List[List[Tuple[int, List[Option]]]] = [[] for _ in range(self.count)]
        starts = [a for a, piece in enumerate(spans.pieces) if piece.layers]  # a layer's copies stay with it
        alone = {a: spans.single(a) for a in starts}
        for b in [*starts, self.count][1:]:
            for a, options in self._options(b, alone).items():
                if options:
                    self.edges[a].append((b, options))
        work = sum(len(options) for edges in self.edges for _, options in edges)
        self.keep = max(24, min(LABELS, WORK // max(1, work)))
        self.least_stage = self._least_stage()

    def _options(self, b: int, alone: Dict[int, List[Option]]) -> Dict[int, List[Option]]:
        """Options of all spans that end before piece `b`, by the piece they begin with."""
        spans, entry, limit = self.spans, self.spans.net.entry, self.limit
        last = max(a for a in alone if a < b)
        found = {last: [option for option in alone[last] if option.stage + option.pinned <= limit]}
        worth = self._worth(b, alone)
        tail = spans.pieces[b - 1].leaf.shape
        least: Dict[Tuple[int, int], int] = {}  # (first piece, rows of tiles) -> least bytes with one column
        for grid, cache in grids(tail.h, tail.w, entry < b):
            for tiled in spans.tiled(b, grid, cache):
                a = tiled.a
                if a > entry and grid[1] > 1:
                    continue
                any_kernel, direct, faster = worth[a]
                if grid[1] > 1 and not faster:  # more columns never save time: they must save bytes
                    any_kernel = min(any_kernel, least.get((a, grid[0]), NO_LIMIT))
                options = spans.fused(tiled, b, grid, cache, limit, any_kernel, min(direct, any_kernel))
                if grid[1] == 1 and options:
                    least[a, grid[0]] = min(option.stage for option in options)
                found.setdefault(a, []).extend(options)
        return {a: pareto(options) for a, options in found.items()}

    def _worth(self, b: int, alone: Dict[int, List[Option]]) -> Dict[int, Tuple[int, int, bool]]:
        """Per first piece of a group that ends before piece `b`: what its pieces need one by one, at their
        fastest and with direct kernels. No group that needs as much is worth having, for it is not faster;
        except where whole maps are too large for the caches, and tiles of them are not."""
        found = {}
        most = direct = 0
        faster = False
        for a in range(b - 1, max(b - LONGEST, 0) - 1, -1):
            faster = faster or self.spans.prices.gains[a]
            if a in alone:
                pinned = [option.stage for option in alone[a] if option.recipe.residency == "pinned"]
                most, direct = max(most, *pinned[:1] or [NO_LIMIT]), max(direct, *pinned[-1:] or [NO_LIMIT])
                found[a] = (NO_LIMIT, NO_LIMIT, True) if faster else (most, direct, False)
        return found

    def labels(self, limit: int, keep: int = LABELS, bound: Optional[Bound] = None) -> List[Label]:
        """Pareto-optimal whole plans within `limit` arena bytes, fastest first; with a bound, only those
        that can still be the fastest. Where a cut has more than `keep` labels, those with the least
        ms + price * bytes stay."""
        price, slowest, rest = bound or Bound(0.0, float("inf"), [0.0] * (self.count + 1))
        at: List[List[Label]] = [[] for _ in range(self.count + 1)]
        at[0] = [Label(0, 0, 0.0, None, None)]
        for a in range(self.count):
            here = _thin(_pareto_labels(at[a]), keep, price, self.least_stage)
            at[a] = []
            for b, options in self.edges[a]:
                ahead = at[b]
                room = slowest - rest[b]
                for label in here:
                    before_stage, before_pinned, before_ms = label[:3]
                    left = room - before_ms - price * before_pinned
                    for stage, pinned, ms, recipe in options:
                        if ms > left:
                            break  # options come fastest first
                        if stage < before_stage:
                            stage = before_stage
                        if ms + price * pinned <= left and stage + pinned + before_pinned <= limit:
                            ahead.append(Label(stage, pinned + before_pinned, ms + before_ms, label, recipe))
        return _pareto_labels(at[self.count])

    def fastest(self, limit: int) -> List[Label]:
        """Labels worth looking at for the fastest plan within `limit`: a rough search bounds the full one."""
        bound = self._bound(limit)
        rough = self.labels(limit, 8, bound)
        if not rough:
            return self.labels(limit)
        room = bound.price * max(0, limit - self.least_stage)
        full = self.labels(limit, self.keep, bound._replace(slowest=rough[0].ms * (1 + 1e-9) + room))
        return full if full and full[0].ms <= rough[0].ms else rough

    def _bound(self, limit: int) -> Bound:
        """A Lagrangian bound: pinned bytes are bought at a price in milliseconds a byte. The price that cuts
        most is near what a byte costs to read, to pack, or both."""
        device, rates = self.spans.device, self.spans.rates
        room = max(0, limit - self.least_stage)
        read, pack = 1e-6 / device.read, 1e-6 / rates.pack
        bounds = [Bound(p, float("inf"), self._rest(p)) for p in (0.0, pack, 0.5 * read, read, read + pack)]
        return max(bounds, key=lambda x: x.rest[0] - x.price * room)

    def _rest(self, price: float) -> List[float]:
        """Per cut, the least time from there to the end with pinned bytes at `price`, whatever it takes."""
        rest = [float("inf")] * self.count + [0.0]
        for a in reversed(range(self.count)):
            for b, options in self.edges[a]:
                rest[a] = min(rest[a], rest[b] + min(o.ms + price * o.pinned for o in options))
        return rest

    def _least_stage(self) -> int:
        """The least any plan's largest stage can be, pinned bytes aside (minimax path)."""
        least = [NO_LIMIT] * self.count + [0]
        for a in reversed(range(self.count)):
            for b, options in self.edges[a]:
                least[a] = min(least[a], max(least[b], min(o.stage for o in options)))
        return least[0]

    def least(self, smallest: bool = True) -> List[Label]:
        """Pareto-optimal whole plans by stage and pinned bytes, time left out of account.

        smallest : groups smaller than they must be, for an easier packing; else they are rather fast
        """
        at: List[List[Label]] = [[] for _ in range(self.count + 1)]
        at[0] = [Label(0, 0, 0.0, None, None)]
        for a in range(self.count):
            for b, options in self.edges[a]:
                chosen = _smallest_options(options) if smallest else options
                for label in at[a]:
                    for stage, pinned, ms, recipe in chosen:
                        at[b].append(Label(max(stage, label.stage), pinned + label.pinned, label.ms + ms,
                                           label, recipe))
                at[b] = _pareto_bytes(at[b])
        return at[self.count]


class Bound(NamedTuple):
    """ms + price * pinned so far, plus rest[cut], may not exceed `slowest`."""

    price: float
    slowest: float
    rest: List[float]


def _smallest_options(options: List[Option]) -> List[Option]:
    """The staircase in (stage, pinned): what is smaller than it must be leaves room for the packing."""
    kept: List[Option] = []
    for option in sorted(options, key=lambda o: (o.stage, o.pinned, o.ms)):
        if not kept or option.pinned < kept[-1].pinned:
            kept.append(option)
    return kept


def _pareto_bytes(labels: List[Label]) -> List[Label]:
    """The staircase in (stage, pinned), fastest of equals, at most `LABELS` with the smallest sums."""
    kept: List[Label] = []
    for label in sorted(labels, key=lambda x: (x.stage, x.pinned, x.ms)):
        if not kept or label.pinned < kept[-1].pinned:
            kept.append(label)
    return sorted(kept, key=lambda x: x.bytes)[:LABELS]


def _pareto_labels(labels: List[Label]) -> List[Label]:
    """Sorted by time; a staircase of (stage, pinned) tells in one look whether a label is beaten."""
    labels.sort(key=lambda x: (x.ms, x.stage + x.pinned, x.stage))
    stairs: List[Tuple[int, int]] = []  # stage rising, pinned falling
    kept: List[Label] = []
    for label in labels:
        spot = bisect.bisect_right(stairs, (label.stage, NO_LIMIT))
        if spot and stairs[spot - 1][1] <= label.pinned:
            continue
        end = spot
        while end < len(stairs) and stairs[end][1] >= label.pinned:
            end += 1
        start = spot - 1 if spot and stairs[spot - 1][0] == label.stage else spot
        stairs[start:end] = [(label.stage, label.pinned)]
        kept.append(label)
    return kept


def _thin(labels: List[Label], keep: int, price: float, floor: int) -> List[Label]:
    """At most `keep`: half of them the cheapest with bytes beyond a stage of `floor` at `price`, the others
    spread evenly from the fastest to the smallest."""
    if len(labels) <= keep:
        return labels
    cheap = sorted(labels, key=lambda x: x.ms + price * (max(x.stage, floor) + x.pinned))[: keep // 2]
    step = len(labels) / (keep - keep // 2)
    spread = [labels[int(i * step)] for i in range(keep - keep // 2)]
    return [*cheap, *spread, min(labels, key=lambda x: x.bytes)]


def _groups(label: Label, spans: Spans) -> Tuple[Group, ...]:
    found: List[Group] = []
    while label.back is not None and label.recipe is not None:
        found.append(spans.group(label.recipe, label.ms - label.back.ms))
        label = label.back
    return tuple(reversed(found))


def _plan(label: Label, spans: Spans) -> Plan:
    """The label's plan, with the arena it really takes."""
    graph = spans.net.graph
    plan = Plan(graph.name, graph.fingerprint(), _groups(label, spans), spans.threads, spans.net.exact,
                predicted_ms=round(label.ms, 3))
    return replace(plan, arena_bytes=lower(graph, plan).arena_bytes)


def plan_for(graph: Graph, mem: Optional[int] = None, threads: int = 1, exact: bool = False,
             device: Optional[Device] = None, latency_ms: Optional[float] = None) -> Plan:
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

    Returns
    -------
    Plan
        With `arena_bytes` (exact) and `predicted_ms`.

    Raises
    ------
    BudgetError
        Nothing fits; the message says the least that would, and what takes it.
    """
    device = device or load_device()
    smallest = mem == 0 or latency_ms is not None
    best: Optional[Plan] = None
    for order in execution_orders(graph)[-1:]:
        spans = Spans(Pieces(graph, order, exact), device, threads)
        search = Search(spans, mem if mem else NO_LIMIT)
        if latency_ms is not None:
            plan = _smallest_within(search, latency_ms)
        elif mem == 0:
            plan = _smallest(search)
        else:
            plan = _fastest(search, search.limit)
        if plan is not None and (best is None or _rank(plan, smallest) < _rank(best, smallest)):
            best = plan
    if best is None and mem and latency_ms is None:
        # What a plan really takes can be less than the search reckons (groups written over their input).
        least = plan_for(graph, 0, threads, exact, device)
        best = least if least.arena_bytes <= mem else None
    if best is None:
        raise BudgetError(_refusal(graph, mem, threads, exact, device, latency_ms))
    return best


def _rank(plan: Plan, smallest: bool) -> Tuple[float, float]:
    return (plan.arena_bytes, plan.predicted_ms) if smallest else (plan.predicted_ms, plan.arena_bytes)


def _fastest(search: Search, limit: int) -> Optional[Plan]:
    """The fastest plan whose exact arena fits; where packing needs more than the sum of what is alive, a
    little less is asked for."""
    ask = limit
    for _ in range(6):
        over = 0
        for label in search.fastest(ask)[:4]:
            plan = _plan(label, search.spans)
            if plan.arena_bytes <= limit:
                return plan
            over = max(over, plan.arena_bytes - limit)
        if not over:
            return None
        ask -= max(over, limit // 256)
    return None


def _smallest(search: Search) -> Optional[Plan]:
    best: Optional[Plan] = None
    for labels in (search.least(), search.least(smallest=False)):
        for label in labels[:4]:
            if best is not None and label.bytes >= best.arena_bytes:
                break
            plan = _plan(label, search.spans)
            if best is None or plan.arena_bytes < best.arena_bytes:
                best = plan
    return best and (_fastest(search, best.arena_bytes) or best)


def _smallest_within(search: Search, latency_ms: float) -> Optional[Plan]:
    """Bisection over budgets: more memory is never slower."""
    fast = _fastest(search, search.limit)
    least = _smallest(search)
    if fast is None or least is None or fast.predicted_ms > latency_ms:
        return None
    if least.predicted_ms <= latency_ms:
        return least
    low, high, best = least.arena_bytes, fast.arena_bytes, fast
    while high - low > max(low // 200, 4096):
        middle = (low + high) // 2
        plan = _fastest(search, middle)
        if plan is not None and plan.predicted_ms <= latency_ms:
            high, best = plan.arena_bytes, plan
        else:
            low = middle
    return best


def _refusal(graph: Graph, mem: Optional[int], threads: int, exact: bool, device: Device,
             latency_ms: Optional[float]) -> str:
    """One line: what is impossible, the least that would do, and what takes it."""
    if latency_ms is not None:
        try:
            fastest = plan_for(graph, mem, threads, exact, device)
        except BudgetError as error:
            return str(error)
        return (f"{graph.name}: no plan is predicted to run in {latency_ms:g} ms; the fastest takes "
                f"{fastest.predicted_ms:.0f} ms")
    least = plan_for(graph, 0, threads, exact, device)
    program = lower(graph, least)
    heavy = sorted(program.buffers, key=lambda b: -b.bytes)[:2]
    what = " and ".join(f"{b.name} ({format_bytes(b.bytes)})" for b in heavy)
    return (f"{graph.name}: {format_bytes(mem or 0)} of arena is too little; the least that works is "
            f"{format_bytes(least.arena_bytes)}, most of it {what}")


def frontier(graph: Graph, threads: int = 1, exact: bool = False, device: Optional[Device] = None,
             points: int = 24) -> List[Plan]:
    """Plans from the smallest to the fastest, each faster than all smaller ones, at `points` budgets spaced
    evenly by ratio."""
    device = device or load_device()
    plans: List[Plan] = []
    for order in execution_orders(graph)[-1:]:
        search = Search(Spans(Pieces(graph, order, exact), device, threads))
        ends = _smallest(search), _fastest(search, NO_LIMIT)
        if ends[0] is None or ends[1] is None:
            continue
        ratio = max(1.0, ends[1].arena_bytes / ends[0].arena_bytes) ** (1 / max(1, points - 1))
        plans += [ends[0], ends[1]]
        for number in range(1, points - 1):
            plan = _fastest(search, int(ends[0].arena_bytes * ratio**number))
            plans += [plan] if plan else []
    plans.sort(key=lambda p: (p.arena_bytes, p.predicted_ms))
    kept: List[Plan] = []
    for plan in plans:
        if not kept or plan.predicted_ms < kept[-1].predicted_ms:
            kept.append(plan)
    return kept
