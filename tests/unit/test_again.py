"""Commands that begin anew: never the process of a program that called us, and not for ever."""

from __future__ import annotations

import subprocess
import sys

import pytest

from darkfuse.host import again


def test_a_program_that_calls_us_is_not_started_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DARKFUSE_PLANNED", raising=False)
    again.ready(True)
    try:
        assert not again.possible()
    finally:
        again.ready(False)


def test_arenas_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKFUSE_PLANNED", "4096,x,8192,")
    assert again.planned() == [4096, 8192]


@pytest.mark.skipif(sys.version_info < (3, 10), reason="Python tells its own command line from 3.10 on")
def test_a_command_begins_anew_until_it_has_begun_often_enough() -> None:
    code = """
import sys
from darkfuse.host import again
again.remember_command()
print(again.planned(), sys.argv[1], again.possible(), flush=True)
again.ready(True)
if again.possible():
    again.begin(100 + len(again.planned()))
"""
    told = subprocess.run(
        [sys.executable, "-c", code, "word"], check=True, capture_output=True, text=True
    ).stdout
    assert told.splitlines() == [
        "[] word False",
        "[100] word False",
        "[100, 101] word False",
        "[100, 101, 102] word False",
        "[100, 101, 102, 103] word False",
    ]
