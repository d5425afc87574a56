#!/usr/bin/env python3
"""Which cfgs of a folder load and plan, and why the others do not.

    python tools/check_cfgs.py FOLDER [FOLDER...]   # every .cfg below
    python tools/check_cfgs.py --families           # those of cfg/ and of tools/families*.py
    python tools/check_cfgs.py --families FOLDER    # all of them

A cfg counts once: cfgs whose networks are the same to the last option of any layer that runs are one. Each is
read, laid out layer by layer, and planned for the least memory by the search. A line a cfg, then how many of
them load, plan, and are refused, and for what reason. Exits with 1 where one loads and cannot be planned.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a plain checkout is enough to run this

from darkfuse.errors import CfgError, DarkfuseError
from darkfuse.graph import Graph, load_graph
from darkfuse.host.units import format_bytes
from darkfuse.plan.price.device import BUILTIN
from darkfuse.plan.search.search import plan_for
from tools.families import FAMILIES as CLASSIFIERS
from tools.families_detect import FAMILIES as DETECTORS
from tools.families_scaled import FAMILIES as SCALED

ROOT = Path(__file__).resolve().parent.parent


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", metavar="FOLDER")
    parser.add_argument("--families", action="store_true", help="cfg/ and tools/families*.py")
    parser.add_argument("--no-plan", action="store_true", help="only load them")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="darkfuse-") as made:
        folders = [Path(folder) for folder in args.folders]
        if args.families:
            for name, text in {**CLASSIFIERS, **DETECTORS, **SCALED}.items():
                Path(made, f"{name}.cfg").write_text(text(), encoding="utf-8")
            folders += [ROOT / "cfg", Path(made)]
        counted: Counter[str] = Counter()
        seen: dict[str, str] = {}
        for path in cfgs(folders):
            state, what = judged(path, seen, not args.no_plan)
            counted[state] += 1
            print(f"{state:8} {path.name:44} {what}", flush=True)
    different = counted["plans"] + counted["loads"] + counted["refused"] + counted["FAILS"]
    print(f"{different} different cfgs: {counted['plans'] or counted['loads']} "
          f"{'load' if args.no_plan else 'load and plan'}, {counted['refused']} refused, "
          f"{counted['FAILS']} load but have no plan ({counted['again']} more are the same networks again)")
    return int(counted["FAILS"] > 0)


def cfgs(folders: Sequence[Path]) -> Iterator[Path]:
    """Every cfg below the folders, by name."""
    for folder in folders:
        yield from sorted(folder.rglob("*.cfg"))


def judged(path: Path, seen: dict[str, str], plan: bool) -> tuple[str, str]:
    """'refused', 'again', 'loads', 'plans' or 'FAILS', and why or how large. `seen`: networks so far."""
    try:
        graph = load_graph(str(path))
    except CfgError as error:
        return _new("refused", re.sub(r"^.*?(?=:\d)", path.name, str(error)), refused_key(path), path, seen)
    state, what = _new("loads", f"{len(graph.nodes)} layers", graph_key(graph), path, seen)
    if state == "again" or not plan:
        return state, what
    try:
        arena = plan_for(graph, 0, 1, device=BUILTIN["rpi4"]).arena_bytes
    except DarkfuseError as error:
        return "FAILS", str(error)
    return "plans", f"{what}, {format_bytes(arena)} at least, weights {format_bytes(graph.weight_bytes)}"


def _new(state: str, what: str, key: str, path: Path, seen: dict[str, str]) -> tuple[str, str]:
    first = seen.setdefault(key, str(path))
    return (state, what) if first == str(path) else ("again", f"as {first}")


def graph_key(graph: Graph) -> str:
    """Equal for networks that are the same."""
    return repr((graph.input, [(node.kind, node.options, node.inputs) for node in graph.nodes],
                 [getattr(node.options, "nms_kind", "") for node in graph.nodes]))


def refused_key(path: Path) -> str:
    """A refused cfg without comments and blanks."""
    lines = re.split(r"[\r\n]+", path.read_text(encoding="utf-8", errors="replace"))
    return "\n".join(filter(None, (re.sub(r"[#;].*|\s", "", line) for line in lines)))


if __name__ == "__main__":
    sys.exit(main())
