"""Modules of Python's own that others import at their top and seldom use: loaded when somebody does.

For programs, where nobody else relies on what is loaded; a library leaves its caller's modules alone.
"""

from __future__ import annotations

import sys
from types import ModuleType


class Lazy(ModuleType):
    """Stands in for a module until it is asked for something; then the module takes its place."""

    def __getattr__(self, name: str) -> object:
        module = self.__name__
        if sys.modules.get(module) is self:
            del sys.modules[module]
        __import__(module)
        return getattr(sys.modules[module], name)


def lazy(*names: str) -> None:
    """Have the modules named, where they are not loaded yet, load on first use."""
    for name in names:
        sys.modules.setdefault(name, Lazy(name))
