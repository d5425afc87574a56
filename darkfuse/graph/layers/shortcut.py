"""[shortcut]: the previous layer plus earlier ones, weighted in later networks, then an activation."""

from __future__ import annotations

from darkfuse.graph.activations import activation
from darkfuse.graph.ir import Options, Shape, WeightLayout
from darkfuse.graph.layers.sources import absolutes
from darkfuse.graph.registry import layer
from darkfuse.host.record import dataclass, field
from darkfuse.model.cfg import Section

WEIGHTS = {"none": "", "per_feature": "feature", "per_layer": "feature", "per_channel": "channel"}
NORMALIZATIONS = {"none": "", "relu": "relu", "avg_relu": "relu", "softmax": "softmax"}


@layer("shortcut", short="res")
@dataclass(frozen=True)
class ShortcutOptions(Options):
    """`source` and `others` are the absolute indices of the layers added; the output has the previous one's
    shape.

    One source of different size adds where the maps overlap, as Darknet's `shortcut_cpu` does: with
    stride = max(1, source_w / w) and sample = max(1, w / source_w), for rows and columns i, j up to the
    smaller side and channels up to the smaller count,
    `out[k, j*sample, i*sample] += source[k, j*stride, i*stride]`. Several sources must be of one shape.

    `weighting` is '', 'feature' (one weight a map) or 'channel' (one for each channel of each map):
    AlexeyAB's `weights_type`. `normalization` divides them: 'relu' by their sum (+ 0.0001), none of them
    counting less than 0.001; 'softmax' takes the exponentials instead.
    """

    source: int
    activation: str
    others: tuple[int, ...] = field(default=(), repr=False)
    weighting: str = field(default="", repr=False)
    normalization: str = field(default="", repr=False)

    @classmethod
    def parse(cls, section: Section, index: int) -> ShortcutOptions:
        """Read the section and make `from` absolute."""
        sources = absolutes(section, index)
        for key in ("alpha", "beta"):
            if section.number(key, 1.0) != 1.0:
                section.fail(f"{key} other than 1 in [shortcut] is not supported", key)
        chosen = []
        for key, words in (("weights_type", WEIGHTS), ("weights_normalization", NORMALIZATIONS)):
            word = section.text(key, "none")
            if word not in words:
                section.fail(f"{key}={word} is not one of {', '.join(words)}", key)
            chosen.append(words[word])
        return cls(sources[0], activation(section, "linear"), sources[1:], chosen[0],
                   chosen[1] if chosen[0] else "")

    @property
    def sources(self) -> tuple[int, ...]:
        """All layers that are added to the previous one."""
        return (self.source, *self.others)

    def producers(self, index: int) -> tuple[int, ...]:
        """The previous layer, then those added."""
        return (index - 1, *self.sources)

    def output(self, inputs: tuple[Shape, ...], section: Section) -> Shape:
        """Shape of the previous layer."""
        here, *others = inputs
        if len(others) > 1 or self.weighting:
            for there in others:
                if there != here:
                    section.fail(f"a shortcut of several or weighted maps adds maps of one shape, not "
                                 f"{there} to {here}", "from")
            return here
        there = others[0]
        # Darknet asserts that rows and columns shrink or grow alike.
        if there.w // here.w != there.h // here.h or here.w // there.w != here.h // there.h:
            section.fail(f"shortcut cannot add {there} to {here}: their sides do not scale alike", "from")
        return here

    def weights(self, inputs: tuple[Shape, ...]) -> WeightLayout | None:
        """One float a map, or one a channel of each map, those of the previous layer first."""
        if not self.weighting:
            return None
        return WeightLayout(len(inputs) * (inputs[0].c if self.weighting == "channel" else 1), 0, 0, 0, 0)
