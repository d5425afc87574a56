"""Section names to layer types. Each file in `layers/` registers its options class by the decorator below."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from darkfuse.graph.ir import Options

LAYERS: dict[str, type[Options]] = {}

_T = TypeVar("_T", bound=type[Options])


def layer(kind: str, *aliases: str, short: str = "") -> Callable[[_T], _T]:
    """Register an options class for section `[kind]` and its `aliases`; `short` is for the layer table."""

    def register(options: _T) -> _T:
        options.kind = kind
        options.short = short or kind
        for name in (kind, *aliases):
            if name in LAYERS:
                raise ValueError(f"[{name}] is registered twice")
            LAYERS[name] = options
        return options

    return register
