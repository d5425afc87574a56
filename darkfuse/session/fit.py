"""Rates of a device from samples: least squares over the amounts of work that each measured stage did."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from darkfuse.host.record import dataclass
from darkfuse.plan.price.device import Rates, estimated_rates

RATES = tuple(field.name for field in dataclasses.fields(Rates))
ARITHMETIC = ("direct3", "direct1", "first", "general", "gemm", "wino_in", "wino_out", "wino_filter")
AT_MOST = 3  # times a usual rate: more is a busy moment while something else was measured
HOLD = 0.2  # how much a usual rate counts beside a sample
CLOSE = 0.05  # relative error from which on a sample counts less


@dataclass(frozen=True)
class Sample:
    """One stage as measured: amounts of work by rate (milliseconds at a rate of 1), and milliseconds."""

    what: str
    amounts: dict[str, float]
    ms: float


def fit(samples: Sequence[Sample], pack: float, read_us: float) -> Rates:
    """Rates that predict the samples best, in the sense of least squares of relative errors.

    Every rate is an unknown time per amount, at least zero. What the samples hardly tell apart (the
    transforms of Winograd, say) is settled by a few weak equations that hold every rate to what a core with
    this one's direct kernels should reach. Samples far off, as the machine was busy with something else,
    count less in further turns.
    """
    rows = [{k: v / s.ms for k, v in s.amounts.items() if v > 1e-12} for s in samples]
    wanted = [1.0] * len(rows)
    least = dict.fromkeys(RATES, 0.0)
    times = _solve(rows, wanted, least)
    if times["direct3"] > 0:
        usual = estimated_rates(1 / times["direct3"] / 0.75, 1 / max(1e-6, times["memory"]), read_us)
        rows += [{name: HOLD / _time(usual, name)} for name in RATES]
        wanted += [HOLD] * len(RATES)
        least.update((name, _time(usual, name) / AT_MOST) for name in ARITHMETIC)
        times = _solve(rows, wanted, least)
    for _ in range(3):
        trust = [min(1.0, CLOSE / max(1e-9, abs(sum(v * times[k] for k, v in row.items()) - want)))
                 for row, want in zip(rows, wanted)]
        times = _solve([{k: v * t for k, v in row.items()} for row, t in zip(rows, trust)],
                       [want * t for want, t in zip(wanted, trust)], least)
    values = {name: round(1 / max(seconds, 1e-6), 6) for name, seconds in times.items()}
    values["op_us"] = round(max(times["op_us"], 0.01), 3)
    values["pack"], values["read_us"] = round(pack, 3), read_us
    return Rates(**values)


def _time(rates: Rates, name: str) -> float:
    """Milliseconds an amount of 1 takes."""
    value = float(getattr(rates, name))
    return value if name.endswith("_us") else 1 / value


def _solve(rows: Sequence[dict[str, float]], wanted: Sequence[float],
           least: dict[str, float]) -> dict[str, float]:
    """Times, none below its `least`, whose sums over each row's amounts come nearest to `wanted`."""
    times = dict(least)
    rest = [want - sum(a * times[name] for name, a in row.items()) for row, want in zip(rows, wanted)]
    for _ in range(400):
        moved = 0.0
        for name in RATES:
            using = [(n, row[name]) for n, row in enumerate(rows) if name in row]
            square = sum(a * a for _, a in using)
            if not square:
                continue
            step = max(least[name] - times[name], sum(a * rest[n] for n, a in using) / square)
            times[name] += step
            moved = max(moved, abs(step) / max(times[name], 1e-12))
            for n, a in using:
                rest[n] -= a * step
        if moved < 1e-5:
            break
    return times


def errors(samples: Sequence[Sample], rates: Rates) -> list[tuple[str, float, float]]:
    """(what, predicted, measured) in milliseconds: how well `rates` explain the samples."""
    found = []
    for sample in samples:
        ms = sum(amount * (getattr(rates, name) if name == "op_us" else 1 / getattr(rates, name))
                 for name, amount in sample.amounts.items() if name != "pack")
        found.append((sample.what, ms, sample.ms))
    return found
