"""One file per layer type, named after Darknet's section. Importing this package registers them all."""

from __future__ import annotations

from darkfuse.graph.layers import (
    avgpool,
    connected,
    convolutional,
    cost,
    dropout,
    maxpool,
    region,
    reorg,
    route,
    shortcut,
    softmax,
    upsample,
    yolo,
)

__all__ = [
    "avgpool", "connected", "convolutional", "cost", "dropout", "maxpool", "region", "reorg", "route",
    "shortcut", "softmax", "upsample", "yolo",
]
