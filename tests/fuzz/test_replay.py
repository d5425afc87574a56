"""Every input that was ever a fault, and new ones for a second or `--fuzz-seconds`, on every change."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from run import Counts, fuzz
from targets import EXPECTED, TARGETS, corpus


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_a_fault_is_none_any_more(name: str) -> None:
    for data in [*TARGETS[name].seeds(), *corpus(name)]:
        try:
            TARGETS[name].run(data)
        except EXPECTED as error:
            assert len(str(error)) <= 5000 and "\n" not in str(error)


@pytest.mark.parametrize("name", TARGETS)
def test_new_inputs(name: str, request: pytest.FixtureRequest) -> None:
    """The same on every machine, as far as the time goes; `run.py` tries others."""
    seconds = request.config.getoption("--fuzz-seconds", 1.0)
    counts = Counts()
    fuzz(name, sys.maxsize, seconds, 1, counts)
    assert counts.executions and not counts.faults
