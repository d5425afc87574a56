"""Work that makes many small objects, and no cycles of them that the interpreter should look for."""
from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_garbage() -> Iterator[None]:
    """Collect no garbage meanwhile; also a decorator. A search for a plan keeps many thousands of tuples, and
    Python's collector would go through them again and again, for a quarter of the time the search takes."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
