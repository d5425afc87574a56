#!/usr/bin/env python3
"""Which cfgs load and plan, and why the others do not.

    python tools/check_cfgs.py FOLDER [FOLDER...]        # every .cfg below
    python tools/check_cfgs.py --public [FOLDER...]      # the names of the public collections (tools/public)
    python tools/check_cfgs.py --public --table FOLDER   # ... as the table of docs/models.md

Of the public names those of Debian's package `darknet` are looked for in the folders (its
/usr/share/darknet/cfg); without them they are missing. Each cfg is read, laid out layer by layer, and planned
for the least memory by the search. One whose network is that of an earlier one, to the last option of any
layer that runs, is planned once. A line a cfg, then how many load, plan, and are refused. Exits with 1 where
one loads and cannot be planned.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a plain checkout is enough to run this

from darkfuse.errors import CfgError, DarkfuseError  # noqa: E402
from darkfuse.graph import Graph, load_graph  # noqa: E402
from darkfuse.plan.price.device import BUILTIN  # noqa: E402
from darkfuse.plan.search.search import plan_for  # noqa: E402
from tools.marked import rewrite  # noqa: E402
from tools.public.names import DEBIAN, OURS, written  # noqa: E402

DOCUMENT = ROOT / "docs" / "models.md"
BEGIN, END = "<!-- public: tools/check_cfgs.py -->\n", "<!-- end of public -->\n"
PLACES = {"ours": "comes with darkfuse", "debian": "Debian's file", "written": "in shorthand"}


@dataclass(frozen=True)
class Checked:
    """What became of one cfg: 'plans', 'loads' (not planned), 'again' (as `what`), 'refused', 'FAILS' or "
      "'missing'."""

    name: str
    place: str
    state: str
    what: str = ""
    graph: Graph | None = None
    arena: int = 0


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", metavar="FOLDER", type=Path)
    parser.add_argument("--public", action="store_true", help="the names of the public collections")
    parser.add_argument("--no-plan", action="store_true", help="only load them")
    parser.add_argument("--table", action="store_true", help="write the table of docs/models.md")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="darkfuse-") as made:
        cfgs = public(Path(made), args.folders) if args.public else in_folders(args.folders)
        found = list(checked(cfgs, not args.no_plan))
    print(summary(found))
    if args.table:
        rewrite([], __doc__ or "", DOCUMENT, BEGIN, END, lambda: table(found))
    return int(any(one.state == "FAILS" for one in found))


def in_folders(folders: Sequence[Path]) -> Iterator[tuple[str, str, Path]]:
    """Every cfg below the folders: name, '', path."""
    for folder in folders:
        for path in sorted(folder.rglob("*.cfg")):
            yield path.stem, "", path


def public(made: Path, folders: Sequence[Path]) -> Iterator[tuple[str, str, Path]]:
    """The public names, with the place each comes from and its file (which may not be there)."""
    debian = {path.stem: path for folder in folders for path in folder.rglob("*.cfg")}
    texts = written()
    for name in sorted((*OURS, *DEBIAN, *texts), key=str.lower):
        if name in texts:
            path = made / f"{name.replace('/', '-')}.cfg"
            path.write_text(texts[name](), encoding="utf-8")
            yield name, "written", path
        elif name in OURS:
            yield name, "ours", ROOT / "cfg" / f"{name}.cfg"
        else:
            yield name, "debian", debian.get(name, made / "none")


def checked(cfgs: Iterator[tuple[str, str, Path]], plan: bool) -> Iterator[Checked]:
    """Judge one after the other, and say so."""
    seen: dict[str, str] = {}
    for name, place, path in cfgs:
        one = judged(name, place, path, seen, plan)
        said = one.what or (f"{len(one.graph.nodes)} layers, {one.arena / 1e6:.1f} MB at least"
                            if one.graph else "no file")
        print(f"{one.state:8} {name:40} {said}", flush=True)
        yield one


def judged(name: str, place: str, path: Path, seen: dict[str, str], plan: bool = True) -> Checked:
    """One cfg. `seen`: networks so far, and their names."""
    if not path.exists():
        return Checked(name, place, "missing")
    try:
        graph = load_graph(str(path))
    except CfgError as error:
        what = re.sub(r"^.*?:\d+: ", "", str(error))
        return Checked(name, place, "refused", what)
    first = seen.setdefault(graph_key(graph), name)
    if first != name:
        return Checked(name, place, "again", f"the network of {first}", graph)
    if not plan:
        return Checked(name, place, "loads", graph=graph)
    try:
        arena = plan_for(graph, 0, 1, device=BUILTIN["rpi4"]).arena_bytes
    except DarkfuseError as error:
        return Checked(name, place, "FAILS", str(error), graph)
    return Checked(name, place, "plans", "", graph, arena)


def graph_key(graph: Graph) -> str:
    """Equal for networks that are the same."""
    return repr((graph.input, [(node.kind, node.options, node.inputs) for node in graph.nodes],
                 [getattr(node.options, "nms_kind", "") for node in graph.nodes]))


def summary(found: Sequence[Checked]) -> str:
    """How many there are of each kind, in a sentence."""
    states = Counter(one.state for one in found)
    good = states["plans"] + states["loads"] + states["again"]
    text = (f"{good} of {len(found)} cfgs load{'' if states['loads'] else ' and plan'} "
            f"({states['again']} of them are networks of others), {states['refused']} are refused")
    text += f", {states['FAILS']} load and have no plan" if states["FAILS"] else ""
    return text + (f", {states['missing']} are missing" if states["missing"] else "")


def table(found: Sequence[Checked]) -> str:
    """The part of docs/models.md."""
    rows = []
    for one in found:
        if one.graph is None:
            rows.append(f"| `{one.name}` | {PLACES[one.place]} | | | | {one.state}: "
                        f"{one.what.split(': darkfuse')[0]} |\n")
            continue
        arena = f"{one.arena / 1e6:.1f}" if one.arena else one.what
        rows.append(f"| `{one.name}` | {PLACES[one.place]} | {one.graph.input.w}x{one.graph.input.h} | "
                    f"{len(one.graph.nodes)} | {one.graph.weight_bytes / 1e6:.1f} | {arena} |\n")
    return (f"{summary(found)}.\n\n| cfg | from | input | layers | weights, MB | least memory of maps and "
            f"windows, MB |\n"
            "|---|---|---|--:|--:|---|\n" + "".join(rows))


if __name__ == "__main__":
    sys.exit(main())
