"""Plans remembered in the cache folder, so that the second start of a network does not search.

One file a plan. It holds everything the plan depends on, word for word, and is used for nothing else: what
was written by another version, for another device or network, or did not survive its storage is passed over
as if it were not there, and written anew. Processes may write the same file at once: whole files replace it.
"""

from __future__ import annotations

import contextlib
import json
import os
from binascii import crc32

import darkfuse
from darkfuse.errors import DarkfuseError
from darkfuse.graph import Graph
from darkfuse.host.files import write_whole
from darkfuse.plan.price.device import Device, cache_folder
from darkfuse.plan.types import Plan

MOST = 64  # files kept, of some 20 kB; the ones not used for longest go first
STEP = 1 << 18  # bytes: two starts of one command find that much more or less memory left for the arena
# Where nobody named a budget, one part in so many of the arena may lie idle: what is free changes all the
# time, and plans for nearly the same room should be one
IDLE_PART = 32


def round_down(arena: int | None, named: bool) -> int | None:
    """The arena to plan for, where so much is left: so that another start finds the same plan again.

    named : whether an amount was asked for, which is to be used to the full
    """
    if arena is None or arena <= 0:
        return arena
    step = STEP
    while not named and step * 2 * IDLE_PART <= arena:
        step *= 2
    return arena // step * step or arena


class Remembered:
    """One plan that may be in the cache folder.

    Parameters
    ----------
    arena : int or None
        Bytes, as searched for.
    batch : (int, bool)
        Pictures at hand, and whether just so many run at a time.
    """

    def __init__(self, graph: Graph, arena: int | None, threads: int, exact: bool, device: Device,
                 isa: str | None, batch: tuple[int, bool] = (1, False), transposed: bool = False) -> None:
        self.key = json.dumps([darkfuse.__version__, _code(), graph.fingerprint(), arena, threads, exact,
                               device.to_json(), isa or "best", os.uname().machine, *batch, transposed])
        self.fingerprint = graph.fingerprint()
        number = f"{crc32(self.key.encode()):08x}{crc32(self.key[::-1].encode()):08x}"
        self.path = os.path.join(cache_folder(), "plans", f"{number}.json")

    def recall(self) -> Plan | None:
        """The plan, if it is there and as it was written."""
        try:
            with open(self.path, encoding="utf-8") as file:
                raw = json.load(file)
            if raw["key"] != self.key or raw["check"] != crc32(raw["plan"].encode()):
                return None
            plan = Plan.from_json(raw["plan"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        if plan.fingerprint != self.fingerprint:
            return None
        with contextlib.suppress(OSError):
            os.utime(self.path)
        return plan

    def keep(self, plan: Plan) -> None:
        """Write it down, and let go of old ones. A folder that cannot be written to is no matter."""
        text = plan.to_json()
        with contextlib.suppress(OSError, DarkfuseError):
            folder = os.path.dirname(self.path)
            os.makedirs(folder, exist_ok=True)
            write_whole(self.path, json.dumps({"key": self.key, "check": crc32(text.encode()), "plan": text}))
            _forget(folder)


def _code() -> int:
    """When the code that decides about plans changed last: in a checkout versions say little."""
    home = os.path.dirname(os.path.abspath(darkfuse.__file__))
    newest, folders = 0, [os.path.join(home, room) for room in ("graph", "plan")]
    for folder in folders:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith((".py", ".so")):
                    newest = max(newest, entry.stat().st_mtime_ns)
                elif "." not in entry.name and not entry.name.startswith("__"):
                    folders.append(entry.path)
    return newest


def _forget(folder: str) -> None:
    with os.scandir(folder) as entries:
        found = sorted((entry.stat().st_mtime_ns, entry.path) for entry in entries
                       if entry.name.endswith(".json"))
    for _, path in found[:-MOST]:
        with contextlib.suppress(OSError):  # another process was first
            os.remove(path)
