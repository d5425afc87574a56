"""darkfuse runs Darknet models (.cfg + .weights) exactly as trained, in little memory.

    .cfg     -> model -> graph -> plan -> engine -> detect -> media, JSON
    .weights -> model (offsets only) ----> engine

Importing the package loads neither numpy nor OpenCV: every megabyte an import costs is one the network
cannot have.
"""

from __future__ import annotations

__version__ = "0.1.0"
