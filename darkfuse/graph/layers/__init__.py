"""One file per layer type, named after Darknet's section. Importing this package registers them all."""

from __future__ import annotations

from darkfuse.graph.layers import (
    activation,
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
    logistic,
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
    "activation", "avgpool", "batchnorm", "connected", "contrastive", "convolutional", "cost", "crop",
    "detection", "dropout", "gaussian_yolo", "local", "local_avgpool", "logistic", "maxpool", "region",
    "reorg", "reorg3d", "route", "sam", "scale_channels", "shortcut", "softmax", "upsample", "yolo",
]
