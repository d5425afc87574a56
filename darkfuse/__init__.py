"""darkfuse runs Darknet models, exactly as trained, in little memory.

    .cfg ─ model ─▶ graph ─▶ plan (budget) ─▶ engine ─▶ detect ─▶ media
    .weights ─ offsets ────────────────────────▲

    >>> import darkfuse
    >>> net = darkfuse.load("cfg/yolov3-tiny.cfg", mem="48M")
    >>> net.detect("dog.jpg").names
    ['dog', 'bicycle']

Importing the package costs next to nothing; everything below is fetched when first used.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers take it for true; `typing` takes a while to import

if TYPE_CHECKING:
    from darkfuse.compat.restore import restore
    from darkfuse.detect.types import Box, Detection, Result
    from darkfuse.errors import DarkfuseError
    from darkfuse.session.network import Network, load

__version__ = "0.2.0.dev0"  # the only place it is written
__all__ = ["Box", "DarkfuseError", "Detection", "Network", "Result", "__version__", "load", "restore"]

_HOMES = {
    "restore": "darkfuse.compat.restore",
    "load": "darkfuse.session.network",
    "Network": "darkfuse.session.network",
    "DarkfuseError": "darkfuse.errors",
    "Box": "darkfuse.detect.types",
    "Detection": "darkfuse.detect.types",
    "Result": "darkfuse.detect.types",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'darkfuse' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
