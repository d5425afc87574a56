"""Whether the native code of this copy of darkfuse is there: a checkout has none until it is installed."""

from __future__ import annotations

import os


def missing() -> str | None:
    """One line that says what to do where the native code is not built, None where it is."""
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    names = os.listdir(os.path.join(home, "engine"))
    if any(name.startswith("_engine.") and name.endswith((".so", ".pyd")) for name in names):
        return None
    return (f"{home}: its native code is not built: install darkfuse with 'pip install .' "
            "and use the Python it is installed for")
