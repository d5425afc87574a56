"""[local_avgpool]: mean over a window; cells outside the map do not take part."""

from __future__ import annotations

from darkfuse.graph.layers.maxpool import MaxpoolOptions
from darkfuse.graph.registry import layer
from darkfuse.host.record import dataclass


@layer("local_avgpool", short="lavg")
@dataclass(frozen=True)
class LocalAvgpoolOptions(MaxpoolOptions):
    """Windows as a max pooling has them; the mean is over the cells of a window that are inside the map."""
