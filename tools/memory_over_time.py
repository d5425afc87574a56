#!/usr/bin/env python3
"""Memory over time of a few programs in one memory cgroup with swap: docs/images/memory-over-time.svg.

    memory_over_time.py --limit 256M --scratch DIR      # runs them, and draws
    memory_over_time.py --plot                          # draws docs/results/memory-over-time.json anew

Each runs alone, from starting Python to the end of its frames, as `tools/prove.py` runs it. Fifty times a
second the cgroup is asked what it has in memory and what in swap.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a plain checkout is enough to run this

from darkfuse.errors import DarkfuseError
from darkfuse.host.files import write_whole
from darkfuse.host.interrupt import end_cleanly
from darkfuse.host.units import parse_bytes
from darkfuse.plan.show.shapes import INK, Box, Line, Shape, Text, to_svg
from tools.cgroup import Group
from tools.prove import OURS, PEER_FRAMES, ROOT, Model, commit, machine, ours, prepared, swap_space, theirs
from tools.prove_plot import IMAGES, LOOKS, MB

RESULTS = ROOT / "docs" / "results" / "memory-over-time.json"
IMAGE = IMAGES / "memory-over-time.svg"
WIDTH, LEFT, RIGHT = 970, 80, 930
TOP, TALL, APART = 70, 110, 175  # of the first panel, of each, from one to the next
POINTS = 160  # kept of a run
SEAM = 0.4  # pixels that neighbours overlap, so that no line shows between them


class Watch:
    """What a group had, moment by moment: seconds, bytes in memory, bytes in swap."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, int, int]] = []

    def __call__(self, seconds: float, group: Group) -> None:
        stat = group.stat()
        held = sum(stat.get(name, 0) for name in ("rss", "cache", "anon", "file"))
        self.seen.append((round(seconds, 2), held, group.swap_now()))

    def points(self) -> list[tuple[float, int, int]]:
        """At most `POINTS` of them: of as many neighbours, the one with most."""
        each = -(-len(self.seen) // POINTS)
        parts = [self.seen[at : at + each] for at in range(0, len(self.seen), each)]
        return [(part[0][0], max(x[1] for x in part), max(x[2] for x in part)) for part in parts]


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run each program once."""
    runs: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="darkfuse-memory-", dir=options.scratch) as folder:
        model = Model(options.model, Path(folder), options.threads)
        with swap_space(folder):
            for name in options.programs:
                if name not in OURS and not prepared(name, model):
                    continue
                watch, words = Watch(), (model, name, options.limit, True, None)
                row = (ours(*words, options.frames, options.timeout, watch) if name in OURS
                       else theirs(*words, options.timeout, watch))
                runs[name] = {"fate": row["fate"].replace(f"{model.folder}/", ""),
                              "frames": options.frames if name in OURS else PEER_FRAMES,
                              "frame_ms": round(row["frame_ms"], 1),
                              "points": watch.points()}
                print(f"{name}: {row['fate']}, {row['frame_ms']:.0f} ms a frame", file=sys.stderr)
    return {"machine": machine(), "commit": commit(), "model": options.model, "limit": options.limit,
            "threads": options.threads, "runs": runs}


def panel(name: str, run: dict[str, Any], limit: int, most: int, top: int) -> list[Shape]:
    """One program: what was in memory, and on top of it, paler, what was in swap."""
    ink, words = LOOKS[name]
    points = run["points"]
    seconds = points[-1][0] or 1.0
    bottom = top + TALL

    def y(size: float) -> float:
        return bottom - TALL * size / most

    end = f"{run['frames']} frames of {run['frame_ms']:,.0f} ms" if run["fate"] == "ran" else run["fate"]
    peak = max(held + swap for _, held, swap in points) / MB
    title = f"{words}: {end}; at most {peak:,.0f} MB in memory and swap together"
    shapes: list[Shape] = [Text(LEFT, top - 12, title, 13), Line(LEFT, bottom, RIGHT, bottom, INK)]
    ends = [*(at for at, _, _ in points[1:]), seconds]
    for (begin, held, swap), until in zip(points, ends):
        left = LEFT + (RIGHT - LEFT) * begin / seconds
        wide = (RIGHT - LEFT) * max(until - begin, 0.0) / seconds + SEAM
        tip = f"{begin:.1f} s: {held / MB:.0f} MB in memory, {swap / MB:.0f} in swap"
        shapes.append(Box(left, y(held), wide, bottom - y(held), ink, words=tip))
        if swap:
            shapes.append(Box(left, y(held + swap), wide, y(held) - y(held + swap), ink, cover=0.3,
                              words=tip))
    shapes.append(Line(LEFT, y(limit), RIGHT, y(limit), INK, dashed=True))
    for size in (0, limit, *([most] if most > 1.2 * limit else [])):
        shapes.append(Text(LEFT - 8, y(size) + 4, f"{size / MB:,.0f}", 12, "end"))
    for part in range(5):
        at = LEFT + (RIGHT - LEFT) * part / 4
        shapes += [Line(at, bottom, at, bottom + 5, INK),
                   Text(at, bottom + 19, f"{seconds * part / 4:.1f} s", 12, "middle")]
    return shapes


def picture(results: dict[str, Any]) -> str:
    """A panel for each program, with one scale of memory and clocks of their own."""
    runs, limit = results["runs"], results["limit"]
    most = max(held + swap for run in runs.values() for _, held, swap in run["points"])
    most = -(-most // (64 * MB)) * 64 * MB
    title = f"{results['model']} where {limit // MB} MB are allowed: MB in memory, and paler above it in swap"
    shapes: list[Shape] = [Text(LEFT, 26, title, 16)]
    for number, (name, run) in enumerate(runs.items()):
        shapes += panel(name, run, limit, most, TOP + APART * number)
    return to_svg(shapes, WIDTH, TOP + APART * len(runs) - 20)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="yolov2", help="of cfg/, or NAME@SIZE (yolov2)")
    parser.add_argument("--limit", type=parse_bytes, default=256 * MB, help="memory of the cgroup (256M)")
    parser.add_argument("--programs", type=lambda text: text.split(","),
                        default=["darkfuse", "ncnn", "opencv"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--frames", type=int, default=20, help="of darkfuse; peers run 3 (20)")
    parser.add_argument("--timeout", type=float, default=180, help="seconds a process may take (180)")
    parser.add_argument("--scratch", metavar="DIR", help="for weights, models and swap; on a disk")
    parser.add_argument("--plot", action="store_true", help="only draw what is there")
    options = parser.parse_args(argv)
    try:
        if not options.plot:
            write_whole(str(RESULTS), json.dumps(measure(options)) + "\n")
        write_whole(str(IMAGE), picture(json.loads(RESULTS.read_text())))
    except DarkfuseError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    end_cleanly()
    sys.exit(main())
