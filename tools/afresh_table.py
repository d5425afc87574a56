#!/usr/bin/env python3
"""Write the table of the published networks written afresh (tools/families*.py) into docs/models.md.

    python tools/afresh_table.py            # rewrite the part between the two marks
    python tools/afresh_table.py --check    # exit with 1 if it is out of date

Every cfg is read and laid out anew; one that does not load ends the script with its line.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a plain checkout is enough to run this

from darkfuse.graph import Graph, load_graph  # noqa: E402
from tools import families, families_detect, families_scaled  # noqa: E402
from tools.marked import rewrite  # noqa: E402

DOCUMENT = ROOT / "docs" / "models.md"
BEGIN, END = "<!-- afresh: tools/afresh_table.py -->\n", "<!-- end of afresh -->\n"
# Options that nearly every network has, and so tell none apart.
PLAIN = {"batch_normalize", "filters", "size", "stride", "pad", "padding", "activation", "output", "layers",
         "from", "classes", "num", "anchors", "mask", "coords"}


def row(graph: Graph) -> str:
    """One network: its sections, and the options beyond the plain ones."""
    layers = graph.cfg.layers
    kinds = sorted({section.kind for section in layers}, key=str.lower)
    options = sorted({entry.key for section in layers for entry in section.entries} - PLAIN)
    options += sorted({f"activation={section.text('activation')}" for section in layers
                       if section.text("activation", "linear") not in ("linear", "leaky")})
    return (f"| `{graph.name}` | {graph.input.w}x{graph.input.h} | {len(graph.nodes)} | {ticked(kinds)} | "
            f"{ticked(options)} |\n")


def ticked(words: Sequence[str]) -> str:
    """Words as code."""
    return " ".join(f"`{word}`" for word in words)


def table() -> str:
    """The table, one row a network, by name."""
    texts = {**families.FAMILIES, **families_detect.FAMILIES, **families_scaled.FAMILIES}
    rows = []
    with tempfile.TemporaryDirectory(prefix="darkfuse-") as made:
        for name in sorted(texts, key=str.lower):
            path = Path(made, f"{name}.cfg")
            path.write_text(texts[name](), encoding="utf-8")
            rows.append(row(load_graph(str(path))))
    return ("| written afresh | input | layers | sections | options beside the plain ones |\n"
            "|---|---|--:|---|---|\n" + "".join(rows))


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    return rewrite(argv, __doc__ or "", DOCUMENT, BEGIN, END, table)


if __name__ == "__main__":
    sys.exit(main())
