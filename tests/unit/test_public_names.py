"""`help()` of everything public says something; the package tells type checkers that it is typed."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import pytest

MODULES = ("darkfuse", "darkfuse.dnn", "darkfuse.darknet", "darkfuse.cv2")


@pytest.mark.parametrize("name", MODULES)
def test_help_of_every_public_name(name: str) -> None:
    module = importlib.import_module(name)
    assert len(module.__doc__ or "") > 40
    public = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
    silent = []
    for word in public:
        found = getattr(module, word)
        if not (inspect.isclass(found) or inspect.isfunction(found)):
            continue
        # what dataclasses and named tuples write themselves is a signature, and no help
        text = found.__doc__ or ""
        if len(text.split()) < 3 or text.startswith(f"{word}("):
            silent.append(word)
        for inner, value in vars(found).items() if inspect.isclass(found) else ():
            if not inner.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
                silent += [] if len((value.__doc__ or "").split()) > 1 else [f"{word}.{inner}"]
    assert not silent


def test_the_package_says_that_it_is_typed(root: Path) -> None:
    assert (root / "darkfuse" / "py.typed").exists()
    assert '"py.typed", "*.pyi"' in (root / "setup.py").read_text()
