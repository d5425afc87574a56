"""[batchnorm]: batch normalisation as a layer of its own."""

from __future__ import annotations

from dataclasses import dataclass

from darkfuse.graph.ir import Options, Shape, WeightLayout, Window
from darkfuse.graph.registry import layer
from darkfuse.model.cfg import Section


@layer("batchnorm")
@dataclass(frozen=True)
class BatchnormOptions(Options):
    """(x - mean) / (sqrt(variance + e) + f) * scale + bias for each channel, e and f the dialect's."""

    @classmethod
    def parse(cls, section: Section, index: int) -> BatchnormOptions:
        """Nothing to read."""
        return cls()

    def weights(self, inputs: tuple[Shape, ...]) -> WeightLayout:
        """biases, scales, means, variances; no kernels."""
        count = inputs[0].c
        return WeightLayout(count, count, count, count, 0)

    def window(self) -> Window:
        """Value by value."""
        return Window(1, 1, 0)
