"""A plan is data: how each layer runs, in which group, and what it is expected to cost.

The engine makes no decisions.  The same plan prints, plots, goes into an annotated ``.cfg`` and comes back
identical.  `plan.layout.lower` turns it into a `Program` of buffers and operations.
"""
from __future__ import annotations

import dataclasses
import json
from typing import Any, TypeVar

from darkfuse.host.reading import parse_json
from darkfuse.host.record import dataclass

_T = TypeVar("_T")

KERNELS = ("none", "first", "direct", "general", "winograd")
RESIDENCIES = ("none", "pinned", "loaded", "streamed")
CACHES = ("full", "rows", "none")
# Names of fields in plans written by earlier versions, and what they are called now.
FORMER = {"kept": "resident"}


@dataclass(frozen=True)
class LayerPlan:
    """How one layer runs.

    kernel : 'first' (3 interleaved channels), 'direct', 'general', 'winograd'; 'none' without weights
    residency : 'pinned' (packed once, kept over frames), 'loaded' (read and packed when its group starts,
        every frame), 'streamed' (a block of output channels at a time, every frame; in a group of several
        tiles for each of them)
    block : output channels the team computes with at a time when streamed (multiple of 32)
    raw : filters a read, and so in one slot of the reader; a block is a whole number of reads
    slots : reader slots; 2 or more let the reader threads stay ahead
    resident : reads of a streamed layer, from its first filter on, that stay over frames as they lie in the
        file: memory that is left where no whole layer fits any more
    strip : Winograd tile rows (4 output rows each) worked on at a time; 0 is the whole region
    """

    node: int
    kernel: str = "none"
    residency: str = "none"
    block: int = 32
    raw: int = 16
    slots: int = 2
    resident: int = 0
    strip: int = 0


@dataclass(frozen=True)
class Group:
    """Layers run together, tile by tile over an R x C grid of the last one's output map.

    layers : in execution order (not always index order: a 1x1 may be hoisted ahead of a long-lived branch)
    grid : (R, C) rows and columns of tiles; (1, 1) runs each layer whole
    cache : 'full' (line buffers down, column strips across: nothing computed twice), 'rows' (line buffers
        only), 'none' (halo recompute, the paper's runs without reuse)
    """

    layers: tuple[LayerPlan, ...]
    grid: tuple[int, int] = (1, 1)
    cache: str = "full"
    predicted_ms: float = 0.0

    @property
    def nodes(self) -> tuple[int, ...]:
        return tuple(layer.node for layer in self.layers)


@dataclass(frozen=True)
class Plan:
    """Everything the engine needs beside the graph. Bytes are whole bytes, times milliseconds."""

    network: str
    fingerprint: str  # graph.fingerprint(): of shapes, options and order, not of comments
    groups: tuple[Group, ...]
    threads: int = 1
    exact: bool = False
    arena_bytes: int = 0
    batch: int = 1  # pictures that share each read
    alone: int = 1  # groups that run as each picture of a batch comes, and stream nothing; others run for all
    still: bool = False  # every map stays over frames, so that what did not change may be passed over
    ahead_bytes: int = 0  # of arena_bytes: what no group needs, for weights that are read long before use
    budget_bytes: int = 0  # for the whole process; 0 where nobody named one
    predicted_peak_bytes: int = 0  # of the whole process
    predicted_ms: float = 0.0

    def to_json(self) -> str:
        """One line of JSON; `from_json` gives back an equal plan."""
        return json.dumps(dataclasses.asdict(self), separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> Plan:
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError
            The text is not a plan: no JSON, a name missing or unknown, a value of the wrong type.
        """
        raw = _mapping(parse_json(text), "plan")
        groups = []
        for item in _list(raw.pop("groups", None), "groups"):
            group = _mapping(item, "group")
            layers = tuple(_record(LayerPlan, layer) for layer in _list(group.pop("layers", None), "layers"))
            grid = _list(group.pop("grid", None), "grid")
            if len(grid) != 2 or not all(type(n) is int and 0 < n < 1 << 31 for n in grid):
                raise ValueError(f"grid {grid!r} is not two counts of tiles")
            groups.append(_record(Group, {**group, "layers": layers, "grid": (grid[0], grid[1])}))
        return _record(Plan, {**raw, "groups": tuple(groups)})


_TYPES: dict[str, tuple[type, ...]] = {"int": (int,), "str": (str,), "bool": (bool,), "float": (float, int)}
_LARGEST = 1 << 53  # what JSON can say exactly


def _mapping(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is not an object")
    return dict(value)


def _list(value: object, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{what} is not a list")
    return value


def _record(kind: type[_T], value: object) -> _T:
    """A dataclass of `kind` from an object, names and simple types checked."""
    raw = _mapping(value, kind.__name__)
    names = {item.name: item for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    raw = {FORMER.get(name, name): given for name, given in raw.items()}
    for name, given in raw.items():
        if name not in names:
            raise ValueError(f"{kind.__name__} has no {name!r}")
        wanted = _TYPES.get(str(names[name].type))
        if wanted and (type(given) not in wanted or (given != given) or
                       (wanted != (str,) and not -_LARGEST < given < _LARGEST)):
            raise ValueError(f"{name}={given!r} is not of type {names[name].type}")
    for name, item in names.items():
        if name not in raw and item.default is dataclasses.MISSING:
            raise ValueError(f"{kind.__name__} lacks {name!r}")
    return kind(**raw)
