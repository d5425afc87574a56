"""A run's numbers for people to read."""

from __future__ import annotations

from typing import Any

from darkfuse.host.units import format_bytes
from darkfuse.model.dialect import Dialect


def stats_line(stats: dict[str, Any], budget: int | None, origin: str, dialect: Dialect) -> str:
    """One line of `Network.stats`, with the budget in bytes where there is one, and the plan's origin."""
    peak = stats.get("peak_rss_bytes")
    memory = "" if peak is None else f", process peak {format_bytes(peak)}" + (
        f" of {format_bytes(budget)}" if budget else "")
    arena, read = (format_bytes(stats[name]) for name in ("arena_bytes", "bytes_read"))
    reduced = "" if "reduced_to" not in stats else ", picture reduced to {}x{}".format(*stats["reduced_to"])
    size = "" if "network_size" not in stats else ", network {}x{}".format(*stats["network_size"])
    return (f"{stats['latency_ms']:.1f} ms, arena {arena}{memory}, {read} of weights read, "
            f"{stats['macs'] / 1e9:.3f} G multiply-adds, plan {origin}, "
            f"dialect {dialect.name} ({dialect.why}){size}{reduced}")
