"""Whole commands, fuzzed in a memory cgroup of their budget for a moment; `limits.py` goes on for hours."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from limits import COMMANDS, run

from darkfuse.errors import DarkfuseError
from tools.cgroup import Group


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_takes_more_than_its_budget(command: str, request: pytest.FixtureRequest) -> None:
    try:
        Group().close()
    except DarkfuseError as error:
        pytest.skip(str(error))
    if command == "serve":
        pytest.importorskip("multipart")
        pytest.importorskip("zmq")
    found = run(command, request.config.getoption("--fuzz-seconds", 1.0), 1)
    assert found["inputs"] and not found["faults"]
