"""How long each target is fuzzed on a change: `pytest tests/fuzz --fuzz-seconds 300`."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fuzz-seconds", type=float, default=1.0, metavar="S",
                     help="for new inputs to each target (default 1)")
