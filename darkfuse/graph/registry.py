"""Section names to layer types. Each file in `layers/` registers its options class by the decorator below."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from darkfuse.graph.ir import Options

LAYERS: dict[str, type[Options]] = {}

_RECURRENT = "darkfuse runs networks over pictures, and this layer remembers from one input to the next"
# Sections of Darknet that are not run, and why.
REFUSED = {
    "rnn": _RECURRENT, "gru": _RECURRENT, "lstm": _RECURRENT, "crnn": _RECURRENT, "conv_lstm": _RECURRENT,
    "history": _RECURRENT,
    "deconvolutional": "no detector or classifier of the public collections has it",
    "deconv": "no detector or classifier of the public collections has it",
    "iseg": "instance masks are not decoded",
}

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
