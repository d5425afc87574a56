"""How many pictures should share each read of weights, and by which plan.

Every picture that waits takes room for its maps, and what is read is shared by all. Where storage is what a
frame waits for, a batch of k takes little more than a k-th of its time a picture, until so many maps wait
that weights which were kept have to be read.
"""
from __future__ import annotations

from darkfuse.graph import Graph
from darkfuse.plan.price.device import Device, load_device
from darkfuse.plan.price.predict import predict
from darkfuse.plan.search.search import fastest_within, plan_for
from darkfuse.plan.types import Plan

WORSE = 2  # larger batches in a row that are slower a picture: none after them is tried


def plan_for_pictures(graph: Graph, mem: int | None, threads: int, exact: bool, device: Device | None,
                      pictures: int, fixed: bool = False) -> Plan:
    """The fastest plan a picture, for up to so many at a time.

    Parameters
    ----------
    mem : int or None
        Arena bytes; None: no limit.
    pictures : int
        At hand.
    fixed : bool
        Exactly so many at a time, where that fits.

    Returns
    -------
    Plan
        Of one picture where no batch is faster: weights that stay are not read, for however many.
    """
    device = device or load_device()
    best = plan_for(graph, mem, threads, exact, device, or_least=True, stripes=False)
    if pictures < 2 or not mem or not predict(graph, best, device).read_bytes and not fixed:
        return best
    if fixed:
        return fastest_within(graph, mem, threads, exact, device, pictures) or best
    worse, batch = 0, 2
    while batch <= pictures and worse < WORSE:
        plan = fastest_within(graph, mem, threads, exact, device, batch)
        worse = 0 if plan and plan.predicted_ms < best.predicted_ms else worse + 1
        best = best if worse or not plan else plan
        batch *= 2
    tried, step = {1, best.batch}, best.batch // 2
    while step:  # around the best so far, ever closer
        for batch in {best.batch - step, best.batch + step} - tried:
            if 1 < batch <= pictures:
                plan = fastest_within(graph, mem, threads, exact, device, batch)
                best = plan if plan and plan.predicted_ms < best.predicted_ms else best
                tried.add(batch)
        step //= 2
    return best
