"""[shortcut]: the previous layer plus an earlier one, then an activation."""

from __future__ import annotations

from dataclasses import dataclass

from darkfuse.graph.activations import activation
from darkfuse.graph.ir import Options, Shape
from darkfuse.graph.registry import layer
from darkfuse.model.cfg import Section


@layer("shortcut", short="res")
@dataclass(frozen=True)
class ShortcutOptions(Options):
    """`source` is the absolute index of the layer added; the output has the previous layer's shape.

    Maps of different size add where they overlap, as Darknet's `shortcut_cpu` does: with
    stride = max(1, source_w / w) and sample = max(1, w / source_w), for rows and columns i, j up to the
    smaller side and channels up to the smaller count,
    `out[k, j*sample, i*sample] += source[k, j*stride, i*stride]`.
    """

    source: int
    activation: str

    @classmethod
    def parse(cls, section: Section, index: int) -> ShortcutOptions:
        """Read the section and make `from` absolute."""
        written = section.integer("from", None, -(2**31), 2**31 - 1)
        source = written if written >= 0 else index + written
        if not 0 <= source < index:
            section.fail(f"shortcut from nowhere: from={written} in layer {index} means layer {source}",
                         "from")
        section.refuse("weights_type", "weights_normalization")
        for key in ("alpha", "beta"):
            if section.number(key, 1.0) != 1.0:
                section.fail(f"{key} other than 1 in [shortcut] is not supported", key)
        return cls(source, activation(section, "linear"))

    def producers(self, index: int) -> tuple[int, ...]:
        """The previous layer, then the one added."""
        return (index - 1, self.source)

    def output(self, inputs: tuple[Shape, ...], section: Section) -> Shape:
        """Shape of the previous layer."""
        here, there = inputs
        # Darknet asserts that rows and columns shrink or grow alike.
        if there.w // here.w != there.h // here.h or here.w // there.w != here.h // there.h:
            section.fail(f"shortcut cannot add {there} to {here}: their sides do not scale alike", "from")
        return here
