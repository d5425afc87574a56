"""What a frame took, for people to read."""

from __future__ import annotations

from typing import Any, Mapping

from darkfuse.host.units import format_bytes
from darkfuse.model.dialect import Dialect
from darkfuse.session.budget import Budget


def stats_line(stats: Mapping[str, Any], budget: Budget, dialect: Dialect) -> str:
    """`Network.stats` in one line, and whose answers they go with."""
    peak = stats.get("peak_rss_bytes")
    memory = "" if peak is None else f", process peak {format_bytes(peak)}" + (
        f" of {format_bytes(budget.total)}" if budget.total else "")
    arena, read = (format_bytes(stats[name]) for name in ("arena_bytes", "bytes_read"))
    return (f"{stats['latency_ms']:.1f} ms, arena {arena}{memory}, {read} of weights read, "
            f"{stats['macs'] / 1e9:.3f} G multiply-adds, dialect {dialect.name} ({dialect.why})")
