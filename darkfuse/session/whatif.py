"""Will it fit, how fast, and with what plan: the questions of `darkfuse plan` and `tools/optimize_cfg.py`.

Amounts of memory here are of the whole process that will run `darkfuse detect`. What such a process takes
before its arena is measured on one started for the purpose.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import time
from typing import Any

import darkfuse
from darkfuse.errors import BudgetError, DarkfuseError
from darkfuse.graph import Graph
from darkfuse.graph.build import DETECTION
from darkfuse.host.files import write_whole
from darkfuse.host.record import dataclass
from darkfuse.model.weights import WeightsIndex
from darkfuse.plan.layout.lower import lower
from darkfuse.plan.price.device import Device, cache_folder
from darkfuse.plan.price.predict import Prediction, predict
from darkfuse.plan.search.search import frontier, plan_for
from darkfuse.plan.search.tiled import NO_LIMIT
from darkfuse.plan.show.notation import parse_plan
from darkfuse.plan.types import Plan
from darkfuse.session.budget import HELPED_BELOW, JITTER_BYTES, Budget, process_budget

ALGORITHMS = ("exact", "mafat")
# What Pillow was measured to leave in the process that draws; `budget` reserves a little more
PILLOW_BYTES = 31 << 18
# The same of decoding alone, where no other process does it
DECODED_BYTES = 1 << 20
# What loading takes for a moment is given back before the arena is made, and is as much as one of so many
LOADING_BYTES = 7 << 18
# What classifying takes beyond detecting: names of a thousand classes, sorted
CLASSES_BYTES = 1 << 19


@dataclass(frozen=True)
class Answer:
    """A plan with its numbers filled in, what it is made of, and how long the search took."""

    plan: Plan
    prediction: Prediction
    search_seconds: float

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the plan's own fields and `search_seconds`, `read_bytes`, `macs`."""
        fields: dict[str, Any] = json.loads(self.plan.to_json())
        return {
            "network": self.plan.network,
            "predicted_peak_bytes": self.plan.predicted_peak_bytes,
            "predicted_latency_ms": round(self.prediction.ms, 3),
            "arena_bytes": self.plan.arena_bytes,
            "search_seconds": round(self.search_seconds, 4),
            "read_bytes": self.prediction.read_bytes,
            "macs": self.prediction.macs,
            "plan": fields,
        }


class Planner:
    """Plans for one network on one device.

    Parameters
    ----------
    graph : Graph
    device : Device
    threads : int
    exact : bool
        Leave out Winograd.
    index : WeightsIndex, optional
        Of the weights the plan is to run with; left out, those of a file as it usually is.
    """

    def __init__(self, graph: Graph, device: Device, threads: int, exact: bool = False,
                 index: WeightsIndex | None = None) -> None:
        self.graph, self.device, self.threads, self.exact = graph, device, threads, exact
        self.index = index
        self.input_bytes = graph.input.c * graph.input.h * graph.input.w
        self._spent = 0

    @property
    def spent(self) -> int:
        """Bytes a detecting process holds before its arena."""
        if not self._spent:
            self._spent = known_bytes(self.graph) + JITTER_BYTES
        return self._spent

    def fastest(self, mem: str | int, algorithm: str = "exact") -> Answer:
        """The fastest plan for a process of `mem` bytes, or 'min', 'small' or 'resident' (`process_budget`).

        Raises BudgetError with the least that would do; DarkfuseError where `mem` is no amount.
        """
        budget = self._budget(mem)
        arena = budget.arena(self.spent)
        start = time.perf_counter()
        most = NO_LIMIT if arena is None else max(arena, 0)
        if algorithm == "mafat":
            from darkfuse.plan.search.mafat import mafat_plan

            try:
                plan = mafat_plan(self.graph, most, self.threads, self.exact, self.device)
            except BudgetError:
                plan = self._smallest_plan(algorithm)
        else:
            plan = plan_for(self.graph, most, self.threads, self.exact, self.device, or_least=True,
                            stripes=False)
        if plan.arena_bytes > most:
            budget = budget.raised(self.spent - JITTER_BYTES, max(plan.arena_bytes, LOADING_BYTES),
                                   self.graph.path)
            if algorithm == "exact":
                plan = plan_for(self.graph, budget.arena(self.spent), self.threads, self.exact, self.device,
                                stripes=False)
        return self._answer(plan, start, budget)

    def smallest(self, latency_ms: float | None = None, mem: str | int | None = None) -> Answer:
        """The plan that takes least memory; no slower than `latency_ms`, where that is given."""
        arena = self._budget(mem).arena(self.spent) if mem is not None else None
        if arena is not None and arena <= 0:
            self.fastest(mem or 0)  # says why not
        start = time.perf_counter()
        plan = plan_for(self.graph, 0 if latency_ms is None else arena, self.threads, self.exact, self.device,
                        latency_ms, stripes=False)
        return self._answer(plan, start)

    def by_hand(self, text: str) -> Answer:
        """A configuration in the paper's notation."""
        start = time.perf_counter()
        return self._answer(parse_plan(text, self.graph, self.threads, self.exact), start)

    def priced(self, plan: Plan) -> Answer:
        """Any plan, with its numbers filled in."""
        return self._answer(plan, time.perf_counter(), self._budget(plan.budget_bytes or "resident"))

    def frontier(self) -> list[Answer]:
        """From the smallest plan to the fastest."""
        start = time.perf_counter()
        plans = frontier(self.graph, self.threads, self.exact, self.device)
        answers = [self._answer(plan, start) for plan in plans]
        return [answer for number, answer in enumerate(answers)
                if all(answer.prediction.ms < smaller.prediction.ms for smaller in answers[:number])]

    def larger(self, answer: Answer) -> list[tuple[int, float]]:
        """(bytes, milliseconds) of the fastest plans with 1.5, 2, 4 and 8 times the memory."""
        size = answer.plan.budget_bytes or answer.plan.predicted_peak_bytes
        found = []
        for factor in (1.5, 2, 4, 8):
            bought = self.fastest(int(size * factor))
            found.append((bought.plan.budget_bytes, bought.prediction.ms))
        return found

    def plot(self, answer: Answer, path: str) -> None:
        """Draw a plan into an .svg or .png; raises DarkfuseError, OSError."""
        from darkfuse.plan.show.plot import draw, save

        program = lower(self.graph, answer.plan)
        save(draw(self.graph, answer.plan, program, answer.prediction), path)

    def peak(self, arena: int, budget: Budget) -> int:
        """Bytes of the process at most, for a picture of the network's size."""
        picture = self.input_bytes if budget.picture is None else min(self.input_bytes, budget.picture)
        # A budget leaves room for two measurements to differ; what is likely needs none
        fixed = self.spent - JITTER_BYTES + self._slack()
        draws = any(node.kind in DETECTION for node in self.graph.nodes)
        most = fixed + picture + max(arena, LOADING_BYTES) + (0 if draws else CLASSES_BYTES)
        if not budget.helped:
            most += PILLOW_BYTES + 4 * picture // 3 if draws else DECODED_BYTES
        return min(most, budget.total) if budget.total else most

    def least_budget(self) -> int:
        """The smallest `--mem` anything works with."""
        return self.budget_of(self._smallest_plan("exact").arena_bytes)

    def budget_of(self, arena: int) -> int:
        """The smallest `--mem` that leaves this arena."""
        return self._budget(HELPED_BELOW).needs(self.spent, max(arena, LOADING_BYTES))

    def _slack(self) -> int:
        return self._budget(HELPED_BELOW).slack

    def _budget(self, mem: str | int) -> Budget:
        return process_budget(mem, self.input_bytes, len(self.graph.nodes), self.threads)

    def _smallest_plan(self, algorithm: str) -> Plan:
        if algorithm == "mafat":
            from darkfuse.plan.search.mafat import mafat_smallest

            return mafat_smallest(self.graph, self.threads, self.exact)
        return plan_for(self.graph, 0, self.threads, self.exact, self.device, stripes=False)

    def _answer(self, plan: Plan, start: float, budget: Budget | None = None) -> Answer:
        seconds = time.perf_counter() - start
        program = lower(self.graph, plan, weights_index=self.index)
        found = predict(self.graph, plan, self.device, program=program)
        if budget is None:
            budget = self._budget(self.budget_of(found.arena_bytes))
        peak = self.peak(found.arena_bytes, budget)
        groups = tuple(dataclasses.replace(group, predicted_ms=round(cost.ms, 3))
                       for group, cost in zip(plan.groups, found.groups))
        plan = dataclasses.replace(
            plan, groups=groups, arena_bytes=found.arena_bytes, budget_bytes=budget.total or 0,
            predicted_peak_bytes=peak, predicted_ms=round(found.ms, 3))
        return Answer(plan, dataclasses.replace(found, peak_bytes=peak), seconds)


