"""A plan inside a `.cfg`: keys in its own sections, beside the ones Darknet reads.

The text that was there stays as it was, every comment and blank line of it; annotation lines follow the last
key of the section they are about. All begin with `fuse_`, which no Darknet layer asks for, so that Darknet
and OpenCV load the file as before. In [net]::

    fuse_plan=1                   format of these keys
    fuse_network=yolov2           name and fingerprint of the network it was made for
    fuse_fingerprint=41f6...
    fuse_threads=4
    fuse_exact=1                  only where Winograd was left out
    fuse_order=0,1,16,26,17       only where layers do not run in the cfg's order
    fuse_budget=48M               only where one was named
    fuse_arena=31233920           bytes; worked out anew when it is read
    fuse_ahead=1048576            of them, for weights read long before use; only where there are any
    fuse_peak=49803264            predicted for the whole process
    fuse_latency_ms=812.4         predicted for a frame

and in each layer: `fuse_group` (counted from 0 in order of execution); in the first layer of a group
`fuse_grid`, `fuse_cache` and `fuse_ms`; in layers with weights `fuse_kernel`, `fuse_weights` (pinned, loaded,
streamed) and, where they differ from the usual, `fuse_strip`, `fuse_block`, `fuse_raw`, `fuse_slots`,
`fuse_kept`.
"""

from __future__ import annotations

import dataclasses
from typing import NoReturn

from darkfuse.errors import CfgError, PlanError
from darkfuse.graph import Graph
from darkfuse.host.units import format_bytes, parse_bytes
from darkfuse.model.cfg import Cfg, Entry, Section
from darkfuse.plan.layout.lower import lower
from darkfuse.plan.types import CACHES, KERNELS, RESIDENCIES, Group, LayerPlan, Plan

PREFIX = "fuse_"
FORMAT = 1
NET_KEYS = ("plan", "network", "fingerprint", "threads", "exact", "order", "budget", "arena", "ahead",
            "peak", "latency_ms")
USUAL = LayerPlan(0)
# Fields of `LayerPlan` by the key that says them; `fuse_kept` has been the key of `resident` from the start.
NUMBERS = {"strip": "strip", "block": "block", "raw": "raw", "slots": "slots", "kept": "resident"}
FIELDS = {"kernel": "kernel", "weights": "residency", **NUMBERS}
LAYER_KEYS = ("group", "grid", "cache", "ms", *FIELDS)


def annotate(cfg: Cfg, plan: Plan) -> str:
    """The cfg's text with `plan` written into it; annotations that were there are replaced.

    Parameters
    ----------
    cfg : Cfg
        As read from the file.
    plan : Plan
        For the network of this cfg.
    """
    wanted: dict[int, list[str]] = {}  # line of the file -> lines to follow it
    sections = [cfg.net, *cfg.layers]
    for section, keys in zip(sections, [_net_keys(plan), *_layer_keys(plan, len(cfg.layers))]):
        own = [entry.line for entry in section.entries if not entry.key.startswith(PREFIX)]
        wanted[max([section.line, *own])] = [f"{PREFIX}{key}={value}" for key, value in keys]
    stale = {entry.line for entry in _annotations(cfg)}
    out: list[str] = []
    end = "\r\n" if cfg.lines[0].endswith("\r\n") else "\n"
    for number, line in enumerate(cfg.lines, 1):
        if number in stale:
            continue
        if number in wanted:
            out.append(line if line.endswith("\n") else line + end)
            out += [text + end for text in wanted[number]]
        else:
            out.append(line)
    return "".join(out)


def _annotations(cfg: Cfg) -> list[Entry]:
    """Lines of the cfg that a plan was written into."""
    return [entry for section in (cfg.net, *cfg.layers) for entry in section.entries
            if entry.key.startswith(PREFIX)]


def _net_keys(plan: Plan) -> list[tuple[str, str]]:
    """What is said of the whole plan; of amounts, those that are not zero."""
    order = [layer for group in plan.groups for layer in group.nodes]
    moved = ",".join(map(str, order)) if order != sorted(order) else ""
    budget = _amount(plan.budget_bytes) if plan.budget_bytes else ""
    values = (FORMAT, plan.network, plan.fingerprint, plan.threads, int(plan.exact), moved, budget,
              plan.arena_bytes, plan.ahead_bytes, plan.predicted_peak_bytes, repr(float(plan.predicted_ms)))
    return [(key, str(value)) for key, value in zip(NET_KEYS, values) if value]


def _amount(size: int) -> str:
    text = format_bytes(size)
    return text if parse_bytes(text) == size else str(size)


def _layer_keys(plan: Plan, layers: int) -> list[list[tuple[str, str]]]:
    keys: list[list[tuple[str, str]]] = [[] for _ in range(layers)]
    for number, group in enumerate(plan.groups):
        for place, layer in enumerate(group.layers):
            keys[layer.node].append(("group", str(number)))
            if place == 0:
                keys[layer.node] += [("grid", f"{group.grid[0]}x{group.grid[1]}"), ("cache", group.cache),
                                     ("ms", repr(float(group.predicted_ms)))]
            keys[layer.node] += [(key, str(getattr(layer, name))) for key, name in FIELDS.items()
                                 if getattr(layer, name) != getattr(USUAL, name)]
    return keys


def annotated(graph: Graph) -> bool:
    """Whether the graph's cfg says how to run it."""
    return bool(_annotations(graph.cfg))


def read_annotation(graph: Graph) -> Plan | None:
    """The plan written into the graph's cfg; None when there is none.

    Raises
    ------
    CfgError
        With file and line: an annotation that is incomplete, not what it should be, or for another network
        than the cfg now describes.
    """
    if not annotated(graph):
        return None
    return _Reader(graph).plan()


