"""A plan is data: how each layer runs, in which group, and what it is expected to cost.

The engine makes no decisions.  The same plan prints, plots, goes into an annotated ``.cfg`` and comes back
identical.  `plan.lower` turns it into a `Program` of buffers and operations.
"""
from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

KERNELS = ("none", "first", "direct", "general", "winograd")
RESIDENCIES = ("none", "pinned", "loaded", "streamed")
CACHES = ("full", "rows", "none")


@dataclass(frozen=True)
class LayerPlan:
    """How one layer runs.

    kernel : 'first' (3 interleaved channels), 'direct', 'general', 'winograd'; 'none' without weights
    residency : 'pinned' (packed once, kept over frames), 'loaded' (read and packed when its group starts,
        every frame), 'streamed' (a block of output channels at a time, every frame; single-layer groups only)
    block : output channels packed at a time when streamed (multiple of 32)
    raw : filters in one slot of the reader (multiple of 8)
    slots : reader slots; 2 or more let the prefetch thread stay ahead
    strip : Winograd tile rows (4 output rows each) worked on at a time; 0 is the whole region
    """

    node: int
    kernel: str = "none"
    residency: str = "none"
    block: int = 32
    raw: int = 16
    slots: int = 2
    strip: int = 0


@dataclass(frozen=True)
class Group:
    """Layers run together, tile by tile over an R x C grid of the last one's output map.

    layers : in execution order (not always index order: a 1x1 may be hoisted ahead of a long-lived branch)
    grid : (R, C) rows and columns of tiles; (1, 1) runs each layer whole
    cache : 'full' (line buffers down, column strips across: nothing computed twice), 'rows' (line buffers
        only), 'none' (halo recompute, the paper's runs without reuse)
    """

    layers: tuple[LayerPlan, ...]
    grid: tuple[int, int] = (1, 1)
    cache: str = "full"
    predicted_ms: float = 0.0

    @property
    def nodes(self) -> tuple[int, ...]:
        return tuple(layer.node for layer in self.layers)


@dataclass(frozen=True)
class Plan:
    """Everything the engine needs beside the graph. Bytes are whole bytes, times milliseconds."""

    network: str
    fingerprint: str  # graph.fingerprint(): of shapes, options and order, not of comments
    groups: tuple[Group, ...]
    threads: int = 1
    exact: bool = False
    arena_bytes: int = 0
    budget_bytes: int = 0  # 0: none named
    predicted_peak_bytes: int = 0  # of the whole process
    predicted_ms: float = 0.0

    def to_json(self) -> str:
        """One line of JSON; `from_json` gives back an equal plan."""
        return json.dumps(dataclasses.asdict(self), separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> Plan:
        """Raises ValueError or KeyError on text that is not a plan."""
        raw: dict[str, Any] = json.loads(text)
        groups = tuple(
            Group(
                layers=tuple(LayerPlan(**layer) for layer in group["layers"]),
                grid=(int(group["grid"][0]), int(group["grid"][1])),
                cache=group["cache"],
                predicted_ms=group["predicted_ms"],
            )
            for group in raw.pop("groups")
        )
        return Plan(groups=groups, **raw)