def to_json(answer: Answer) -> str:
    """An answer as JSON text."""
    return json.dumps(answer.to_dict(), indent=1) + "\n"


def known_bytes(graph: Graph) -> int:
    """`detecting_bytes`, measured once and kept in the cache folder: two measurements differ by some pages,
    and planning the same network again must give the same plan."""
    home = os.path.dirname(os.path.abspath(darkfuse.__file__))
    code = [os.path.join(folder, name) for folder, _, names in os.walk(home) for name in names
            if name.endswith((".py", ".so"))]
    newest = max(os.stat(path).st_mtime_ns for path in code)
    key = f"{sys.executable} {sys.version_info[:3]} {home} {newest} {graph.fingerprint()}"
    path = os.path.join(cache_folder(), "baseline.json")
    known: dict[str, int] = {}
    with contextlib.suppress(OSError, ValueError), open(path) as file:
        known = json.load(file)
    size = known.get(key) if isinstance(known, dict) else None
    if isinstance(size, int) and size > 0:
        return size
    size = detecting_bytes(graph.path)
    kept = known if isinstance(known, dict) and len(known) < 200 else {}
    with contextlib.suppress(OSError, DarkfuseError):  # a cache folder is a convenience
        os.makedirs(cache_folder(), exist_ok=True)
        write_whole(path, json.dumps({**kept, key: size}))
    return size


def detecting_bytes(cfg: str) -> int:
    """Resident bytes of a process that has come as far as planning in `darkfuse detect`.

    Raises DarkfuseError when it does not start.
    """
    command = [sys.executable, "-c", _COME_SO_FAR, json.dumps(sys.path), cfg]
    done = subprocess.run(command, capture_output=True, text=True)
    words = done.stdout.split()
    if done.returncode or not words or not words[-1].isdigit():
        said = " ".join(done.stderr.split("\n")[-2:])
        raise DarkfuseError(f"cannot measure what darkfuse takes of memory: {said}")
    return int(words[-1])


_COME_SO_FAR = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from darkfuse.cli import main
main.build_parser(["detect"])
import darkfuse.session.network
import darkfuse.media._rows
import darkfuse.engine._engine
from darkfuse.detect.report import json_document
from darkfuse.graph import load_graph
from darkfuse.session.budget import Budget, held_bytes
graph = load_graph(sys.argv[2])
print(held_bytes(Budget(1)))
"""
