"""Section names to layer types, whose files in `layers/` are read when a cfg first has such a section.

Reading all of them would take half a megabyte of the process, and a fifth of the time to the graph.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from darkfuse.graph.ir import Options

# Sections that are run; the file of each is called like it, in lower case.
KINDS = (
    "activation", "avgpool", "batchnorm", "connected", "contrastive", "convolutional", "cost", "crop",
    "detection", "dropout", "empty", "Gaussian_yolo", "local", "local_avgpool", "logistic", "maxpool",
    "region", "reorg", "reorg3d", "route", "sam", "scale_channels", "shortcut", "softmax", "upsample", "yolo",
)
# Other names Darknet has for some of them.
ALIASES = {
    "avg": "avgpool", "conn": "connected", "conv": "convolutional", "localavgpool": "local_avgpool",
    "logxent": "logistic", "max": "maxpool", "silence": "empty", "soft": "softmax",
    "yolo4": "yolo",  # a fork's name for AlexeyAB's [yolo], kept beside the original's
}


class _Layers(Mapping[str, "type[Options]"]):
    """Options class of each section that is run, by its names."""

    def __init__(self) -> None:
        self.read: dict[str, type[Options]] = {}

    def __getitem__(self, name: str) -> type[Options]:
        kind = ALIASES.get(name, name)
        if kind not in self.read:
            if kind not in KINDS:
                raise KeyError(name)
            importlib.import_module(f"darkfuse.graph.layers.{kind.lower()}")
        return self.read[kind]

    def __contains__(self, name: object) -> bool:
        return name in KINDS or name in ALIASES

    def __iter__(self) -> Iterator[str]:
        yield from KINDS
        yield from ALIASES

    def __len__(self) -> int:
        return len(KINDS) + len(ALIASES)


LAYERS = _Layers()

_RECURRENT = "darkfuse runs networks over pictures, and this layer remembers from one input to the next"
_UNUSED = "no detector or classifier of the public collections has it"
_COMPILED = "the network itself is in a file compiled for an accelerator (NVDLA), not in the cfg"
# Sections of Darknet and its forks that are not run, and why.
REFUSED = {
    "rnn": _RECURRENT, "gru": _RECURRENT, "lstm": _RECURRENT, "crnn": _RECURRENT, "conv_lstm": _RECURRENT,
    "history": _RECURRENT,
    "deconvolutional": _UNUSED, "deconv": _UNUSED, "normalization": _UNUSED, "lrn": _UNUSED,
    "l2norm": _UNUSED,
    "rbm": "Darknet dropped these machines in 2014, before it had detectors: no weights of any are left",
    "iseg": "instance masks are not decoded",
    "odla": _COMPILED, "split": _COMPILED,
    "yolo_bdp": "boxes that are turned are not decoded",
}

_T = TypeVar("_T", bound=type[Options])


def layer(kind: str, short: str = "") -> Callable[[_T], _T]:
    """Register an options class for section `[kind]`; `short` is for the layer table."""

    def register(options: _T) -> _T:
        options.kind = kind
        options.short = short or kind
        LAYERS.read[kind] = options
        return options

    return register
