#!/usr/bin/env python3
"""Write the table of layers into docs/models.md, from what the readers of sections really ask for.

    python tools/models_table.py            # rewrite the part between the two marks
    python tools/models_table.py --check    # exit with 1 if it is out of date
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a plain checkout is enough to run this

from darkfuse.graph.activations import ACTIVATIONS, SYNONYMS
from darkfuse.graph.registry import LAYERS, REFUSED
from darkfuse.model.cfg import Entry, Section
from tools.marked import rewrite

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "models.md"
BEGIN, END = "<!-- layers: tools/models_table.py -->\n", "<!-- end of layers -->\n"

TORCH = "PyTorch"
DARKNET, FORK = "Darknet's maps", "AlexeyAB's maps"
OPENCV, NUMPY = "OpenCV 4", "numpy in float64"
# What the numbers of each section were compared with; the tests of that name do so.
CHECKED = {
    "activation": (NUMPY,),
    "avgpool": (FORK, OPENCV, NUMPY),
    "batchnorm": (NUMPY,),
    "connected": (OPENCV, NUMPY),
    "contrastive": (NUMPY,),
    "convolutional": (DARKNET, FORK, OPENCV, NUMPY),
    "cost": (NUMPY,),
    "crop": (TORCH, NUMPY),
    "detection": (NUMPY,),
    "dropout": (OPENCV, NUMPY),
    "empty": (NUMPY,),
    "Gaussian_yolo": (FORK, NUMPY),
    "local": (TORCH, NUMPY),
    "local_avgpool": (FORK, NUMPY),
    "logistic": (NUMPY,),
    "maxpool": (DARKNET, FORK, OPENCV, NUMPY),
    "region": (DARKNET, FORK, OPENCV),
    "reorg": (DARKNET, OPENCV, NUMPY),
    "reorg3d": (FORK, NUMPY),
    "route": (DARKNET, FORK, OPENCV, NUMPY),
    "sam": (FORK, OPENCV, NUMPY),
    "scale_channels": (FORK, OPENCV, NUMPY),
    "shortcut": (FORK, OPENCV, NUMPY),
    "softmax": (OPENCV, NUMPY),
    "upsample": (DARKNET, FORK, OPENCV, NUMPY),
    "yolo": (DARKNET, FORK, OPENCV),
}
# What those programs cannot tell of a section: only numpy knows these options, or nobody.
ASIDE = {
    "convolutional": "`share_index`, uneven strides: PyTorch and numpy; `xnor`, `binary`: as OpenCV takes "
                     "them, unverified against Darknet's binary arithmetic",
    "maxpool": "uneven strides: PyTorch and numpy",
    "region": "`tree`: numpy alone",
    "reorg": "the original's; AlexeyAB's `[reorg]` is the same, its `[reorg3d]` is not",
    "scale_channels": "`scale_wh`: numpy alone",
    "shortcut": "several or weighted maps: PyTorch and numpy",
    "softmax": "`tree`: numpy alone",
}
# Enough of each section for its reader to go on to the end.
NEEDED = {"filters": "1", "output": "1", "classes": "1", "num": "1", "anchors": "1,1", "layers": "0",
          "from": "0", "coords": "4", "share_index": "0", "size": "3"}


READ: list[str] = []
REFUSED_KEYS: list[str] = []


class Asked(Section):
    """A section that notes which keys its reader looks for, and which it does not want."""

    def find(self, key: str) -> Entry | None:
        """As `Section.find`."""
        READ.append(key)
        return super().find(key)

    def refuse(self, *keys: str) -> None:
        """Nothing is refused here."""
        REFUSED_KEYS.extend(keys)


def keys_of(kind: str) -> tuple[list[str], list[str]]:
    """The options of a section that darkfuse reads, and those it refuses when they are switched on."""
    READ.clear()
    REFUSED_KEYS.clear()
    entries = tuple(Entry(key, value, 2) for key, value in NEEDED.items())
    LAYERS[kind].parse(Asked("", kind, 1, entries), 1)
    return list(dict.fromkeys(READ)), list(dict.fromkeys(REFUSED_KEYS))


def table() -> str:
    """The part of the document between the marks."""
    lines = ["| section | options read | refused when on | checked against |", "|---|---|---|---|"]
    kinds = sorted({options.kind for options in LAYERS.values()}, key=str.lower)
    for kind in kinds:
        names = " ".join(f"`[{name}]`" for name, options in LAYERS.items() if options.kind == kind)
        read, refused = (" ".join(f"`{key}`" for key in keys) for keys in keys_of(kind))
        checked = ", ".join(CHECKED[kind]) + (f" ({ASIDE[kind]})" if kind in ASIDE else "")
        lines.append(f"| {names} | {read} | {refused} | {checked} |")
    words = ", ".join(f"`{name}`" for name in ACTIVATIONS)
    more = ", ".join(f"`{word}` ({name})" for word, name in SYNONYMS.items())
    lines += ["", f"Activations: {words}; and {more}.", "",
              "Refused, with the line of the cfg and the reason:", ""]
    reasons: dict[str, list[str]] = {}
    for kind, reason in REFUSED.items():
        reasons.setdefault(reason, []).append(f"`[{kind}]`")
    lines += [f"- {' '.join(names)}: {reason}" for reason, names in reasons.items()]
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    return rewrite(argv, __doc__ or "", DOCUMENT, BEGIN, END, table)


if __name__ == "__main__":
    sys.exit(main())
