"""Tiled groups in closed form against the very bytes their programs take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import darkfuse.plan.layout.place
from darkfuse.graph import Graph, build_graph, load_graph
from darkfuse.model.cfg import parse_cfg
from darkfuse.plan.layout.arena import Block, Packing, Tie, aligned, alive, pack_tied
from darkfuse.plan.layout.lower import lower
from darkfuse.plan.price.device import BUILTIN
from darkfuse.plan.search._paths import Paths
from darkfuse.plan.search._ways import Ways
from darkfuse.plan.search.candidates import Candidates
from darkfuse.plan.search.cuts import rows_of_tiles
from darkfuse.plan.search.option import Option
from darkfuse.plan.search.pieces import Pieces
from darkfuse.plan.search.tiled import LONGEST, NO_LIMIT
from darkfuse.plan.types import Plan

CONV = "[convolutional]\nfilters={}\nsize={}\nstride={}\npad=1\nactivation=leaky\n"
SUM = "[shortcut]\nfrom=-3\nactivation=linear\n"


class Case(NamedTuple):
    """A tiled group of pieces [a, b): bytes reckoned, and bytes its program takes."""

    a: int
    b: int
    fine: bool  # a tile for each row of the last map
    shares: bool  # maps lie over each other
    reckoned: int
    taken: int


def cases(graph: Graph, ends: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    """Every group over one column of tiles, all other layers on their own and all weights pinned."""
    placed: list[tuple[list[Block], list[Tie]]] = []

    def watched(blocks: list[Block], ties: list[Tie], limit: int) -> tuple[list[Tie], Packing]:
        placed.append((blocks, ties))
        return pack_tied(blocks, ties, limit)

    monkeypatch.setattr(darkfuse.plan.layout.place, "pack_tied", watched)
    spans = Candidates(Pieces(graph, [node.index for node in graph.nodes], True), BUILTIN["rpi3"], 1)
    count = len(spans.pieces)
    single = [spans.group(spans.single(a)[0].recipe, 0) for a in range(count)]
    for b in ends or range(1, count + 1):
        tail = spans.pieces[b - 1].leaf.shape
        for grid, cache in rows_of_tiles(tail.h, tail.w):
            worth = {a: (NO_LIMIT, NO_LIMIT) for a in range(max(b - LONGEST, 0), b)}
            ways = Ways()
            spans.fused(b, [(grid, cache)], NO_LIMIT, worth, ways)
            paths = Paths(b, ways)
            first: dict[int, Option] = {}  # by first piece, the fastest
            for option in map(paths.option, range(paths.many)):
                first.setdefault(option.recipe.a, option)
            for a, option in first.items():
                assert option.recipe.residency == "pinned"
                groups = (*single[:a], spans.group(option.recipe, 0), *single[b:])
                program = lower(graph, Plan(graph.name, graph.fingerprint(), groups, 1, True))
                blocks, ties = placed.pop()
                packed = sum(aligned(x.bytes) for x in program.buffers if x.name.endswith("packed"))
                yield Case(a, b, grid[0] == tail.h, bool(ties), option.stage,
                           alive(blocks, ties)[a] - packed)


def residual(side: int, channels: int) -> Graph:
    """Residual blocks whose maps, side x side x channels, are all the arena has to hold."""
    block = CONV.format(16, 1, 1) + CONV.format(channels, 3, 1) + SUM
    text = f"[net]\nwidth={side}\nheight={side}\nchannels={channels}\n"
    return build_graph(parse_cfg(text + CONV.format(channels, 3, 1) + 2 * block + CONV.format(16, 3, 2)))


def test_rows_of_tiles_take_what_was_reckoned(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the byte where tiles are rows of the last map; else never less, and some rows more at most."""
    tried = [*cases(load_graph(str(root / "cfg" / "yolov2-16.cfg")), (2, 5, 6, 7), monkeypatch),
             *cases(residual(24, 64), (), monkeypatch)]
    for case in tried:
        assert case.taken <= case.reckoned <= 1.1 * case.taken, case
        assert case.reckoned == case.taken or not case.fine, case
    assert sum(case.shares for case in tried) > len(tried) // 2 > 100