class _Reader:
    def __init__(self, graph: Graph) -> None:
        self.graph, self.net = graph, graph.cfg.net
        for section, known in [(self.net, NET_KEYS), *((s, LAYER_KEYS) for s in graph.cfg.layers)]:
            seen = set()
            for entry in section.entries:
                if entry.key.startswith(PREFIX):
                    if entry.key in seen:
                        raise CfgError(section.path, entry.line, f"{entry.key} is given twice")
                    if entry.key[len(PREFIX):] not in known:
                        raise CfgError(section.path, entry.line,
                                       f"{entry.key} is no annotation of [{section.kind}]")
                    seen.add(entry.key)

    def plan(self) -> Plan:
        net, graph = self.net, self.graph
        if self._number(net, "plan", 0, 1 << 20) != FORMAT:
            self._fail(net, "plan", "was written by another version of darkfuse")
        if self._text(net, "fingerprint") != graph.fingerprint():
            self._fail(net, "fingerprint", "the network was changed after its plan was made")
        groups = self._groups()
        plan = Plan(
            network=self._text(net, "network"),
            fingerprint=graph.fingerprint(),
            groups=groups,
            threads=self._number(net, "threads", 1, 256),
            exact=bool(self._number(net, "exact", 0, 1, 0)),
            arena_bytes=self._number(net, "arena", 1),
            ahead_bytes=self._number(net, "ahead", 0, default=0),
            budget_bytes=self._budget(),
            predicted_peak_bytes=self._number(net, "peak", 0, default=0),
            predicted_ms=net.number(PREFIX + "latency_ms", lo=0),
        )
        try:
            arena = lower(graph, plan).arena_bytes
        except PlanError as error:
            self._fail(net, "plan", str(error))
        # What the plan takes is worked out anew: another version may have packed it otherwise
        return dataclasses.replace(plan, arena_bytes=arena)

    def _groups(self) -> tuple[Group, ...]:
        members: dict[int, list[LayerPlan]] = {}
        for index in self._order():
            section = self.graph.cfg.layers[index]
            number = self._number(section, "group", 0)
            last = len(members) - 1
            if number != last + 1 and (number != last or last < 0):
                self._fail(section, "group", f"in its place comes group {max(last, 0)} or {last + 1}")
            layer = self._layer(index, section, number > last)
            members.setdefault(number, []).append(layer)
        return tuple(self._group(layers) for layers in members.values())

    def _order(self) -> list[int]:
        count = len(self.graph.nodes)
        if self.net.find(PREFIX + "order") is None:
            return list(range(count))
        order = list(self.net.integers(PREFIX + "order", lo=0, hi=count - 1))
        if sorted(order) != list(range(count)):
            self._fail(self.net, "order", f"does not name each of the layers 0..{count - 1} once")
        return order

    def _layer(self, index: int, section: Section, first: bool) -> LayerPlan:
        for key in () if first else ("grid", "cache", "ms"):
            if section.find(PREFIX + key):
                self._fail(section, key, "belongs into the first layer of a group")
        return LayerPlan(
            index,
            self._choice(section, "kernel", KERNELS, USUAL.kernel),
            self._choice(section, "weights", RESIDENCIES, USUAL.residency),
            **{name: self._number(section, key, 0, default=getattr(USUAL, name))
               for key, name in NUMBERS.items()},
        )

    def _group(self, layers: list[LayerPlan]) -> Group:
        section = self.graph.cfg.layers[layers[0].node]
        down, cross, across = self._text(section, "grid").partition("x")
        if not (cross and down.isdecimal() and across.isdecimal() and len(down) < 6 and len(across) < 6):
            self._fail(section, "grid", "is no grid like 5x5")
        last = self.graph.node(layers[-1].node).out_shape
        grid = int(down), int(across)
        if grid != (1, 1) and not (1 <= grid[0] <= last.h and 1 <= grid[1] <= last.w):
            self._fail(section, "grid", f"does not fit the {last.h}x{last.w} map of layer {layers[-1].node}")
        return Group(tuple(layers), grid, self._choice(section, "cache", CACHES),
                     section.number(PREFIX + "ms", lo=0))

    def _budget(self) -> int:
        if self.net.find(PREFIX + "budget") is None:
            return 0
        try:
            return parse_bytes(self._text(self.net, "budget"))
        except Exception as error:
            self._fail(self.net, "budget", str(error))

    def _text(self, section: Section, key: str) -> str:
        if section.find(PREFIX + key) is None:
            self._fail(section, key, "is missing")
        return section.text(PREFIX + key)

    def _choice(self, section: Section, key: str, known: tuple[str, ...],
                default: str | None = None) -> str:
        if default is not None and section.find(PREFIX + key) is None:
            return default
        if self._text(section, key) not in known:
            self._fail(section, key, f"is none of {', '.join(known)}")
        return self._text(section, key)

    def _number(self, section: Section, key: str, lo: int, hi: int = 1 << 50,
                default: int | None = None) -> int:
        if default is not None and section.find(PREFIX + key) is None:
            return default
        text = self._text(section, key)
        if not (text.isascii() and text.isdigit() and len(text) < 17 and lo <= int(text) <= hi):
            top = f" to {hi}" if hi < 1 << 50 else ""
            self._fail(section, key, f"is not a whole number from {lo}{top}")
        return int(text)

    def _fail(self, section: Section, key: str, what: str) -> NoReturn:
        entry = section.find(PREFIX + key)
        shown = f"{PREFIX}{key}={entry.value}" if entry else PREFIX + key
        raise CfgError(section.path, entry.line if entry else section.line,
                       f"{shown}: {what}; plan it again, or remove the {PREFIX} lines")
