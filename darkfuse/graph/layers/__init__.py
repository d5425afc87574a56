"""One file per layer type, named after Darknet's section. Importing this package registers them all."""

from __future__ import annotations

from darkfuse.graph.layers import (
    avgpool,
    batchnorm,
    connected,
    contrastive,
    convolutional,
    cost,
    crop,
    detection,
    dropout,
    gaussian_yolo,
    local,
    local_avgpool,
    maxpool,
    region,
    reorg,
    reorg3d,
    route,
    sam,
    scale_channels,
    shortcut,
    softmax,
    upsample,
    yolo,
)

__all__ = [
    "avgpool", "batchnorm", "connected", "contrastive", "convolutional", "cost", "crop", "detection",
    "dropout", "gaussian_yolo", "local", "local_avgpool", "maxpool", "region", "reorg", "reorg3d", "route",
    "sam", "scale_channels", "shortcut", "softmax", "upsample", "yolo",
]
