"""[batchnorm]: batch normalisation as a layer of its own."""

from __future__ import annotations

from darkfuse.graph.ir import Options, Shape, WeightLayout, Window
from darkfuse.graph.registry import layer
from darkfuse.host.record import dataclass
from darkfuse.model.cfg import Section
from darkfuse.model.dialect import Dialect


@layer("batchnorm")
@dataclass(frozen=True)
class BatchnormOptions(Options):
    """(x - mean) / (sqrt(variance + e) + f) * scale + bias for each channel, e and f the dialect's.

    AlexeyAB's fork keeps the biases in the weights file; the original Darknet does not, where they are zeros.
    """

    biased: bool = True

    @classmethod
    def parse(cls, section: Section, index: int) -> BatchnormOptions:
        """Nothing to read."""
        return cls()

    def fitted(self, inputs: tuple[Shape, ...], dialect: Dialect) -> BatchnormOptions:
        """With biases in the file, or without."""
        return BatchnormOptions(dialect.batchnorm_biases)

    def weights(self, inputs: tuple[Shape, ...]) -> WeightLayout:
        """biases where there are any, scales, means, variances; no kernels."""
        count = inputs[0].c
        return WeightLayout(count if self.biased else 0, count, count, count, 0)

    def window(self) -> Window:
        """Value by value."""
        return Window(1, 1, 0)
