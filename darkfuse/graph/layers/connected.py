"""[connected]: every output a weighted sum of the whole map before it."""

from __future__ import annotations

from darkfuse.graph.activations import activation
from darkfuse.graph.ir import MAX_VALUES, Options, Shape, WeightLayout
from darkfuse.graph.registry import layer
from darkfuse.host.record import dataclass
from darkfuse.model.cfg import Section


@layer("connected")
@dataclass(frozen=True)
class ConnectedOptions(Options):
    """Inputs are taken in channel, row, column order."""

    units: int
    activation: str
    batch_normalize: bool

    @classmethod
    def parse(cls, section: Section, index: int) -> ConnectedOptions:
        """Read the section (`output=` is the number of units)."""
        section.refuse("dontloadscales")
        return cls(
            units=section.integer("output", None, 1, 1 << 20),
            activation=activation(section, "logistic"),
            batch_normalize=section.integer("batch_normalize", 0, 0, 1) == 1,
        )

    def output(self, inputs: tuple[Shape, ...], section: Section) -> Shape:
        """(units, 1, 1)."""
        if self.units * inputs[0].values > MAX_VALUES:
            section.fail(f"output={self.units} of {inputs[0].values} inputs make too many weights", "output")
        return Shape(self.units, 1, 1)

    def weights(self, inputs: tuple[Shape, ...]) -> WeightLayout:
        """biases, kernels, then scales, means and variances: unlike a convolution, these come last."""
        norm = self.units if self.batch_normalize else 0
        return WeightLayout(self.units, norm, norm, norm, self.units * inputs[0].values,
                            ("biases", "kernels", "scales", "means", "variances"))

    def macs(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        """One per weight."""
        return self.units * inputs[0].values
